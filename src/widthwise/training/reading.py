"""Settings settings: the lab's at the top of a file, and [search.training] for candidates of other widths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, get_args

from widthwise.core.table import Table, as_number
from widthwise.core.toml import shown
from widthwise.training.halving import Halving
from widthwise.training.settings import BALANCED, LOSSES, ClassWeights, OptimizerName, Schedule, Settings

OwnLoss = str | Callable[..., Any] | None

OPTIMIZERS: dict[str, OptimizerName] = {name: name for name in get_args(OptimizerName)}
SCHEDULES: dict[str, Schedule] = {name: name for name in get_args(Schedule)}
LAB_KEYS = {"epochs": "max_epochs", "steps": "max_steps", "optimizer": "training_optimizer"}
"""What the lab calls settings at the top of a file; the others have the names of the fields."""
WITHOUT_TEACHER = ("distil",)  # means nothing at the top: only candidates have a teacher


def read_lab_training(top: Table) -> Settings:
    """What the top of a file says; the lab's names go for epochs, steps and optimiser."""
    base = Settings()
    epochs = top.whole("max_epochs", base.epochs)
    # -1 is what the lab writes for no limit
    steps = None if top.get("max_steps") == -1 else top.whole("max_steps", base.steps)
    optimizer = top.choice("training_optimizer", OPTIMIZERS, base.optimizer)
    return _read_common(top, replace(base, epochs=epochs, steps=steps, optimizer=optimizer))


def read_training(table: Table, base: Settings) -> Settings:
    """What [search.training] says; what it leaves out is as at the top of the file."""
    epochs = table.whole("epochs", base.epochs)
    steps = table.whole("steps", base.steps)
    optimizer = table.choice("optimizer", OPTIMIZERS, base.optimizer)
    distil = table.number("distil", base.distil, least=0)
    if distil > 1:
        table.fail("distil", f"{distil:g} is no share from 0 to 1")
    read = _read_common(table, base)
    return replace(read, epochs=epochs, steps=steps, optimizer=optimizer, distil=distil)


def read_halving(table: Table) -> Halving | None:
    """What [search.training.halving] says; None without it. An empty one stands for the defaults."""
    if table.get("halving") is None:
        return None
    inner, base = table.table("halving"), Halving()
    halving = Halving(
        reduction=inner.whole("reduction", base.reduction, least=2),
        minimum=inner.whole("minimum", base.minimum),
        candidates=inner.whole("candidates", base.candidates, least=2),
    )
    inner.close(strict=True)
    return halving


def lab_keys() -> dict[str, str]:
    """The fields that the top of a file may set, with their keys there."""
    names = [field.name for field in fields(Settings) if field.name not in WITHOUT_TEACHER]
    return {name: LAB_KEYS.get(name, name) for name in names}


def _read_common(table: Table, base: Settings) -> Settings:
    return replace(
        base,
        learning_rate=table.number("learning_rate", base.learning_rate, above=0),
        momentum=_below_one(table, "momentum", base.momentum),
        weight_decay=table.number("weight_decay", base.weight_decay, least=0),
        schedule=table.choice("schedule", SCHEDULES, base.schedule),
        label_smoothing=_below_one(table, "label_smoothing", base.label_smoothing),
        patience=table.whole("patience", base.patience),
        mixed_precision=table.flag("mixed_precision", base.mixed_precision),
        loss=_loss(table, base.loss),
        class_weights=_class_weights(table, base.class_weights),
    )


def _class_weights(table: Table, default: ClassWeights) -> ClassWeights:
    """A number for each class, or "balanced"."""
    given = table.get("class_weights")
    if given is None:
        return default
    if given == BALANCED:
        return BALANCED
    numbers = [as_number(one) for one in given] if isinstance(given, list) else []
    weights = tuple(number for number in numbers if number is not None and number > 0)
    if not weights or len(weights) != len(numbers):
        said = f'{shown(given)} are no numbers above 0, one for each class; or write "{BALANCED}"'
        table.fail("class_weights", said)
    return weights


def _loss(table: Table, default: OwnLoss) -> OwnLoss:
    """A name, of the task's losses, or module:callable; nothing is imported."""
    given = table.text("loss")
    if given is None or given in LOSSES:
        return given or default
    module, _, path = given.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), *path.split(".")]):
        named = ", ".join(LOSSES)
        table.fail("loss", f"{shown(given)} is neither {named} nor module:callable, as my_losses:focal")
    return given


def _below_one(table: Table, key: str, default: float) -> float:
    value = table.number(key, default, least=0)
    if value >= 1:
        table.fail(key, f"{value:g} is no number from 0 to below 1")
    return value

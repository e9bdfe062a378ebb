"""Training settings: the lab's at the top of a file, and [search.training] for candidates of other widths."""

from __future__ import annotations

from dataclasses import replace

from widthwise.config.schema import Optimizer, Schedule, Training
from widthwise.config.table import Table

OPTIMIZERS: dict[str, Optimizer] = {"adam": "adam", "adamw": "adamw", "sgd": "sgd"}
SCHEDULES: dict[str, Schedule] = {"cosine": "cosine", "constant": "constant"}


def read_lab_training(top: Table) -> Training:
    """What the top of a file says; the lab's names go for epochs, steps and optimiser."""
    base = Training()
    epochs = top.whole("max_epochs", base.epochs)
    # -1 is what the lab writes for no limit
    steps = None if top.get("max_steps") == -1 else top.whole("max_steps", base.steps)
    optimizer = top.choice("training_optimizer", OPTIMIZERS, base.optimizer)
    return _read_common(top, replace(base, epochs=epochs, steps=steps, optimizer=optimizer))


def read_training(table: Table, base: Training) -> Training:
    """What [search.training] says; what it leaves out is as at the top of the file."""
    epochs = table.whole("epochs", base.epochs)
    steps = table.whole("steps", base.steps)
    optimizer = table.choice("optimizer", OPTIMIZERS, base.optimizer)
    return _read_common(table, replace(base, epochs=epochs, steps=steps, optimizer=optimizer))


def _read_common(table: Table, base: Training) -> Training:
    smoothing = table.number("label_smoothing", base.label_smoothing, least=0)
    if smoothing >= 1:
        table.fail("label_smoothing", f"{smoothing:g} is no number from 0 to below 1")
    return replace(
        base,
        learning_rate=table.number("learning_rate", base.learning_rate, above=0),
        weight_decay=table.number("weight_decay", base.weight_decay, least=0),
        schedule=table.choice("schedule", SCHEDULES, base.schedule),
        label_smoothing=smoothing,
        patience=table.whole("patience", base.patience),
        mixed_precision=table.flag("mixed_precision", base.mixed_precision),
    )

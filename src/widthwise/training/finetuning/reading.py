"""Fine-tuning as configs say it: [search.finetune], trained as [search.training] says."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from widthwise.core.errors import UserError
from widthwise.core.table import Table
from widthwise.training.finetuning.settings import BASE, METHODS, NORMS, WHICH, Finetuning
from widthwise.training.reading import read_halving, read_training
from widthwise.training.settings import Settings

OWN = ("candidates", "most", "method", "batch_norm", "step_sizes", "mixup", "noise", "crop")


def read_finetuning(table: Table, training: Table) -> Finetuning:
    """What [search.finetune] says; training: [search.training], whose defaults are those of fine-tuning."""
    halving = read_halving(table)
    given: dict[str, Any] = {
        "candidates": table.choice(
            "candidates", {name: name for name in WHICH}, "all" if halving else "front"
        ),
        "most": table.whole("most", None),
        "method": table.choice("method", {name: name for name in METHODS}, "train"),
        "batch_norm": table.choice("batch_norm", {name: name for name in NORMS}, "frozen"),
        "step_sizes": table.flag("step_sizes", False),
        "mixup": table.number("mixup", 0.0, least=0),
        "noise": table.number("noise", 0.0, least=0),
        "crop": table.whole("crop", 0, least=0),
    }
    table.close(strict=True)
    trained = read_tuning(training)
    try:
        return Finetuning(training=trained, halving=halving, **given)
    except UserError as error:
        raise error.at(table.where()) from None


def write_finetuning(settings: Finetuning) -> dict[str, Any]:
    """The tables under [search] that `read_finetuning` reads it from."""
    own: dict[str, Any] = {name: getattr(settings, name) for name in OWN}
    halving = None if settings.halving is None else _fields(settings.halving)
    return {"finetune": {**own, "halving": halving}, "training": write_tuning(settings.training)}


def read_tuning(table: Table) -> Settings:
    """What [search.training] says of a training with formats, which has other defaults than one without."""
    base = replace(BASE, steps=None) if table.get("epochs") is not None else BASE
    found = read_training(table, base)
    table.close(strict=True)
    return found


def read_shared(table: Table) -> Settings:
    """The same for one network that all candidates share; UserError for what means nothing there."""
    found = read_tuning(table)
    try:
        return Finetuning(training=found).training
    except UserError as error:
        raise error.at(table.where()) from None


def write_tuning(settings: Settings) -> dict[str, Any]:
    """The table that `read_tuning` reads it from."""
    return {**_fields(settings), "patience": None, "mixed_precision": None}


def _fields(settings: Any) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in fields(settings)}

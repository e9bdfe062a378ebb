"""How much the loss weighs each class: as said, or such that rare classes count as much as frequent ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.data.facts import part

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.data.modules import Data
    from widthwise.metrics.quality.fits import Fit
    from widthwise.training.settings import Settings


def with_class_weights(settings: Settings, data: Data, fitting: Fit) -> Settings:
    """The settings with a number for each class, where they weigh any.

    "balanced" is samples / (classes * samples of the class), of the training part. Raises UserError for tasks
    whose loss weighs no classes, and for another number of weights than classes.
    """
    given, task = settings.class_weights, fitting.output.task
    if given is None:
        return settings
    weighed = getattr(task, "weighed_classes", None)
    if weighed is None or settings.loss is not None:
        whose = f"the loss {settings.loss!r}" if settings.loss is not None else task.name
        raise UserError(f"class_weights: {whose} weighs no classes; leave them out")
    classes: int = weighed(fitting.shape)
    weights = _balanced(data, fitting, classes) if given == "balanced" else tuple(given)
    if len(weights) != classes:
        raise UserError(f"class_weights: {len(weights)} numbers for {classes} classes; give one for each")
    return replace(settings, class_weights=weights)


def _balanced(data: Data, fitting: Fit, classes: int) -> tuple[float, ...]:
    """As scikit-learn's "balanced"; targets below 0 are left out, as they are of the loss."""
    import torch

    counts = torch.zeros(classes, dtype=torch.int64)
    for batch in part(data, "train"):
        counts += _counted(fitting.reader.read(batch).targets, classes)
    if not bool(counts.all()):
        absent = int((counts == 0).nonzero()[0])
        names = fitting.about.class_names
        called = names[absent] if absent < len(names) else str(absent)
        raise UserError(
            f"class_weights: class {called} doesn't occur in the training part, so nothing balances it; give "
            "a number for each class"
        )
    weights: list[float] = (counts.sum() / (classes * counts.double())).tolist()
    return tuple(weights)


def _counted(targets: Tensor, classes: int) -> Tensor:
    whole = targets.flatten().long()
    return whole[whole >= 0].bincount(minlength=classes).cpu()[:classes]

"""Any torchmetrics metric by name, fed with logits batch after batch, one accumulator a candidate."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from widthwise.core.errors import UserError, nearest
from widthwise.metrics.catalogue import computing, find_metric


class TorchmetricsAccumulator:
    """A torchmetrics metric of one candidate; `torchmetrics_accumulator` makes one, `fresh` more."""

    def __init__(self, name: str, make: Callable[[], Any], adapt: Callable[[Tensor], Tensor]) -> None:
        self.name = name
        self._make = make
        self._adapt = adapt
        self._metric = _quietly(make)

    def fresh(self) -> TorchmetricsAccumulator:
        """An empty one of the same metric, without checking its options anew: for the next candidate."""
        return TorchmetricsAccumulator(self.name, self._make, self._adapt)

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Take in a batch: logits [n, C] (scores before softmax), labels [n] int64, both on one device."""
        if self._metric.device != logits.device:
            self._metric.to(logits.device)
        _quietly(lambda: self._metric.update(self._adapt(logits.detach()), labels))

    def compute(self) -> float:
        """The metric over all batches so far; its warnings (no positive samples …) are not shown."""
        return float(_quietly(self._metric.compute))


def torchmetrics_accumulator(
    name: str, classes: int, options: Mapping[str, Any] | None = None, *, where: str = ""
) -> TorchmetricsAccumulator:
    """An empty accumulator of the metric that `find_metric` knows under this name.

    `options` are the class's constructor arguments; `num_classes` and `task` ("multiclass") are filled in
    where the class takes them. The metric is tried on made-up data at once: a UserError tells of unknown or
    wrong options, a metric that does not take class scores, and one that gives more than one number.
    """
    place = f"{where}: " if where else ""
    metric = find_metric(name, where)
    if not metric.source:
        raise UserError(
            f"{place}{name} is a metric of widthwise itself, not of torchmetrics; it takes no options"
        )
    made = computing(metric)
    parameters = inspect.signature(made).parameters
    given = _arguments(name, classes, dict(options or {}), parameters, place)
    adapt = _trial(name, made, given, classes, place)
    if "validate_args" in parameters:  # checked in the trial; checking each batch costs more than the metric
        given = {"validate_args": False} | given
    return TorchmetricsAccumulator(name, lambda: made(**given), adapt)


def _arguments(
    name: str, classes: int, options: dict[str, Any], parameters: Mapping[str, inspect.Parameter], place: str
) -> dict[str, Any]:
    """The constructor's arguments: the options, with what follows from the data filled in."""
    allowed = [key for key, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    for key in options:
        if key not in allowed:
            close = nearest(key, allowed)
            hint = f"did you mean {close}? " if close else ""
            raise UserError(f"{place}{name} has no option {key}; {hint}allowed: {', '.join(sorted(allowed))}")
    if options.get("num_classes", classes) != classes:
        found = options["num_classes"]
        raise UserError(f"{place}{name}: num_classes = {found!r}, the data have {classes}; leave it out")
    filled = {
        key: value for key, value in (("task", "multiclass"), ("num_classes", classes)) if key in allowed
    }
    given = filled | options
    missing = [
        key for key in allowed if parameters[key].default is inspect.Parameter.empty and key not in given
    ]
    if "num_labels" in missing or given.get("task") == "multilabel":
        raise UserError(f"{place}{name} is for several labels a sample; use the Multiclass one")
    if missing:
        raise UserError(f"{place}{name} needs {', '.join(missing)} among its options")
    return given


def _trial(
    name: str, made: Any, given: Mapping[str, Any], classes: int, place: str
) -> Callable[[Tensor], Tensor]:
    """How logits become what the metric takes; UserError where it takes none or gives no single number."""
    try:
        adapt, result = _tried(name, made, given, classes, place)
    except UserError:
        raise
    except Exception as error:  # torchmetrics raises many kinds for options and for shapes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{place}{name} does not work on the scores of {classes} classes: {reason}"
        ) from error
    if _is_number(result):
        return adapt
    remedy = "choose"
    with contextlib.suppress(Exception):  # the metric may have no average, or none that helps
        if _is_number(_tried(name, made, {**given, "average": "macro"}, classes, place)[1]):
            remedy = 'set average = "macro", or choose'
    raise UserError(f"{place}{name} gives {_what(result)}; {remedy} a metric that gives one number")


def _tried(
    name: str, made: Any, given: Mapping[str, Any], classes: int, place: str
) -> tuple[Callable[[Tensor], Tensor], object]:
    """How logits become what the metric takes, and what it gives for two samples of each class."""
    labels = torch.arange(classes).repeat(2)
    scores = 4.0 * torch.eye(classes).repeat(2, 1) + 0.5 * torch.arange(classes)
    metric = _quietly(lambda: made(**given))
    adapt = _adapter(name, metric, classes, place)
    _quietly(lambda: metric.update(adapt(scores), labels))
    return adapt, _quietly(metric.compute)


def _is_number(result: object) -> bool:
    return isinstance(result, Tensor) and result.numel() == 1 and not result.is_complex()


def _what(result: object) -> str:
    if isinstance(result, Tensor):
        return f"{result.numel()} numbers"
    return f"{len(result)} results" if isinstance(result, list | tuple | dict) else type(result).__name__


def _adapter(name: str, metric: Any, classes: int, place: str) -> Callable[[Tensor], Tensor]:
    """A binary metric takes one score a sample: the difference of the logits (its sigmoid: softmax)."""
    if not type(metric).__name__.startswith("Binary"):
        return _as_logits
    if classes != 2:
        raise UserError(f"{place}{name} is for two classes, the data have {classes}; use the Multiclass one")
    return lambda logits: _as_logits(logits[:, 1] - logits[:, 0])


def _as_logits(scores: Tensor) -> Tensor:
    """The scores such that torchmetrics reads them as logits.

    It takes a batch for probabilities if all its values lie in [0, 1], which logits may do by chance. Those
    are moved above 1: for scores [n, C] that changes neither order nor softmax, in float64 without rounding.
    Single scores [n], where a shift would matter, are turned into the probabilities that they stand for.
    """
    scores = scores if scores.dtype in (torch.float32, torch.float64) else scores.float()
    if scores.numel() == 0 or not bool(((scores >= 0) & (scores <= 1)).all()):
        return scores
    return scores.sigmoid() if scores.ndim == 1 else scores.double() + 2


def _quietly(call: Callable[[], Any]) -> Any:
    """What the call gives, without torchmetrics' advice on memory and on classes without samples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()

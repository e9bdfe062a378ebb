"""Any torchmetrics metric by name, fed with a task's outputs batch by batch, one accumulator a candidate."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError, nearest
from widthwise.core.importing import describe_error
from widthwise.metrics.catalogue import computing, find_metric

UNEVEN = {  # those that give another value for another cut of the data, which made-up samples don't show
    "MultilabelRankingLoss": "counts a batch whose samples all have none or all of the labels as one sample",
}
ROW_BYTES = 2**20  # about what an accumulator takes: some keep all the outputs
Adapt = Callable[[Tensor], Tensor]
Take = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def as_they_are(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Both, unchanged."""
    return outputs, targets


@dataclass(frozen=True, eq=False)
class Feed:
    """How a task feeds a metric of torchmetrics.

    outputs, targets: made-up samples that a metric is tried on. fixed, filled: the constructor's arguments
    that follow from the data, and those that an option may replace, where the class takes them. adapt: how
    outputs become what a metric takes, by its name, the metric, and where errors say that it stood. said:
    what the outputs are, for errors: "the scores of 5 classes". domains: the rooms of torchmetrics whose
    metrics are of such outputs, others would take them for something else; none: all will do. take: what of
    a task's outputs [n, ...] and targets [n, ...] is fed. small: the same of fewer classes, where a metric
    that makes something of their square would fill the memory.
    """

    outputs: Tensor
    targets: Tensor
    said: str
    fixed: Mapping[str, Any]
    filled: Mapping[str, Any]
    adapt: Callable[[str, Any, str], Adapt]
    domains: tuple[str, ...] = ()
    take: Take = as_they_are
    small: Feed | None = None


class TorchmetricsAccumulator:
    """A torchmetrics metric of one candidate; `torchmetrics_accumulator` makes one, `fresh` more."""

    def __init__(self, name: str, make: Callable[[], Any], adapt: Adapt, take: Take = as_they_are) -> None:
        self.name = name
        self._make, self._adapt, self._take = make, adapt, take
        self._metric = _quietly(make)

    def fresh(self) -> TorchmetricsAccumulator:
        """An empty one of the same metric, without checking its options anew: for the next candidate."""
        return TorchmetricsAccumulator(self.name, self._make, self._adapt, self._take)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Take in a batch: outputs [n, ...] (scores before softmax), targets [n, ...], both on one device."""
        outputs, targets = self._take(outputs, targets)
        if not len(targets):  # all are left out
            return
        if self._metric.device != outputs.device:
            self._metric.to(outputs.device)
        _quietly(lambda: self._metric.update(self._adapt(outputs.detach()), targets))

    def compute(self) -> float:
        """The metric over all batches so far; its warnings (no positive samples …) are not shown."""
        return float(_quietly(self._metric.compute))


class Accumulated:
    """Metrics of torchmetrics of R candidates: a tally by itself, or the part of one that adds up its own."""

    def __init__(
        self, rows: int, made: Mapping[str, TorchmetricsAccumulator], failures: dict[int, str] | None = None
    ) -> None:
        self.failures: dict[int, str] = {} if failures is None else failures
        self._made, self._rows = made, rows
        self._each = {name: [one.fresh() for _ in range(rows)] for name, one in made.items()}

    @property
    def row_bytes(self) -> int:
        """About how much memory a candidate takes."""
        return ROW_BYTES * len(self._made)

    def fresh(self, rows: int) -> Accumulated:
        """An empty one of the same metrics."""
        return Accumulated(rows, self._made)

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Takes in outputs [V, n, ...] for targets [n, ...]: those of rows [R'], each with its version."""
        for accumulators in self._each.values():
            for row, version in zip(rows.tolist(), versions.tolist(), strict=True):
                if row not in self.failures:
                    with self._failing(row, accumulators[row].name):
                        accumulators[row].update(outputs[version], targets)

    def values(self, metrics: Sequence[str], rows: IntArray | None = None) -> dict[str, FloatArray]:
        """The metrics [R]; NaN for candidates that failed, and that are not in `rows`."""
        wanted = np.arange(self._rows) if rows is None else rows
        found = {name: np.full(self._rows, np.nan) for name in metrics}
        for name, values in found.items():
            for row in wanted.tolist():
                if row not in self.failures:
                    with self._failing(row, name):
                        values[row] = self._each[name][row].compute()
        for values in found.values():
            values[list(self.failures)] = np.nan
        return found

    def best_possible(self, metrics: Sequence[str], total: int) -> dict[str, FloatArray]:
        """The best value that there is: of what is still to come nothing is known."""
        best = {"maximize": np.inf, "minimize": -np.inf}
        return {name: np.full(self._rows, best[find_metric(name).direction]) for name in metrics}

    @contextmanager
    def _failing(self, row: int, name: str) -> Iterator[None]:
        """What is raised inside is the failure of this candidate alone."""
        try:
            yield
        except Exception as error:
            self.failures[row] = f"metric {name} raised {describe_error(error)}"


def accumulator(
    name: str, feed: Feed, options: Mapping[str, Any] | None = None, *, where: str = ""
) -> TorchmetricsAccumulator:
    """An empty accumulator of the metric that `find_metric` knows under this name.

    `options` are the class's constructor arguments; what follows from the data is filled in where the class
    takes it. The metric is tried on the feed's samples at once: a UserError tells of unknown or wrong
    options, a metric that does not take such outputs, and one that gives more than one number.
    """
    place = f"{where}: " if where else ""
    metric = find_metric(name, where)
    if not metric.source:
        raise UserError(
            f"{place}{name} is a metric of widthwise itself, not of torchmetrics; it takes no options"
        )
    made = computing(metric)
    if (why := UNEVEN.get(getattr(made, "__name__", ""))) is not None:
        raise UserError(f"{place}{name} {why}; choose a metric that does not depend on how data is cut")
    parameters = inspect.signature(made).parameters
    given = _arguments(name, feed, dict(options or {}), parameters, place)
    adapt = _trial(name, made, given, feed, place)
    if "validate_args" in parameters:  # checked in the trial; checking each batch costs more than the metric
        given = {"validate_args": False} | given
    return TorchmetricsAccumulator(name, lambda: made(**given), adapt, feed.take)


def accumulators(
    metrics: Sequence[str], feed: Feed, options: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, TorchmetricsAccumulator]:
    """Those of the metrics that torchmetrics or a plug-in computes, by name; options: of each, by name."""
    given = options or {}
    return {name: accumulator(name, feed, given.get(name)) for name in metrics if find_metric(name).source}


def _arguments(
    name: str, feed: Feed, options: dict[str, Any], parameters: Mapping[str, inspect.Parameter], place: str
) -> dict[str, Any]:
    """The constructor's arguments: the options, with what follows from the data filled in."""
    allowed = [key for key, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    for key in options:
        if key not in allowed:
            close = nearest(key, allowed)
            hint = f"did you mean {close}? " if close else ""
            raise UserError(f"{place}{name} has no option {key}; {hint}allowed: {', '.join(sorted(allowed))}")
    for key, value in feed.fixed.items():
        if (found := options.get(key, value)) != value:
            raise UserError(f"{place}{name}: {key} = {found!r}, the data have {value}; leave it out")
    follows = {**feed.filled, **feed.fixed}
    given = {key: value for key, value in follows.items() if key in allowed} | options
    missing = [
        key for key in allowed if parameters[key].default is inspect.Parameter.empty and key not in given
    ]
    if "num_labels" in missing or "multilabel" == given.get("task") != feed.filled.get("task"):
        raise UserError(f"{place}{name} is for several labels a sample; use the Multiclass one")
    if missing:
        raise UserError(f"{place}{name} needs {', '.join(missing)} among its options")
    return given


def _trial(name: str, made: Any, given: Mapping[str, Any], feed: Feed, place: str) -> Adapt:
    """How outputs become what the metric takes; UserError where it takes none or gives no single number."""
    room = str(getattr(made, "__module__", "")).split(".")
    if feed.domains and room[0] == "torchmetrics" and not {*room[1:2]} & {*feed.domains}:
        own = " and ".join(f"torchmetrics.{domain}" for domain in feed.domains)
        raise UserError(
            f"{place}{name} is of {'.'.join(room[:2])} and not for {feed.said}; those of {own} are"
        )
    try:
        if feed.small is not None:
            _check_growth(name, made, given, feed.small, place)
        adapt, result = _tried(name, made, given, feed, place)
    except UserError:
        raise
    except Exception as error:  # torchmetrics raises many kinds for options and for shapes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{place}{name} does not work on {feed.said}: {reason}") from error
    if _is_number(result):
        _check_batching(name, made, given, feed, adapt, result, place)
        return adapt
    remedy = "choose"
    with contextlib.suppress(Exception):  # the metric may have no average, or none that helps
        if _is_number(_tried(name, made, {**given, "average": "macro"}, feed, place)[1]):
            remedy = 'set average = "macro", or choose'
    raise UserError(f"{place}{name} gives {_what(result)}; {remedy} a metric that gives one number")


def _tried(name: str, made: Any, given: Mapping[str, Any], feed: Feed, place: str) -> tuple[Adapt, object]:
    """How outputs become what the metric takes, and what it gives for the feed's samples."""
    metric = _quietly(lambda: made(**given))
    adapt = feed.adapt(name, metric, place)
    _quietly(lambda: metric.update(adapt(feed.outputs), feed.targets))
    return adapt, _quietly(metric.compute)


def _check_batching(
    name: str, made: Any, given: Mapping[str, Any], feed: Feed, adapt: Adapt, whole: Any, place: str
) -> None:
    """Raises UserError for a metric that is another where the same samples come in two batches."""
    metric, half = _quietly(lambda: made(**given)), len(feed.targets) // 2
    for part in (slice(0, half), slice(half, None)):
        _quietly(partial(metric.update, adapt(feed.outputs[part]), feed.targets[part]))
    found, expected = float(_quietly(metric.compute)), float(whole)
    if abs(found - expected) > 1e-5 + 1e-3 * abs(expected):  # False for NaN
        raise UserError(
            f"{place}{name} gives {found:g} for samples in two batches and {expected:g} for the same in one; "
            "choose a metric that does not depend on how data is cut"
        )


def _check_growth(name: str, made: Any, given: Mapping[str, Any], small: Feed, place: str) -> None:
    """Raises UserError for a metric that makes something of the size of the classes' square."""
    classes = small.outputs.shape[1]
    with _Largest() as seen:
        _tried(name, made, {**given, **small.fixed}, small, place)
    if seen.elements >= classes**2:
        raise UserError(
            f"{place}{name} grows with the square of the classes, which are too many for it; choose another, "
            'or one of all classes together (average = "micro")'
        )


class _Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types there
    """How many elements the largest tensor has that is made inside."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else [made]:
            if isinstance(one, Tensor):
                self.elements = max(self.elements, one.numel())
        return made


def _is_number(result: object) -> bool:
    return isinstance(result, Tensor) and result.numel() == 1 and not result.is_complex()


def _what(result: object) -> str:
    if isinstance(result, Tensor):
        return f"{result.numel()} numbers"
    return f"{len(result)} results" if isinstance(result, list | tuple | dict) else type(result).__name__


def _quietly(call: Callable[[], Any]) -> Any:
    """What the call gives, without torchmetrics' advice on memory and on classes without samples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()

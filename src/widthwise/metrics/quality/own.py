"""Figures of one's own: a tally whose figures callables give, of all outputs at once or sample by sample."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.metrics.catalogue import Metric, computing
from widthwise.metrics.own import described, is_accumulator
from widthwise.metrics.quality.aligned import aligned
from widthwise.metrics.quality.called import Called
from widthwise.metrics.quality.class_scores import as_logits
from widthwise.metrics.quality.task import Options
from widthwise.metrics.quality.torchmetrics import Accumulated, TorchmetricsAccumulator

BROKEN = "the outputs hold NaN"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Room:
    """What outputs that are kept may take.

    each: bytes of a candidate's outputs for all the data, as far as is known beforehand. most: bytes in all;
    None: no bound.
    """

    each: int = 0
    most: int | None = None


@dataclass(frozen=True, eq=False)
class OwnFigures:
    """What computes the figures of one's own: of all outputs, of each sample, and like torchmetrics."""

    metrics: Mapping[str, Metric]
    whole: Sequence[Called]
    each: Sequence[Called]
    made: Mapping[str, TorchmetricsAccumulator]
    room: Room


def own_figures(metrics: Sequence[Metric], options: Options, room: Room) -> OwnFigures:
    """Imports and makes what computes these metrics; raises UserError where that can't be."""
    whole: list[Called] = []
    each: list[Called] = []
    made: dict[str, TorchmetricsAccumulator] = {}
    for metric in metrics:
        compute = computing(metric)
        if is_accumulator(compute):
            made[metric.name] = _accumulator(metric, compute, options.get(metric.name, {}))
        elif not callable(compute):
            raise UserError(f"metric {metric.source}: is a {type(compute).__name__}, which can't be called")
        elif options.get(metric.name):
            raise UserError(f"metric {metric.name}: is a function; options are for classes")
        else:
            (each if metric.judges == "sample" else whole).append(Called(metric, compute))
    return OwnFigures({metric.name: metric for metric in metrics}, whole, each, made, room)


class OwnTally:
    """Figures of one's own of R candidates; what goes wrong with one is its failure, with the reason."""

    def __init__(self, rows: int, figures: OwnFigures) -> None:
        self.failures: dict[int, str] = {}
        self.causes: dict[int, Exception] = {}  # row to what was raised, where something was
        self._rows, self._figures = rows, figures
        self._accumulated = Accumulated(rows, figures.made, self.failures)
        # of each row, block by block: outputs [V, n, ...], which of them is its own, targets [n, ...]
        self._kept: list[list[tuple[Tensor, int, Tensor]]] = [[] for _ in range(rows)]
        self._bytes = 0
        self._sums = {called.metric.name: np.zeros(rows) for called in figures.each}
        self._seen = np.zeros(rows, dtype=np.int64)

    @property
    def row_bytes(self) -> int:
        """About how much memory a candidate takes."""
        kept = self._figures.room.each if self._figures.whole else 0
        return 128 + kept + self._accumulated.row_bytes

    def fresh(self, rows: int) -> OwnTally:
        """An empty one of the same figures."""
        return OwnTally(rows, self._figures)

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Takes in outputs [V, n, ...] for targets [n, ...]: those of rows [R'], each with its version."""
        used, place = np.unique(versions, return_inverse=True)
        # a copy: the engine computes the next values in place of these
        truth = targets.detach().cpu()
        found = aligned(outputs.detach()[torch.from_numpy(used).to(outputs.device)].cpu(), truth, before=1)
        if found.is_floating_point():
            broken = found.flatten(1).isnan().any(1).numpy()
            self.failures |= dict.fromkeys(rows[broken[place]].tolist(), BROKEN)
        self._seen[rows] += len(truth)
        for called in self._figures.each:
            self._add_samples(called, rows, found, place, truth)
        if self._figures.whole:
            self._keep(rows, found, place, truth)
        self._accumulated.add(rows, found, place, truth)

    def _add_samples(
        self, called: Called, rows: IntArray, outputs: Tensor, place: IntArray, targets: Tensor
    ) -> None:
        for version, one in enumerate(outputs):
            mine = rows[place == version]
            try:
                self._sums[called.metric.name][mine] += called.of_samples(one, targets).sum()
            except UserError as error:
                self._failed(mine, error)

    def _keep(self, rows: IntArray, outputs: Tensor, place: IntArray, targets: Tensor) -> None:
        self._bytes += outputs.nbytes
        most = self._figures.room.most
        if most is not None and self._bytes > most:
            names = ", ".join(called.metric.name for called in self._figures.whole)
            self._failed(
                rows,
                UserError(
                    f"metric {names}: the outputs for all the data take more than the {most >> 20:,} MiB "
                    "that may be kept; give values by_sample, judge on fewer samples or give more memory"
                ),
            )
            return
        for row, version in zip(rows.tolist(), place.tolist(), strict=True):
            self._kept[row].append((outputs, version, targets))

    def values(self, metrics: Sequence[str], rows: IntArray | None = None) -> dict[str, FloatArray]:
        """The figures [R]; NaN for candidates that failed, and that are not in `rows`."""
        wanted = np.arange(self._rows) if rows is None else rows
        made = [name for name in metrics if name in self._figures.made]
        found = self._accumulated.values(made, rows)
        for called in self._figures.each:
            found[called.metric.name] = self._means(called, wanted)
        for called in self._figures.whole:
            found[called.metric.name] = np.full(self._rows, np.nan)
        for same in self._alike(wanted):
            for called in self._figures.whole:
                if same[0] not in self.failures:
                    try:
                        found[called.metric.name][same] = called.of_all(*self._whole(same[0]))
                    except UserError as error:
                        self._failed(np.array(same), error)
        for values in found.values():
            values[list(self.failures)] = np.nan
        return {name: found[name] for name in metrics}

    def _means(self, called: Called, wanted: IntArray) -> FloatArray:
        found = np.full(self._rows, np.nan)
        for row in wanted.tolist():
            if row not in self.failures and self._seen[row]:
                try:
                    found[row] = called.checked(self._sums[called.metric.name][row] / self._seen[row])
                except UserError as error:
                    self._failed(np.array([row]), error)
        return found

    def _alike(self, rows: IntArray) -> list[list[int]]:
        """Rows that have the very same outputs, together: one call is for all of them."""
        groups: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for row in rows.tolist():
            if self._kept[row]:
                key = tuple((id(outputs), version) for outputs, version, _ in self._kept[row])
                groups.setdefault(key, []).append(row)
        return list(groups.values())

    def _whole(self, row: int) -> tuple[Tensor, Tensor]:
        """Outputs and targets of a row for all the data."""
        kept = self._kept[row]
        outputs = torch.cat([outputs[version] for outputs, version, _ in kept])
        return outputs, torch.cat([targets for _, _, targets in kept])

    def best_possible(self, metrics: Sequence[str], total: int) -> dict[str, FloatArray]:
        """The best end of the declared range, for the samples still to come at least."""
        found = {}
        for name in metrics:
            metric = self._figures.metrics[name]
            best = metric.high if metric.direction == "maximize" else metric.low
            found[name] = np.full(self._rows, best)
            if name in self._sums and np.isfinite(best):
                found[name] = (self._sums[name] + (total - self._seen) * best) / total
        return found

    def _failed(self, rows: IntArray, error: UserError) -> None:
        logger.info("%s", error, exc_info=error.__cause__)
        for row in rows.tolist():
            self.failures.setdefault(row, str(error))
            self.causes.setdefault(row, error)


def _accumulator(metric: Metric, given: Any, options: Mapping[str, Any]) -> TorchmetricsAccumulator:
    """An accumulator that is copied from an object, or made of a class with these options."""
    if options and not isinstance(given, type):
        raise UserError(f"metric {metric.name}: is an object already; options are for a class")

    def make() -> Any:
        if isinstance(given, type):
            return given(**options)
        made = copy.deepcopy(given)
        made.reset()
        return made

    try:
        name = given.__name__ if isinstance(given, type) else type(given).__name__
        return TorchmetricsAccumulator(metric.name, make, _adapter(name, given))
    except Exception as error:  # it is the user's
        raise UserError(
            f"metric {metric.name}: making {described(given)} raised {describe_error(error)}"
        ) from error


def _adapter(name: str, given: Any) -> Callable[[Tensor], Tensor]:
    """How outputs become what it takes: torchmetrics' own must not take scores for probabilities."""
    module = given.__module__ if isinstance(given, type) else type(given).__module__
    if not module.startswith("torchmetrics.classification."):
        return lambda outputs: outputs
    if name.startswith("Binary"):
        return _of_two
    return _each_apart if name.startswith("Multilabel") else as_logits


def _of_two(outputs: Tensor) -> Tensor:
    """One score a sample: of two classes the difference."""
    two = outputs.ndim == 2 and outputs.shape[1] == 2
    return _each_apart(outputs[:, 1] - outputs[:, 0] if two else outputs)


def _each_apart(outputs: Tensor) -> Tensor:
    """Probabilities of scores that torchmetrics would take for probabilities, as all lie in [0, 1]."""
    inside = bool(((outputs >= 0) & (outputs <= 1)).all())
    return outputs.sigmoid() if outputs.is_floating_point() and inside else outputs

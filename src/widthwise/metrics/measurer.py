"""What gives measured metrics: a measurer of one search, made by what a metric names as its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import Metric, computing

if TYPE_CHECKING:
    from widthwise.core.arrays import IntArray

Structure = tuple[int, ...]


class Measurer(Protocol):
    """Measures candidates of one search, one at a time.

    ordered: whether a structure that is nowhere below another takes no less than that.
    """

    ordered: bool

    def structures(self, candidates: IntArray, /) -> IntArray:
        """What the figures of candidates [K, D] follow from, [K, F]: rows alike have the same figures."""
        ...

    @property
    def known(self) -> Mapping[Structure, Mapping[str, float]]:
        """The figures of all structures that were measured so far, by metric."""
        ...

    def measure(self, structure: Structure, candidate: IntArray, /) -> Mapping[str, float]:
        """The figures of a candidate [D], by metric, from then on known.

        Raises UserError where there are none: what can't be run, a machine that is too restless.
        """
        ...

    def float_figures(self) -> Mapping[str, float]:
        """Those of the float network; UserError where nothing can be measured."""
        ...

    def keep_in(self, folder: Path, /) -> None:
        """From now on, keep figures in a folder, and use what it keeps."""
        ...


MakesMeasurer = Callable[..., Measurer]
"""What a metric names as its source, called with the network that is searched, its graph, what makes the
float network (`Realised`), the evaluator of candidates, and how they are timed (`Timing`).

It raises UserError where candidates can't be measured.
"""


def measurer_of(metrics: Sequence[Metric], *about: Any) -> tuple[Measurer, tuple[str, ...]] | None:
    """What measures candidates, and the metrics that it gives; None where there are none.

    about: what `MakesMeasurer` takes. Raises UserError for metrics of several sources.
    """
    if not metrics:
        return None
    first = metrics[0]
    for metric in metrics:
        if metric.source != first.source:
            raise UserError(
                f"metrics {first.name} and {metric.name}: are measured by two things, one after the other; "
                "name one of them"
            )
    make: MakesMeasurer = computing(first)
    return make(*about), tuple(metric.name for metric in metrics)

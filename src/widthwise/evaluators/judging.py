"""How candidates are judged: by which metrics, on which data, with what; the same for every evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts, part, samples_of
from widthwise.data.modules import Data
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.own import Given, find_metrics
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.task import Tally, Task
from widthwise.metrics.quality.tasks import metric_of, task_of, usual_metrics

if TYPE_CHECKING:
    from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.metrics.quality.sureness import Sureness

FLOAT_BYTES = 4


class JudgingKeywords(TypedDict, total=False):
    """Judging as keyword arguments."""

    metrics: Sequence[Given]
    options: Mapping[str, Mapping[str, Any]] | None
    loader: str
    samples: int | None
    compare_to: float
    device: str
    memory: int | None
    seed: int
    objectives: Sequence[str] | None
    task: Task | str | None
    output: str | int | None


@dataclass(frozen=True, eq=False)
class Judging:
    """By which metrics candidates are judged, and how.

    metrics: each once; options: those of torchmetrics', and of classes of one's own, by metric name.
    task: what outputs are worth.
    output: which of several that a network returns is judged, by its key or index; None: see `find_output`.
    part: of the data, "val" or "test"; samples: only the first so many, None: all.
    compare_to: bits that memory_density compares with. device: cpu, cuda …
    memory: bytes that evaluating may take; None: a quarter of what is free.
    seed: of whatever is random. objectives: names of metrics by which candidates are compared while they are
        evaluated; empty: all of them.
    """

    metrics: tuple[Metric, ...]
    task: Task
    part: str = "val"
    samples: int | None = None
    compare_to: float = 32
    device: str = "cpu"
    memory: int | None = None
    seed: int = 0
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()
    output: str | int | None = None

    @classmethod
    def of(cls, network: nn.Module, data: Data, **given: Unpack[JudgingKeywords]) -> Judging:
        """From the keyword arguments of the evaluators, where the part of the data is its `loader`.

        Without a task it is the one that fits what the network gives on that part, and without metrics they
        are its usual ones. Raises UserError for
        metrics that are unknown, of another task, or measured on a device.
        """
        others: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if "loader" in others:
            others["part"] = others.pop("loader")
        said, name, asked = others.pop("task", None), others.get("part", "val"), others.pop("metrics", None)
        if said is None:
            find_metrics(asked or (), partial(metric_of, None))  # before anything is run
            task = check_data_fits_model(network, data, None, others.get("output"), name=name).task
        else:
            task = task_of(said)
        metrics = find_metrics(usual_metrics(task) if asked is None else asked, partial(metric_of, task))
        if measured := [metric.name for metric in metrics if metric.kind == "measured"]:
            raise UserError(
                f"metric {measured[0]}: is measured, so it does not follow from a network and its data; "
                "search with an evaluator of your own that measures it"
            )
        return cls(metrics, task, objectives=tuple(others.pop("objectives", ())), **others)

    @property
    def quality(self) -> tuple[str, ...]:
        """The names of the metrics that follow from a network's outputs."""
        return tuple(metric.name for metric in self.metrics if metric.kind == "quality")

    @property
    def cost(self) -> tuple[Metric, ...]:
        """The metrics that follow from the network alone, without running it."""
        return tuple(metric for metric in self.metrics if metric.kind == "cost")

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of both, quality first."""
        return (*self.quality, *(metric.name for metric in self.cost))

    def loader(self, data: Data) -> Any:
        """A fresh loader of the part of the data to judge on."""
        return part(data, self.part)

    def sureness(self, data: Data, about: DataFacts, outputs: Sequence[Tensor], targets: Tensor) -> Sureness:
        """How sure the qualities of candidates with these outputs are, K tensors [n, ...]."""
        from widthwise.metrics.quality.sureness import sureness

        quality = [metric for metric in self.metrics if metric.kind == "quality"]
        shape = tuple(outputs[0].shape[1:])

        def make(metrics: Sequence[Metric]) -> Tally:
            names = {metric.name for metric in metrics}
            options = {name: given for name, given in self.options.items() if name in names}
            return replace(self, metrics=tuple(metrics), options=options).tally(data, about, shape)

        return sureness(make, quality, outputs, targets, seed=self.seed)

    def tally(
        self, data: Data, about: DataFacts, outputs: tuple[int, ...], *, most: int | None = None
    ) -> Tally:
        """An empty tally of the qualities; outputs: their shape for one sample.

        most: bytes of outputs that may be kept for metrics of one's own; None: no bound. Raises UserError for
        a metric that can't be had.
        """
        from widthwise.metrics.quality.joined import tally_of
        from widthwise.metrics.quality.own import Room

        quality = [metric for metric in self.metrics if metric.kind == "quality"]
        samples = 0
        if any(metric.is_own for metric in quality):
            there = samples_of(data, self.part) or 0
            samples = there if self.samples is None else min(there, self.samples)
        room = Room(FLOAT_BYTES * samples * prod(outputs), most)
        return tally_of(self.task, quality, about, outputs, self.options, room)

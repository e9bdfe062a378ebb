"""How candidates are judged: by which metrics, on which data, with what; the same for every evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypedDict, Unpack

from widthwise.metrics.catalogue import Metric, find_metric


class JudgingKeywords(TypedDict, total=False):
    """Judging as keyword arguments, of which `metrics` must be given."""

    metrics: Sequence[str]
    options: Mapping[str, Mapping[str, Any]] | None
    loader: str
    samples: int | None
    compare_to: float
    device: str
    memory: int | None
    seed: int
    objectives: Sequence[str] | None


@dataclass(frozen=True)
class Judging:
    """By which metrics candidates are judged, and how.

    metrics: names of quality and cost metrics, each once; options: those of torchmetrics' by metric name.
    part: of the data, "val" or "test"; samples: only the first so many, None: all.
    compare_to: bits that memory_density compares with. device: cpu, cuda …
    memory: bytes that evaluating may take; None: a quarter of what is free.
    seed: of whatever is random. objectives: metrics by which candidates are compared while they are
        evaluated; empty: all of them.
    """

    metrics: tuple[str, ...]
    part: str = "val"
    samples: int | None = None
    compare_to: float = 32
    device: str = "cpu"
    memory: int | None = None
    seed: int = 0
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()

    @classmethod
    def of(cls, **given: Unpack[JudgingKeywords]) -> Judging:
        """From the keyword arguments of the evaluators, where the part of the data is its `loader`."""
        others: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if "metrics" not in others:
            raise TypeError("metrics: is missing; name what candidates are judged by")
        if "loader" in others:
            others["part"] = others.pop("loader")
        for key in ("metrics", "objectives"):
            others[key] = tuple(dict.fromkeys(others.get(key, ())))
        return cls(**others)

    @cached_property
    def found(self) -> dict[str, Metric]:
        """The metrics by their names; raises UserError for unknown ones."""
        return {name: find_metric(name) for name in self.metrics}

    @property
    def quality(self) -> tuple[str, ...]:
        """The metrics that follow from a network's outputs."""
        return tuple(name for name, metric in self.found.items() if metric.kind == "quality")

    @property
    def cost(self) -> tuple[str, ...]:
        """The metrics that follow from the network alone."""
        return tuple(name for name, metric in self.found.items() if metric.kind == "cost")

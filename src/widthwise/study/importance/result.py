"""What is known of the importance of decisions, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.finite import finite
from widthwise.metrics.catalogue import Metric

Method = Literal["exact", "fitted"]
ROUNDING = 1e-12  # a sum of shares is this far from 1


@dataclass(frozen=True, eq=False)
class Effects:
    """How one metric depends on the D decisions that vary, over all candidates of their choices alike.

    Functional ANOVA: metric = mean + sum of main effects + sum of pair effects + the rest, every effect 0 on
    average over the choices of each of its decisions. Shares are of the metric's variance.

    method: "exact" from all combinations; "fitted" from a model of the trials that there are, whose shares
        are of its own variance.
    main [D]: share of each decision by itself. total [D]: with all interactions that it takes part in.
    pairs [D, D]: share of each pair's interaction, symmetric, 0 on the diagonal.
    by_choice: for each decision the main effect of each of its choices [choices], in the metric's unit.
    layer_alone [L]: share of all decisions of a layer together, interactions among them included.
    layer_total [L]: with the interactions that they have with other layers' decisions.
    fit: for a fitted one, the share of the variance of trials that the model predicts when they are left
        out (leave-one-out R², at most 1, below 0 worse than their mean); None for an exact one.
    """

    metric: str
    method: Method
    mean: float
    variance: float
    main: FloatArray
    total: FloatArray
    pairs: FloatArray
    by_choice: tuple[FloatArray, ...]
    fit: float | None = None
    layer_alone: FloatArray = field(default_factory=lambda: np.zeros(0))
    layer_total: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def rest(self) -> float:
        """The share that main effects and pairs leave: interactions of three decisions and more."""
        left = float(1 - self.main.sum() - self.pairs.sum() / 2) if self.variance > 0 else 0.0
        return left if left > ROUNDING else 0.0


@dataclass(frozen=True)
class ChoiceChange:
    """One decision changed in the base candidate: what it is then, and by how much each metric differs."""

    decision: str
    choice: Any
    trial: int
    differences: Mapping[str, float]


@dataclass(frozen=True)
class LayerChange:
    """All decisions of one layer at their smallest in the base candidate: by how much each metric differs."""

    layer: str
    trial: int
    differences: Mapping[str, float]


@dataclass(frozen=True)
class Sensitivity:
    """The largest candidate, and the trials that differ from it in one decision or in one layer.

    base: its trial, None where it was not evaluated; metrics: its own. missing: single changes that were not
    evaluated. layers: those whose smallest was evaluated.
    """

    base: int | None
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    changes: tuple[ChoiceChange, ...]
    missing: int
    layers: tuple[LayerChange, ...] = ()


@dataclass(frozen=True, eq=False)
class Importance:
    """What the trials of a study say of its decisions.

    decisions: those that vary among the trials; choices: the ones that occur, of each. fixed: the others.
    layers: the layers that decisions belong to, in their order.
    trials: how many were used; left_out: failed ones, and those beyond what a model is fitted to. not_kept:
        those that were evaluated but not stored, as they are on no front. metrics: the study's, by name.
    """

    study: str
    decisions: tuple[str, ...]
    choices: tuple[tuple[Any, ...], ...]
    fixed: tuple[str, ...]
    trials: int
    left_out: int
    size: int
    effects: tuple[Effects, ...]
    sensitivity: Sensitivity
    layers: tuple[str, ...] = ()
    not_kept: int = 0
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All of it in plain JSON values; pairs by name, greatest first, none of share 0."""
        content = {
            "study": self.study,
            "trials": self.trials,
            "left_out": self.left_out,
            "not_kept": self.not_kept,
            "size": self.size,
            "fixed": list(self.fixed),
            "metrics": {effects.metric: self._metric(effects) for effects in self.effects},
            "sensitivity": asdict(self.sensitivity),
        }
        cleaned: dict[str, Any] = finite(content)
        return cleaned

    def ranked(self, effects: Effects) -> list[int]:
        """The decisions by their total share, greatest first; equal ones in their order."""
        return sorted(range(len(self.decisions)), key=lambda i: (-round(float(effects.total[i]), 9), i))

    def ranked_pairs(self, effects: Effects) -> list[tuple[int, int]]:
        """The pairs of decisions by the share of their interaction, greatest first, none of share 0."""
        count = len(self.decisions)
        pairs = [(i, j) for i in range(count) for j in range(i + 1, count) if effects.pairs[i, j] > 0]
        return sorted(pairs, key=lambda pair: (-round(float(effects.pairs[pair]), 9), pair))

    @property
    def has_layers(self) -> bool:
        """Whether layers say something that decisions do not: there are several, and one has several."""
        return 1 < len(self.layers) < len(self.decisions)

    def ranked_layers(self, effects: Effects) -> list[int]:
        """The layers by their total share, greatest first; equal ones in their order."""
        return sorted(range(len(self.layers)), key=lambda i: (-round(float(effects.layer_total[i]), 9), i))

    def _metric(self, effects: Effects) -> dict[str, Any]:
        return {
            "method": effects.method,
            "fit": effects.fit,
            "mean": effects.mean,
            "variance": effects.variance,
            "rest": effects.rest,
            "decisions": [
                {
                    "name": self.decisions[i],
                    "main": effects.main[i],
                    "total": effects.total[i],
                    "choices": [
                        {"choice": choice, "effect": effect}
                        for choice, effect in zip(self.choices[i], effects.by_choice[i], strict=True)
                    ],
                }
                for i in self.ranked(effects)
            ],
            "layers": [
                {"name": self.layers[i], "main": effects.layer_alone[i], "total": effects.layer_total[i]}
                for i in self.ranked_layers(effects)
            ],
            "pairs": [
                {"first": self.decisions[i], "second": self.decisions[j], "share": effects.pairs[i, j]}
                for i, j in self.ranked_pairs(effects)
            ],
        }

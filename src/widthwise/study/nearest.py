"""What comes nearest to the bounds of a search that nothing met, and by how much it misses which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.metrics.goals.constraints import Miss, nearest_candidates

if TYPE_CHECKING:
    from widthwise.study.study import Study

NEAREST = 3


@dataclass(frozen=True)
class Near:
    """A trial, or a candidate that was not evaluated (number is None), with the bounds that it misses."""

    number: int | None
    misses: tuple[Miss, ...]
    config: Mapping[str, Any]

    def __str__(self) -> str:
        name = "" if self.number is None else f"trial {self.number}: "
        return name + "; ".join(map(str, self.misses))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        misses = [{**miss.constraint.as_json(), "value": miss.value} for miss in self.misses]
        return {"number": self.number, "misses": misses, "config": dict(self.config)}


def nearest_trials(study: Study) -> list[Near]:
    """The trials nearest to the bounds, nearest first; none where some trial is on the front."""
    constraints = study.record.settings.constraints
    if study.front or not constraints:
        return []
    block = study.trials.arrays()
    metrics = {name: block.metrics[:, column] for column, name in enumerate(study.record.columns)}
    return [
        Near(
            int(block.numbers[found.row]),
            found.misses,
            study.record.space.chosen(block.candidates[found.row]),
        )
        for found in nearest_candidates(constraints, metrics, count=NEAREST)
    ]

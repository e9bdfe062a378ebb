"""What comes nearest to the bounds of a search that nothing met, and by how much it misses which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from widthwise.metrics.goals.constraints import Miss, nearest_candidates
from widthwise.study.front import constraints_of

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
        misses = [{**asdict(miss.constraint), "value": miss.value} for miss in self.misses]
        return {"number": self.number, "misses": misses, "config": dict(self.config)}


def nearest_trials(study: Study) -> list[Near]:
    """The trials nearest to the bounds, nearest first; none where some trial is on the front."""
    constraints = constraints_of(study.record)
    if study.front or not constraints:
        return []
    block = study.trials.arrays()
    metrics = {name: block.metrics[:, column] for column, name in enumerate(study.record.metrics)}
    return [
        Near(
            int(block.numbers[found.row]),
            found.misses,
            study.record.space.chosen(block.candidates[found.row]),
        )
        for found in nearest_candidates(constraints, metrics, count=NEAREST)
    ]

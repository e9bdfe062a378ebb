"""What the script of a study's page reads: plain JSON values, as small as they can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.toml import shown_choice
from widthwise.report.shown.schemes import parts_of
from widthwise.study.sureness import FLOAT

if TYPE_CHECKING:
    from widthwise.core.arrays import IntArray
    from widthwise.report.shown.view import StudyView
    from widthwise.spaces.space import Space

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
SIGNIFICANT = 7  # digits of a figure


def study_data(view: StudyView, *, live: bool) -> dict[str, Any]:
    """Of all that is drawn."""
    study, settings = view.study, view.study.record.settings
    index = {axis.name: number for number, axis in enumerate(view.axes)}
    return {
        "live": live,
        "axes": _axes(view),
        "pair": [index[axis.name] for axis in view.pair] if view.pair is not None else [0, 0],
        "points": {
            "numbers": view.points.numbers.tolist(),
            "values": [[rounded(value) for value in column] for column in view.points.values.T.tolist()],
            "within": view.points.within.astype(int).tolist(),
            "choices": _choices(study.record.space, view.points.candidates),
        },
        "decisions": [
            {"name": decision.name, "choices": [shown_choice(choice) for choice in decision.choices]}
            for decision in study.record.space.decisions
        ],
        "parts": [{"key": part.key, "columns": part.columns} for part in parts_of(study.record.space)],
        "front": [{"number": row.trial.number, "errors": row.errors} for row in view.front.rows],
        "float": {name: value for name, value in settings.float_metrics.items() if name in index},
        "floatErrors": study.sureness.errors.get(FLOAT, {}),
        "floatName": "untrained" if settings.untrained else "float",
        "baselines": [{"label": one.label, "number": one.number} for one in view.baselines],
        "bounds": [{"name": c.name, "op": c.op, "bound": c.bound} for c in settings.constraints],
        "pick": None if view.pick is None else view.pick.number,
        "map": None if view.layers is None else vars(view.layers),
        "course": _course(view),
        "expected": _expected(view),
        "evaluated": [
            {"label": one.label, "metrics": one.metrics}
            for one in (() if view.explanation is None else view.explanation.uniform)
            if one.trial is None
        ],
        "pairs": _pairs(view),
    }


def _axes(view: StudyView) -> list[dict[str, Any]]:
    return [
        {
            "name": axis.name,
            "label": axis.label,
            "maximize": axis.maximize,
            "cost": axis.is_cost,
            "objective": axis.objective,
        }
        for axis in view.axes
    ]


def _course(view: StudyView) -> dict[str, Any]:
    """How far the search was after so many trials."""
    share = [rounded(value) for value in view.course.share]
    return {
        "trials": view.course.trials,
        "seconds": [rounded(value) for value in view.course.seconds],
        "charts": [
            *([{"name": "share", "values": share}] if share else []),
            *(
                {"name": name, "values": [rounded(value) for value in values]}
                for name, values in view.course.best.items()
            ),
        ],
    }


def _expected(view: StudyView) -> list[dict[str, Any]]:
    """What was expected of trials against what was measured of them."""
    return [
        {
            "name": one.name,
            "numbers": one.numbers,
            "expected": [rounded(value) for value in one.expected],
            "measured": [rounded(value) for value in one.measured],
        }
        for one in view.expected
    ]


def _pairs(view: StudyView) -> list[dict[str, Any]]:
    """What two changes at once add to the sum of both, around float and the pick, where it is known."""
    found = view.explanation
    if found is None or found.quality is None:
        return []
    return [
        {
            "base": one.base,
            "names": [one.changes[number].name for number in one.moves],
            "values": one.pairs[found.quality],
        }
        for one in found.around
        if one.pairs is not None and found.quality in one.pairs
    ]


def rounded(value: float) -> float:
    """To as many digits as can be seen."""
    return float(f"{value:.{SIGNIFICANT}g}")


def _choices(space: Space, candidates: IntArray) -> list[str] | list[list[int]]:
    """A digit a decision for each candidate [k, D], where digits are enough."""
    if len(space.decisions) and space.cardinalities.max() > len(DIGITS):
        rows: list[list[int]] = candidates.tolist()
        return rows
    table = np.array(list(DIGITS))
    return ["".join(row) for row in table[candidates]] if candidates.size else [""] * len(candidates)

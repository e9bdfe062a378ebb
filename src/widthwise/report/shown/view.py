"""A study as it is shown, whole: made once, taken by pages, pictures and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from widthwise.report.finetuned import tuned_lines
from widthwise.report.measured import figures
from widthwise.report.shown.advice import Advice, advice_of
from widthwise.report.shown.axes import Axis, axes_of, first_pair
from widthwise.report.shown.course import Course, course_of
from widthwise.report.shown.expected import Expected, expected_of
from widthwise.report.shown.front import FrontRow, FrontView, front_view
from widthwise.report.shown.layers import LayerMap, layer_map
from widthwise.report.shown.mixing import Mixing, mixing_of
from widthwise.report.shown.overview import pick_lines, searched_line
from widthwise.report.shown.points import Points, points_of
from widthwise.report.shown.recipe import Recipe, recipe_of
from widthwise.report.shown.uniform import Uniform, uniform_schemes
from widthwise.report.terminal import best_lines
from widthwise.study.detail import KeptDetail, read_detail
from widthwise.study.explanation import Explanation, read_explanation
from widthwise.study.finetuned import overlaid
from widthwise.study.layer_figures import LayerFigures, read_layer_figures
from widthwise.study.picked import pick_of
from widthwise.study.store import Store
from widthwise.study.trials import join_blocks

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray, IntArray
    from widthwise.study.store import Block
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

MOST_MEMBERS = 60  # of a front in a map of its layers


@dataclass(frozen=True)
class Baseline:
    """A uniform scheme: its label and the number of its trial that is best in the first pair of metrics."""

    label: str
    number: int


@dataclass(frozen=True)
class StudyView:
    """All that is shown of a study.

    lines: the study in sentences. trouble: why there is no front; nothing where there is one.
    mixing, advice: by the trials alone, nothing where `explanation` has it.
    pair: (quality, cost) to begin with; None where no metric is stored. missing: uniform schemes that the
    space has and no trial is.
    """

    study: Study
    lines: tuple[str, ...]
    trouble: tuple[str, ...]
    axes: tuple[Axis, ...]
    pair: tuple[Axis, Axis] | None
    points: Points
    front: FrontView
    pick: Trial | None
    rule: str | None
    baselines: tuple[Baseline, ...]
    missing: tuple[str, ...]
    mixing: tuple[Mixing, ...]
    layers: LayerMap | None
    advice: Advice | None
    figures: LayerFigures | None
    detail: KeptDetail | None
    explanation: Explanation | None
    course: Course
    expected: tuple[Expected, ...]
    measured: Mapping[int, str]
    recipe: Recipe

    @property
    def members(self) -> tuple[FrontRow, ...]:
        """The rows of the front that a map has room for."""
        return self.front.rows if len(self.front.rows) <= MOST_MEMBERS else self.front.shown


def study_view(study: Study, *, rule: str | None = None, everything: bool = False) -> StudyView:
    """A study with all its trials; `rule` picks, by default the knee is.

    everything: near-equal rows of the front stand alone. Raises UserError for a rule that can't be met.
    """
    pick = pick_of(study, rule)
    block, ends, elapsed = _stored(study)
    axes = axes_of(study)
    pair = first_pair(axes)
    explanation = read_explanation(study.folder)
    schemes = uniform_schemes(study.record.space, block.candidates)
    uniform = tuple(one for one in schemes if one.rows)
    pairs = [] if explanation is not None and explanation.mixing else _pairs(axes)
    mixing = tuple(
        found for quality, cost in pairs if (found := mixing_of(study, block, uniform, quality, cost))
    )
    baselines = _baselines(block, uniform, pair)
    front = front_view(study, everything=everything)
    kept = {trial.number for trial in study.front} | {one.number for one in baselines}
    kept |= set() if pick is None else {pick.number}
    view = StudyView(
        study=study,
        lines=(searched_line(study), *tuned_lines(study), *pick_lines(study, pick, rule, axes)),
        trouble=() if study.front else tuple(best_lines(study)),
        axes=axes,
        pair=pair,
        points=points_of(study.record, block, axes, kept),
        front=front,
        pick=pick,
        rule=rule,
        baselines=baselines,
        missing=tuple(one.label for one in schemes if not one.rows),
        mixing=mixing,
        layers=None,
        advice=advice_of(study) if explanation is None else None,
        figures=read_layer_figures(study.folder),
        detail=read_detail(study.folder),
        explanation=explanation,
        course=course_of(study, block, ends, elapsed),
        expected=expected_of(study, block),
        measured={
            number: "; ".join(f"{each.label} {each.version}: {figures(each)}" for each in found)
            for number, found in study.measured.items()
        },
        recipe=recipe_of(study, pick),
    )
    return replace(view, layers=layer_map(study, [row.trial for row in view.members]))


def _stored(study: Study) -> tuple[Block, IntArray, FloatArray]:
    with Store.open(study.source, readonly=True) as store:
        block = join_blocks(list(store.blocks(study.record)), study.record)
        return (overlaid(study.record, block, study.finetuned), *store.times(study.record))


def _pairs(axes: tuple[Axis, ...]) -> list[tuple[Axis, Axis]]:
    """Each objective of quality against each of cost; the first pair where there are none such."""
    objectives = [axis for axis in axes if axis.objective]
    costs = [axis for axis in objectives if axis.is_cost]
    found = [(quality, cost) for quality in objectives if not quality.is_cost for cost in costs]
    pair = first_pair(axes)
    return found or ([pair] if pair is not None and pair[0] != pair[1] else [])


def _baselines(
    block: Block, uniform: tuple[Uniform, ...], pair: tuple[Axis, Axis] | None
) -> tuple[Baseline, ...]:
    if pair is None:
        return ()
    quality, cost = pair
    found = []
    for scheme in uniform:
        rows = np.array(scheme.rows)
        values = block.metrics[rows][:, [quality.column, cost.column]]
        known = ~np.isnan(values).any(axis=1)
        if known.any():
            keys = (-cost.better(values[known, 1]), -quality.better(values[known, 0]))
            best = rows[known][np.lexsort(keys)[0]]
            found.append(Baseline(scheme.label, int(block.numbers[best])))
    return tuple(found)

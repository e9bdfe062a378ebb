"""The page of a study: what it says, whatever the study holds."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from helpers import searches
from helpers.studies import HOSTILE, made_run
from widthwise.metrics.catalogue import METRICS, Metric
from widthwise.metrics.goals.pareto import nondominated
from widthwise.report.page.study import page_of, study_page
from widthwise.report.shown.axes import Axis
from widthwise.report.shown.points import _outline, points_of
from widthwise.report.shown.schemes import in_few_words, parts_of
from widthwise.report.shown.view import study_view
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search

OWN = Metric(HOSTILE, "quality", "maximize", None, HOSTILE)


class _Scripts(HTMLParser):
    """The scripts of a page and the tags that it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data: dict[str, str] = {}
        self._at: str | None = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._at = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, data):
        if self._at:
            self.data[self._at] = self.data.get(self._at, "") + data


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("runs") / "made", bounds=["model_size <= 190"])


def test_front_on_the_page_is_the_front_of_the_study_sorted_by_cost(study):
    view = study_view(study)
    sizes = [row.trial.metrics["model_size"] for row in view.front.rows]
    assert sizes == sorted(sizes)
    assert {row.trial.number for row in view.front.rows} == {tie.trial.number for tie in study.ties}
    assert len(view.front.shown) <= 20
    held = json.loads(_Scripts(page_of(view)).data["study"])
    assert [row["number"] for row in held["front"]] == [row.trial.number for row in view.front.rows]
    block = study.trials.arrays()
    assert np.allclose(held["points"]["values"], block.metrics[:, [0, 1, 2]].T)
    assert held["points"]["within"] == (block.metrics[:, 1] <= 190).astype(int).tolist()


def test_uniform_schemes_are_those_of_equal_widths_and_mixing_is_judged_at_their_cost(study):
    view = study_view(study)
    assert [one.label for one in view.baselines] == ["2 bits", "4 bits", "8 bits"]
    chosen = [set(study.trial(one.number).candidate) for one in view.baselines]
    assert chosen == [{0}, {1}, {2}]
    (mixing,) = view.mixing
    for row in mixing.rows:
        affordable = [t for t in study.front if t.metrics["model_size"] <= row.cost]
        best = max(t.metrics["accuracy"] for t in affordable)
        assert row.front_quality == best
        assert row.gain == pytest.approx(best - row.quality)


def test_uniform_schemes_that_no_trial_is_are_named_with_what_evaluates_them(tmp_path, study):
    cut = study_view(made_run(tmp_path / "made", trials=20))
    tried = [trial.candidate for trial in cut.study.trials]
    missing = [f"{bits} bits" for index, bits in enumerate((2, 4, 8)) if (index,) * 6 not in tried]
    assert missing
    assert list(cut.missing) == missing
    said = f"Of the uniform schemes that the space has no trial is {', '.join(missing)}:"
    assert said in page_of(cut)
    assert f"widthwise explain {cut.study.folder}</code> evaluates them" in page_of(cut)
    assert study_view(study).missing == ()
    assert "Of the uniform schemes that the space has" not in page_of(study_view(study))


def test_near_equal_rows_stand_behind_one_another_and_are_kept(tmp_path):
    study = made_run(tmp_path / "made")
    front = study_view(study).front
    behind = [number for row in front.rows for number in row.near]
    assert len(behind) == len(set(behind)) == front.grouped
    noisy = study.within_noise
    for row in front.rows:
        for number in row.near:
            other = study.trial(number)
            assert number in noisy[row.trial.number]
            assert other.metrics["model_size"] == pytest.approx(row.trial.metrics["model_size"], rel=0.01)
            assert row.trial.metrics["accuracy"] >= other.metrics["accuracy"]


def test_of_many_trials_the_front_and_the_extremes_of_each_pair_are_exact(study):
    view = study_view(study)
    few = points_of(study.record, study.trials.arrays(), view.axes, (), most=60)
    assert len(few.numbers) < few.total == 729
    every = view.points.values * [1, -1, -1]  # accuracy is maximised, the others are not
    some = few.values * [1, -1, -1]
    for pair in ([0, 1], [0, 2], [1, 2]):
        of_all, of_some = ({tuple(p) for p in v[nondominated(v)]} for v in (every[:, pair], some[:, pair]))
        assert of_some == of_all
        assert (some[:, pair].min(axis=0) == every[:, pair].min(axis=0)).all()
        for slope in np.linspace(0, 2 * np.pi, 33):  # as far out in any direction
            way = np.array([np.cos(slope), np.sin(slope)]) / np.ptp(every[:, pair], axis=0)
            assert (some[:, pair] @ way).max() == pytest.approx((every[:, pair] @ way).max())


def test_two_costs_that_are_one_do_not_make_every_trial_an_outline():
    axes = [Axis(METRICS[name], n, False, True) for n, name in enumerate(("model_size", "bops"))]
    values = np.stack([np.arange(5000.0), -np.arange(5000.0)], axis=1)
    assert len(_outline(values, axes)) <= 504


def test_course_ends_with_the_hypervolume_and_the_best_of_the_study(study):
    course = study_view(study).course
    assert course.share[-1] == 1.0
    assert list(course.share) == sorted(course.share)
    assert course.trials[-1] == 729
    assert course.best["accuracy"][-1] == max(trial.metrics["accuracy"] for trial in study.front)
    assert course.best["model_size"][-1] == min(trial.metrics["model_size"] for trial in study.front)


def test_advice_leaves_out_what_no_trial_of_the_front_has(tmp_path):
    made = {"layers": ["a", "b"], "channels": True, "sure": False}
    study = made_run(tmp_path / "made", bounds=["model_size <= 150"], **made)
    advice = study_view(study).advice
    assert advice.members == len(study.ties) == 5
    chosen = [item for trial in study.front for item in trial.config.items()]
    gone = {each.key: set(each.choices) for each in advice.unused}
    for key in ("data_in_width", "weight_width"):
        used = {choice for name, choice in chosen if name.endswith(key)}
        assert gone.get(key, set()) == {2, 4, 8} - used
    left = sorted({2, 4, 8} - gone["data_in_width"])
    assert f"data_in_width = {left}" in advice.config
    fewer = made_run(tmp_path / "fewer", bounds=["model_size <= 140"], **made)
    assert study_view(fewer).advice is None  # as `explain` has it: of fewer than five nothing can be told


def test_hostile_names_stay_text(tmp_path):
    study = made_run(
        tmp_path / "made", layers=[HOSTILE, "b"], metrics=[OWN, "model_size"], name=HOSTILE, fail="some"
    )
    page = study_page(study)
    found = _Scripts(page)
    assert found.tags.count("script") == 4  # the data, plotly, the theme, the study
    assert "img" not in found.tags
    assert "b" not in found.tags
    assert not set("<>&") & set(found.data["study"])
    assert json.loads(found.data["study"])["axes"][0]["name"] == HOSTILE
    assert "http:" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


@pytest.mark.parametrize(
    "options",
    [
        {"trials": 0},
        {"trials": 1},
        {"fail": "all", "trials": 20},
        {"metrics": ["accuracy"], "objectives": 1, "trials": 40},
        {
            "metrics": ["accuracy", "model_size", "bops", "loss", "average_bitwidth"],
            "objectives": 5,
            "trials": 90,
        },
        {"layers": [f"layer_{n}" for n in range(60)], "trials": 90},
        {"layers": ["a", "b"], "channels": True, "trials": 90},
    ],
    ids=["empty", "one trial", "failures", "one metric", "five metrics", "60 layers", "joint"],
)
def test_every_study_has_a_page(tmp_path, options):
    study = made_run(tmp_path / "made", **options)
    view = study_view(study)
    page = page_of(view)
    assert len(page) < 4_000_000
    assert (view.pick is None) == (not study.front)
    for line in (*view.lines, *view.trouble):
        assert line in page or "'" in line or '"' in line
    if not study.front:
        assert view.trouble


def test_equal_choices_in_a_row_are_counted(tmp_path):
    space = made_run(tmp_path / "made", trials=1).record.space
    words = in_few_words(space, [0, 1, 0, 1, 2, 1], parts_of(space))
    assert words == "data_in_width 2*2 8, weight_width 4*3"


def test_a_space_beyond_any_float_is_on_the_page(tmp_path):
    space = searches.space_of(*(f"layer {i}/weight_width" for i in range(700)))  # 3^700
    with searches.start_or_resume(tmp_path / "run", space=space) as run:
        evaluator = searches.Evaluator(weights=(1,) * 700)
        study = run_search(
            searches.make_strategy("random", space=space), evaluator, run.writer, limits=Limits(trials=5)
        )
    assert "9.7e333 candidates from 700 decisions" in study_page(study)

"""The front in the terminal: a table to choose from, whatever the width."""

from __future__ import annotations

import re

import numpy as np
import pytest

from helpers.studies import made_run
from widthwise.report.choosing import front_lines, mark_lines
from widthwise.report.scatter import scatter_lines
from widthwise.report.shown.front import front_view, leaders


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("runs") / "made")


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_every_line_fits_and_every_row_says_what_it_chooses(study, width):
    view = front_view(study)
    lines = front_lines(study, view, width)
    assert max(map(len, lines)) <= width
    words = re.sub(r"\s+", " ", " ".join(lines))
    for row in view.shown:
        assert row.choices in words
    numbers = [line.split()[0] for line in lines if re.match(r" *\d", line) and "±" in line]
    assert numbers == [str(row.trial.number) for row in view.shown]


def test_few_rows_are_shown_of_many_with_both_ends_and_all_when_asked(tmp_path):
    names = [f"layer{n}" for n in range(12)]
    study = made_run(
        tmp_path / "made",
        layers=names,
        trials=600,
        metrics=["accuracy", "model_size", "bops", "loss"],
        objectives=4,
        sure=False,
    )
    view = front_view(study, most=5)
    of = leaders(view.rows)
    assert len(of) > 5
    assert [view.shown[0], view.shown[-1]] == [of[0], of[-1]]
    assert len(view.shown) == 5
    assert front_view(study, everything=True).shown == view.rows


def test_marks_are_explained_where_there_are_any(study):
    view = front_view(study)
    lines = mark_lines(study, view)
    assert any("N more with equal" in line for line in lines) == any(row.alike for row in view.shown)
    assert any(line.startswith("±: one standard error, on the 500") for line in lines)


def test_ties_of_a_pick_are_broken_by_the_other_metrics(tmp_path):
    study = made_run(
        tmp_path / "made", metrics=["accuracy", "model_size", "loss", "bops"], objectives=1, sure=False
    )
    trial = study.pick("best accuracy with model_size <= 200")
    block = study.trials.arrays()
    equal = block.metrics[(block.metrics[:, 0] == trial.metrics["accuracy"]) & (block.metrics[:, 1] <= 200)]
    cheapest = equal[equal[:, 1] == equal[:, 1].min()]
    assert trial.metrics["model_size"] == cheapest[0, 1]
    assert trial.metrics["loss"] == cheapest[:, 2].min()
    assert len(equal) > 1, "the case would say nothing otherwise"


def test_the_scatter_has_the_front_and_float_within_its_width(study):
    lines = scatter_lines(study, 80)
    assert max(map(len, lines)) <= 80
    grid = "".join(lines[1:-2])
    places = {
        (round(np.log(t.trial.metrics["model_size"]), 3), round(t.trial.metrics["accuracy"], 2))
        for t in study.ties
    }
    assert 3 <= grid.count("o") <= len(places)
    assert grid.count("F") == 1
    assert scatter_lines(study, 79) == []

"""What the terminal says of a study."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.searches import SPACE, search
from widthwise.report.terminal import best_lines, ending_lines


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return search(tmp_path_factory.mktemp("runs") / "sample")


@pytest.mark.parametrize(
    ("cut", "said"),
    [(SPACE.size, "all 729 candidates are"), (500, "the 500 of 729 candidates that were proposed are")],
)
def test_only_a_space_that_was_gone_through_is_called_out_of_bounds_as_a_whole(study, cut, said):
    nothing = replace(study, front=(), summary=replace(study.summary, trials=0, cut=cut))
    assert best_lines(nothing) == [f"No trial: {said} out of bounds by their costs alone."]


def test_one_trial_is_called_one(study):
    one = replace(study, summary=replace(study.summary, trials=1))
    assert ending_lines(one)[0].startswith("1 trial in ")


def test_where_nothing_was_tried_the_reason_is_said(study):
    nothing = replace(study, front=(), summary=replace(study.summary, trials=0, cut=0))
    assert best_lines(replace(nothing, finished="no room")) == ["No trial: no room."]
    assert best_lines(replace(nothing, finished=None)) == ["No trial yet."]

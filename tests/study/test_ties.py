"""Trials that are equal in all objectives are one row; the best by what is left stands for them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from helpers.metrics import metrics_of, objective
from widthwise.metrics.goals.aim import Aim
from widthwise.study.ties import Tie, ties
from widthwise.study.trials import Trial

METRICS = metrics_of("accuracy", "loss", "model_size", "average_bitwidth")
AIM = Aim((objective("accuracy", "maximize"), objective("average_bitwidth", "minimize")))


def trial(number: int, values: tuple[float, ...]) -> Trial:
    """A trial with these metrics, in the order of METRICS."""
    found = dict(zip(("accuracy", "loss", "model_size", "average_bitwidth"), map(float, values), strict=True))
    software = {name: found[name] for name in ("accuracy", "loss")}
    hardware = {name: found[name] for name in ("model_size", "average_bitwidth")}
    return Trial(number, (number,), {}, software, hardware, {}, "done", None, 0.0)


def test_the_best_of_equal_trials_by_loss_then_size_stands_for_them() -> None:
    front = [trial(n, v) for n, v in enumerate([(1, 3, 9, 4), (1, 2, 9, 4), (1, 2, 8, 4), (2, 5, 5, 8)])]
    assert ties(front, AIM, METRICS) == (Tie(front[2], (0, 1)), Tie(front[3]))
    assert ties([], AIM, METRICS) == ()


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 4), min_size=1, max_size=12))
def test_each_trial_is_in_one_row_and_none_in_it_is_better(rows: list[tuple[int, ...]]) -> None:
    front = [trial(number, values) for number, values in enumerate(rows)]
    found = ties(front, AIM, METRICS)
    assert sorted(n for tie in found for n in (tie.trial.number, *tie.alike)) == list(range(len(rows)))
    assert len({(rows[tie.trial.number][0], rows[tie.trial.number][3]) for tie in found}) == len(found)
    for tie in found:
        own = rows[tie.trial.number]
        for other in map(rows.__getitem__, tie.alike):
            assert (own[0], own[3]) == (other[0], other[3])
            assert own[1:3] <= other[1:3]
    assert np.all(np.diff([tie.trial.number for tie in found]) > 0)

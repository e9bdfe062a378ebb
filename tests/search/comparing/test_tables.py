"""Strategies compared on a table: its own front is the yardstick, and costs are known without evaluating."""

from __future__ import annotations

import numpy as np
import pytest

import widthwise as ww
from helpers.comparing import METRICS, SPACE, everything, make_task, toy
from helpers.metrics import by_name

FOUND = toy()(everything())
TABLE = ww.SearchTable(
    "sample", SPACE.decisions, {name: FOUND[name] for name in METRICS}, by_name(*METRICS), {}
)


def test_a_table_gives_what_its_evaluator_gives() -> None:
    task, _ = make_task()
    found = ww.compare(TABLE, "brute-force,random,tpe", seeds=3, budget=40)
    direct = ww.compare(task, "brute-force,random,tpe", seeds=3, budget=40)
    for ours, theirs in zip(found.outcomes, direct.outcomes, strict=True):
        assert np.allclose(ours.share, theirs.share, atol=1e-12)
    assert (found.truth, found.task, found.front) == ("space", "table sample", direct.front)


def test_all_of_a_table_is_all_of_its_front() -> None:
    (outcome,) = ww.compare(TABLE, "random", seeds=2, budget=81).outcomes
    assert outcome.final.tolist() == [1.0, 1.0]


def test_the_objectives_are_those_that_are_named() -> None:
    found = ww.compare(TABLE, "random", objectives={"loss": "maximize", "model_size": "minimize"}, seeds=1)
    assert found.objectives == {"loss": "maximize", "model_size": "minimize"}
    assert ww.compare(TABLE, "random", seeds=1).objectives.keys() == {"accuracy", "model_size"}
    assert found.budget == 81


def test_what_a_config_says_is_said_there() -> None:
    task, _ = make_task()
    with pytest.raises(ww.UserError, match="objectives are given for a table"):
        ww.compare(task, "random", objectives=["accuracy"])

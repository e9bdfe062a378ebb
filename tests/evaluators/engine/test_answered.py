"""Of a network without a plan, the run that scores a candidate gives its margins too."""

from __future__ import annotations

import numpy as np

from helpers.judged import FIXED, every_layer, made
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.engine import Evaluator
from widthwise.evaluators.engine.answered import Answered
from widthwise.evaluators.engine.rerun import Rerun
from widthwise.evaluators.engine.running import SampleMargins
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.quality.follows import Told
from widthwise.metrics.quality.margins import ClassAnswers
from widthwise.search.proposing import proposer
from widthwise.spaces.quantisation import QuantisationSpace

from helpers.metrics import objective  # isort: skip


def without_plan() -> tuple[Evaluator, QuantisationSpace, list[int]]:
    """An evaluator, its space, and a list that grows with each run of the network."""
    graph, data = made("deciding")
    space = every_layer(graph, FIXED)
    evaluator = Evaluator(graph, space, data, metrics=["accuracy", "average_bitwidth"])
    single = evaluator.prepared.single
    assert isinstance(single, Rerun)
    runs: list[int] = []
    single.network.register_forward_hook(lambda *_: runs.append(1))
    return evaluator, space, runs


def fresh_margins(candidates: IntArray) -> FloatArray:
    return without_plan()[0].margins(candidates)


def test_each_trial_of_a_search_that_learns_margins_runs_once():
    evaluator, space, runs = without_plan()
    aim = Aim((objective("accuracy", "maximize"), objective("average_bitwidth", "minimize")))
    frontier = proposer("frontier", space, aim, evaluator, seed=0, options={})
    blocks, trials = sum(1 for _ in evaluator.judged.blocks()), 0
    for _ in range(12):
        candidates = frontier.ask(4)
        frontier.tell(candidates, aim.values(evaluator(candidates)))
        trials += len(candidates)
    assert trials > 20
    assert len(runs) == trials * blocks


def test_they_are_the_margins_that_a_run_of_their_own_gives():
    evaluator, space, runs = without_plan()
    assert evaluator.follows(["accuracy"]) != [None]
    candidates = space.sample(5, np.random.default_rng(0))
    accuracy = evaluator(candidates)["accuracy"]
    count = len(runs)
    found = evaluator.margins(candidates)
    assert len(runs) == count
    assert np.array_equal(found, fresh_margins(candidates))
    np.testing.assert_allclose((found > 0).mean(axis=1), accuracy)
    assert np.array_equal(evaluator.margins(candidates), found)  # asked again they are run again
    assert len(runs) > count


def test_none_are_kept_where_nobody_asks():
    evaluator, space, runs = without_plan()
    candidates = space.sample(5, np.random.default_rng(0))
    evaluator(candidates)
    count = len(runs)
    evaluator.margins(candidates)
    assert len(runs) > count


def test_the_oldest_that_nobody_asked_for_are_given_up(monkeypatch):
    monkeypatch.setattr("widthwise.evaluators.engine.answered.MOST_BYTES", 100)
    answered, part = Answered(), SampleMargins(4, 10, Told((ClassAnswers(),), (1,)))
    part.margins[:] = np.arange(4)[:, None]
    chosen = np.arange(4)[:, None]
    answered.keep(chosen, [part])
    assert answered.take(chosen[:1]) is None
    assert answered.take(chosen[2:]).tolist() == [[2.0] * 10, [3.0] * 10]
    assert answered.take(chosen[2:]) is None

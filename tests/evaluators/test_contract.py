"""Every evaluator keeps the contract: ours, one's own with the whole of it, and plain callables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from helpers.judged import FIXED, every_layer, made
from helpers.searches import METRICS as TOY_METRICS
from helpers.searches import SPACE as TOY_SPACE
from helpers.searches import Evaluator as Toy
from widthwise.core.arrays import IntArray
from widthwise.data.modules import load_data
from widthwise.evaluators.called import evaluator_of
from widthwise.evaluators.engine import Evaluator as FormatEvaluator
from widthwise.evaluators.halving import Halving
from widthwise.evaluators.judging import Judging
from widthwise.evaluators.protocol import Evaluator, HasMargins, Prunes, Realises, Results
from widthwise.evaluators.shared import SharedEvaluator
from widthwise.evaluators.trained import WidthEvaluator
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.spaces.space import Space
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings

METRICS = ["accuracy", "parameters", "loss", "model_size"]
Case = tuple[Evaluator, Space]


def formats(name: str) -> Case:
    graph, data = made(name)
    space = every_layer(graph, FIXED)
    return FormatEvaluator(graph, space, data, metrics=METRICS), space


def widths(**options) -> Case:
    graph = Graph(load_model("jsc-three-linear"))
    space = WidthSpace(graph, by="all", multipliers=[0.5, 1, 2])
    settings = Settings(epochs=2, learning_rate=1e-2)
    return WidthEvaluator(
        graph, space, load_data("jsc"), metrics=METRICS, settings=settings, **options
    ), space


def shared() -> Case:
    graph, data = made("convolutional")
    space = every_layer(graph, FIXED)
    judging = Judging.of(graph.network, data, metrics=METRICS)
    return SharedEvaluator(graph, space, data, judging, Settings(steps=3, distil=1.0)), space


def only_called(candidates: IntArray) -> Results:
    return Toy()(candidates)


CASES: dict[str, Callable[[], Case]] = {
    "formats together": lambda: formats("convolutional"),
    "formats of a network that fx can't trace": lambda: formats("untraceable"),
    "formats of one network that is trained for all": shared,
    "trained": widths,
    "trained twice each": lambda: widths(repeats=2),
    "read off a supernet": lambda: widths(mode="supernet"),
    "one's own with costs": lambda: (evaluator_of(Toy(), TOY_METRICS), TOY_SPACE),
    "one's own, a function": lambda: (evaluator_of(only_called, TOY_METRICS), TOY_SPACE),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]()


def test_all_of_the_contract_is_there(case: Case):
    evaluator, _ = case
    assert isinstance(evaluator, Evaluator)
    assert evaluator_of(evaluator, ["nothing"]) is evaluator
    assert evaluator.describe.isprintable()
    assert evaluator.describe.strip() == evaluator.describe != ""
    pace = evaluator.pace
    assert min(pace.affordable, pace.together, pace.repeats) >= 1


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_call_gives_every_column_for_every_candidate(case: Case, count: int):
    evaluator, space = case
    results = evaluator(space.at(range(count)))
    assert len(set(evaluator.columns)) == len(evaluator.columns)
    assert set(results) == set(evaluator.columns)
    assert all(results[name].shape == (count,) for name in results)
    assert (results.failures, results.pruned) == ({}, frozenset())


def test_costs_are_those_that_a_call_gives(case: Case):
    evaluator, space = case
    candidates = space.at([2, 0, 1])
    costs, results = evaluator.costs(candidates), evaluator(candidates)
    assert set(costs) <= set(evaluator.columns)
    for name, values in costs.items():
        np.testing.assert_array_equal(values, results[name])


def test_ours_know_all_costs_and_can_give_networks_back():
    for evaluator, space in (formats("convolutional"), widths()):
        assert set(evaluator.costs(space.at([0]))) == {"parameters", "model_size"}
        assert isinstance(evaluator, Realises)
    assert isinstance(formats("convolutional")[0], Prunes)
    assert isinstance(formats("convolutional")[0], HasMargins)


def test_a_callable_is_taken_for_what_it_has():
    function, toy = evaluator_of(only_called, TOY_METRICS), evaluator_of(Toy(), TOY_METRICS)
    candidates = TOY_SPACE.at([0, 5])
    assert function.costs(candidates) == {}
    assert set(toy.costs(candidates)) == {"model_size"}
    assert (function.describe, toy.describe) == (
        "candidates judged by only_called",
        "candidates judged by Evaluator",
    )


def test_pace_says_what_is_trained_and_what_goes_together():
    assert not formats("convolutional")[0].pace.trains
    assert widths()[0].pace.trains
    assert widths(repeats=2)[0].pace.repeats == 2
    halved = widths(halving=Halving(2, candidates=6))[0]
    assert (halved.pace.together, widths()[0].pace.together) == (6, 1)
    together = widths(mode="supernet", halving=Halving(2, candidates=6))[0]
    assert together.pace.together == 1  # all share one training, so none is stopped


def test_results_are_a_mapping_of_names():
    results = Results({"accuracy": np.array([0.5, np.nan]), "loss": np.array([1.0, np.nan])}, {1: "broken"})
    assert (list(results), len(results), "loss" in results, "f1" in results) == (
        ["accuracy", "loss"],
        2,
        True,
        False,
    )
    assert results["accuracy"][0] == 0.5
    assert dict(results) == results.columns
    with pytest.raises(KeyError):
        results["f1"]


def test_judging_is_the_keywords_of_the_evaluators_in_one_object():
    keywords = {"metrics": ["loss", "macs", "loss"], "loader": "test", "samples": 7, "seed": 3}
    graph, data = made("convolutional")
    judging = Judging.of(graph.network, data, **keywords)
    assert (judging.part, judging.samples, judging.seed, judging.device) == ("test", 7, 3, "cpu")
    assert judging.columns == ("loss", "macs")
    assert judging.task.name == "classification"
    space = every_layer(graph, FIXED)
    candidates = space.at(range(5))
    keywords = {"metrics": METRICS, "samples": 20}
    one = FormatEvaluator(graph, space, data, Judging.of(graph.network, data, **keywords))(candidates)
    other = FormatEvaluator(graph, space, data, **keywords)(candidates)
    for name in METRICS:
        np.testing.assert_array_equal(one[name], other[name])
    assert FormatEvaluator(graph, space, data).judging.columns == (*judging.task.usual,)  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="part_of"):
        FormatEvaluator(graph, space, data, metrics=METRICS, part_of=1)

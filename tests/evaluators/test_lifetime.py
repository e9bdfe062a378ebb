"""What evaluators hold, their values in memory above all, is gone as soon as nobody has them any more."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from helpers.judged import FIXED, every_layer, made
from widthwise.data.modules import load_data
from widthwise.evaluators.engine import Evaluator
from widthwise.evaluators.trained import WidthEvaluator
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings


@pytest.fixture
def without_collector() -> Iterator[None]:
    """What only a search for circles would find stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("name", ["mlp", "cnn", "deciding"])  # by stacks, in turns, recorded
def test_an_evaluator_of_formats_is_in_no_circle(name: str):
    graph, data = made(name)
    space = every_layer(graph, FIXED)
    evaluator = Evaluator(graph, space, data, metrics=["accuracy", "loss"])
    candidates = space.sample(12, np.random.default_rng(0))
    for few in (candidates, candidates[:1]):
        evaluator(few)
        evaluator.margins(few)
    evaluator.realise(candidates[0])
    held = [weakref.ref(each) for each in (evaluator, evaluator.prepared, evaluator.prepared.single)]
    del evaluator
    assert [one() for one in held] == [None, None, None]


@pytest.mark.usefixtures("without_collector")
def test_an_evaluator_that_trains_is_in_no_circle():
    graph = Graph(load_model("jsc-three-linear"))
    space = WidthSpace(graph, by="all", multipliers=[0.5, 1])
    settings = Settings(epochs=1)
    evaluator = WidthEvaluator(graph, space, load_data("jsc"), metrics=["accuracy"], settings=settings)
    candidates = np.array([[0], [1]])
    evaluator(candidates)
    evaluator.realise(candidates[0])
    held = weakref.ref(evaluator)
    del evaluator
    assert held() is None

"""Networks that decide in Python: what is judged is what the module itself gives in eval mode."""

from __future__ import annotations

import pytest
import torch

import widthwise as ww
from helpers.emulation import (
    ALL,
    Emulation,
    assert_rows_equal,
    left_as_it_was,
    loss_of,
    made_twice,
    rows,
    space_of,
)
from helpers.networks.decisions import DECISIONS, STATE, TRAINING

LINEAR = {"linear": ALL}


@pytest.mark.parametrize("name", DECISIONS)
@pytest.mark.parametrize("captured", [False, True], ids=["module", "graph"])
def test_the_loss_is_the_modules_own_in_eval_mode(name: str, captured: bool):
    (model, other), data = made_twice(DECISIONS[name]), rows()
    expected = loss_of(other, data)
    given = ww.Graph(model) if captured else model
    found = [ww.evaluate(given, data, metrics=["loss"])["loss"] for _ in range(2)]
    assert found == pytest.approx([expected] * 2, rel=1e-5)


@pytest.mark.parametrize("name", DECISIONS)
def test_each_candidate_is_the_modules_own_forward_with_its_arguments_rounded(name: str):
    weights = 3 if name in ("SkippedInTraining", "LoopsWhile") else 2
    assert_rows_equal(DECISIONS[name], rows(), LINEAR, weights=weights, average=False)


@pytest.mark.parametrize("name", DECISIONS)
def test_the_module_is_left_as_it_was(name: str):
    (model, other), data = made_twice(DECISIONS[name]), rows()
    del other
    with left_as_it_was(model):
        graph = ww.Graph(model)
        space = space_of(graph, LINEAR)
        evaluator = ww.Evaluator(graph, space, data, metrics=["loss"])
        evaluator(space.at(range(2)))
        ww.evaluate(model, data, metrics=["loss"])


@pytest.mark.parametrize("name", TRAINING)
def test_parts_in_training_mode_stay_in_it_and_are_judged_in_eval_mode(name: str):
    (model, other), data = made_twice(DECISIONS[name]), rows()
    model.eval()
    model.b.train()
    assert ww.evaluate(model, data, metrics=["loss"])["loss"] == pytest.approx(loss_of(other, data), rel=1e-5)
    assert [model.training, model.a.training, model.b.training] == [False, False, True]


@pytest.mark.parametrize("name", STATE)
def test_the_order_of_candidates_makes_no_difference(name: str):
    (model, other), data = made_twice(DECISIONS[name]), rows()
    graph = ww.Graph(model)
    space = space_of(graph, LINEAR)
    evaluator = ww.Evaluator(graph, space, data, metrics=["loss"])
    candidates = space.at([3, 0, 2, 1, 3])
    found = evaluator(candidates)["loss"]
    widths = [[(2, 8)[index] for index in candidate] for candidate in candidates]
    expected = [loss_of(other, data, Emulation(other, LINEAR, bits)) for bits in widths]
    assert found.tolist() == pytest.approx(expected, rel=1e-4)


def test_training_goes_on_after_a_network_was_judged():
    (model, _), data = made_twice(DECISIONS["Dropped"]), rows()
    ww.evaluate(model, data, metrics=["loss"])
    assert model.training
    x = data.inputs[0]
    assert not torch.equal(model(x), model(x))  # dropout is on again

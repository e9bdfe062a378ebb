"""What evaluators say of a candidate's network gives just the network that they judge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from helpers.judged import FIXED, every_layer, made
from helpers.networks import ZOO, tagged
from widthwise.evaluators.engine import Evaluator
from widthwise.evaluators.latest import Latest
from widthwise.evaluators.realising import marked_samples, outputs_mark
from widthwise.network.realised import Realised

AUTO = {
    "name": ["scaled_integer"],
    "data_in_width": [4, 8],
    "weight_width": [3, 6],
    "weight_per": ["channel"],
    "bias_width": [8],
}


@pytest.mark.parametrize("config", [FIXED, AUTO], ids=["fixed", "scaled"])
@pytest.mark.parametrize("name", tagged("classes"))
def test_a_realised_network_gives_the_outputs_of_the_evaluators(name: str, config: dict) -> None:
    graph, data = made(name)
    space = every_layer(graph, config)
    evaluator = Evaluator(graph, space, data, metrics=["accuracy", "loss"])
    fresh = made(name)[0].model  # the same network, captured again
    for candidate in space.sample(3, np.random.default_rng(0)):
        realised = evaluator.realise(candidate)
        judged, again = evaluator.network(candidate).model, realised.graph(fresh).model
        with torch.no_grad():
            wanted, found = (
                tree_leaves(model(*(x.clone() for x in data.inputs))) for model in (judged, again)
            )
        assert all(map(torch.equal, found, wanted))
        fitting = evaluator.prepared.fitting
        samples = marked_samples(fitting.reader, data.val_dataloader())
        assert realised.marks["outputs"] == outputs_mark(again, samples, fitting.output)
        assert [known.shape for known in realised.inputs] == list(ZOO[name].shapes)


def of(candidate: tuple[int, ...], numbers: int = 4) -> Realised:
    return Realised(candidate, {}, {}, {"w": torch.zeros(numbers)})


def test_the_latest_batch_is_kept_whole_and_earlier_ones_while_there_is_room() -> None:
    latest = Latest(room=64)
    latest.begin()
    for number in range(4):  # 16 bytes each
        latest.put(of((number,)))
    latest.begin()
    latest.put(of((9,)))
    assert [latest.get((n,)) is not None for n in (0, 1, 9)] == [False, True, True]
    latest.begin()
    for number in range(10, 20):
        latest.put(of((number,)))
    assert all(latest.get(np.array([n])) is not None for n in range(10, 20))
    assert all(latest.get((n,)) is None for n in range(10))
    latest.drop((12,))
    assert latest.get((12,)) is None


def test_a_candidate_has_one_network_at_a_time() -> None:
    latest = Latest(room=32)
    latest.begin()
    for _ in range(5):
        latest.put(of((1,)))
    latest.begin()
    latest.put(of((2,)))
    assert latest.get((1,)) is not None

"""Candidates in turns: what each one's own network gives, every version computed once, little kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from helpers.judged import FIXED, Batches, every_layer, made
from helpers.networks import tagged
from helpers.one_by_one import scores_of
from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine import Evaluator
from widthwise.evaluators.engine.plan import Plan
from widthwise.evaluators.engine.turns import in_order, in_turns, kept_most, versions_of
from widthwise.evaluators.engine.walk import Count
from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import slot_choices


def scores_in_turns(
    evaluator: Evaluator,
    candidates: IntArray,
    data: Batches,
    *,
    kept: int = 2**30,
    count: Count | None = None,
) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}

    def consume(rows: IntArray, scores: Tensor, versions: IntArray) -> None:
        assert not set(rows.tolist()) & set(found)
        found.update({int(row): scores[version] for row, version in zip(rows, versions, strict=True)})

    assert evaluator.prepared.sharing is not None
    chosen = slot_choices(evaluator.slots, candidates)
    with torch.no_grad():
        in_turns(evaluator.prepared.sharing.plan, data.inputs, chosen, consume, kept_bytes=kept, count=count)
    return found


@pytest.mark.slow
@given(
    name=st.sampled_from([name for name in tagged("classes") if name != "attention"]),
    batch=st.integers(1, 20),
    kept=st.sampled_from([0, 10_000, 2**30]),
    seed=st.integers(0, 5),
)
def test_any_structure_equals_one_network_per_candidate(name: str, batch: int, kept: int, seed: int):
    graph, data = made(name, seed)
    space = every_layer(graph, FIXED)
    evaluator = Evaluator(graph, space, data, metrics=["accuracy"])
    if evaluator.prepared.sharing is None:
        return
    candidates = space.sample(batch, np.random.default_rng(seed))
    found = scores_in_turns(evaluator, candidates, data, kept=kept)
    assert sorted(found) == list(range(batch))
    for row, candidate in enumerate(candidates):
        torch.testing.assert_close(found[row], scores_of(evaluator, candidate, data.inputs))


def deep(layers: int) -> tuple[Evaluator, QuantisationSpace, Batches]:
    torch.manual_seed(0)
    convolutions = [nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()) for _ in range(layers)]
    graph = Graph(nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(48, 3)).eval())
    data = Batches((torch.randn(20, 3, 4, 4),), torch.randint(0, 3, (20,)))
    space = QuantisationSpace(
        graph,
        by="type",
        seed={"conv2d": {"config": {"name": "integer", "data_in_width": 8, "weight_width": [4, 8]}}},
    )
    return Evaluator(graph, space, data, metrics=["accuracy"]), space, data


def single_changes(space: QuantisationSpace) -> IntArray:
    layers = len(space.decisions)
    return np.concatenate([np.zeros((1, layers)), np.eye(layers)]).astype(np.int64)


def plan_of(evaluator: Evaluator) -> Plan:
    assert evaluator.prepared.sharing is not None
    return evaluator.prepared.sharing.plan


@pytest.mark.parametrize("flipped", [False, True])
def test_every_version_is_computed_once(flipped: bool):
    evaluator, space, data = deep(6)
    candidates = single_changes(space) ^ int(flipped)
    chosen, plan, count = slot_choices(evaluator.slots, candidates), plan_of(evaluator), Count()
    scores_in_turns(evaluator, candidates, data, count=count)
    once = [np.unique(chosen[:, list(step.depends)], axis=0) for step in plan.steps[plan.placeholders :]]
    assert count.versions == sum(map(len, once))


@pytest.mark.parametrize("flipped", [False, True])
def test_of_single_changes_one_prefix_is_kept_at_a_time(flipped: bool):
    evaluator, space, _ = deep(12)
    plan = plan_of(evaluator)
    chosen = slot_choices(evaluator.slots, single_changes(space) ^ int(flipped))
    ordered = chosen[in_order(plan, chosen)]
    assert kept_most(plan, versions_of(plan, ordered)) <= 2 * plan.widest


def test_candidates_alike_are_one_version():
    evaluator, space, data = deep(3)
    count = Count()
    found = scores_in_turns(evaluator, np.repeat(space.at([5]), 4, axis=0), data, count=count)
    assert sorted(found) == [0, 1, 2, 3]
    plan = plan_of(evaluator)
    assert count.versions == len(plan.steps) - plan.placeholders


def test_large_values_go_in_turns_and_small_ones_together():
    narrow, _, _ = deep(2)
    assert narrow.prepared.sharing is not None
    assert narrow.prepared.sharing.shares.kept is None
    graph = Graph(nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 900, 3)).eval())
    data = Batches((torch.randn(6, 3, 32, 32),), torch.randint(0, 3, (6,)))
    wide = Evaluator(graph, every_layer(graph, FIXED), data, metrics=["accuracy"])
    assert wide.prepared.sharing is not None
    assert wide.prepared.sharing.shares.kept is not None
    assert wide(np.zeros((2, len(every_layer(graph, FIXED).decisions)), dtype=np.int64))[
        "accuracy"
    ].shape == (2,)

"""LUTs as a cost: stage by stage, against the logic of the whole network, and what has none."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.judged import Batches
from widthwise.core.errors import UserError
from widthwise.export.rtl.luts import PIPELINE, Stages, clocks
from widthwise.export.rtl.stages import Estimate, alone, stages_of
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import slot_choices

pytest.importorskip("alkaid")

FIXED = {
    "name": "integer",
    "data_in_width": [4, 6],
    "data_in_frac_width": [2],
    "weight_width": [3, 5],
    "weight_frac_width": [3],
    "bias_width": [6],
    "bias_frac_width": [4],
}


def spread(network: nn.Module) -> nn.Module:
    """With weights that use the range of the formats, as those of a search that is worth its name do."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-1, 1)
    return network.eval()


def perceptron() -> nn.Module:
    torch.manual_seed(0)
    return spread(nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4)))


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    first, last = nn.Conv2d(1, 3, 3), nn.Linear(12, 4)
    layers = [nn.Unflatten(1, (1, 6, 6)), first, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), last]
    return spread(nn.Sequential(*layers))


def searched(network: nn.Module, inputs: int, config: dict = FIXED) -> tuple[ww.Evaluator, QuantisationSpace]:
    graph, data = ww.Graph(network), Batches((torch.randn(40, inputs),), torch.randint(0, 4, (40,)))
    kinds = {layer.type for layer in graph.layers if layer.stored.get("weight")}
    space = QuantisationSpace(graph, by="type", seed={kind: {"config": config} for kind in kinds})
    metrics = ["accuracy", "luts", "adders", "latency_cycles"]
    return ww.Evaluator(graph, space, data, metrics=metrics), space


def stages_of_all(evaluator: ww.Evaluator, inputs: int) -> Stages:
    return Stages(evaluator.prepared.graph, evaluator.prepared.slots, (torch.zeros(2, inputs),))


@pytest.mark.parametrize(("make", "inputs"), [(perceptron, 8), (convolutional, 36)])
def test_stages_add_up_to_the_logic_of_the_whole_network(make, inputs) -> None:
    from widthwise.export.rtl.logic import logic_of

    evaluator, space = searched(make(), inputs)
    candidates = space.sample(6, np.random.default_rng(0))
    found = evaluator.costs(candidates)
    slots = evaluator.prepared.slots
    stages = Stages(evaluator.prepared.graph, slots, (torch.zeros(2, inputs),))
    for row, chosen in enumerate(slot_choices(slots, candidates)):
        logic = logic_of(stages.program(chosen))
        # a stage does not know when each of its inputs comes, nor how they go together
        assert found["luts"][row] == pytest.approx(logic.cost, rel=0.03)
        assert found["adders"][row] == pytest.approx(sum(op.opcode in (0, 1) for op in logic.ops), rel=0.03)
        assert abs(found["latency_cycles"][row] - clocks(logic.latency[1])) <= 2


NARROW = {"weight_width": [2], "weight_frac_width": ["auto"], "bias_width": [3], "bias_frac_width": ["auto"]}


def test_numbers_that_stay_small_are_seen_to_be_small() -> None:
    from widthwise.export.rtl.logic import logic_of

    evaluator, space = searched(perceptron(), 8, {**FIXED, **NARROW, "data_in_width": [8]})
    stages = stages_of_all(evaluator, 8)
    (chosen,) = slot_choices(evaluator.prepared.slots, space.at([0]))
    whole = logic_of(stages.program(chosen)).cost
    (found,) = evaluator.costs(space.at([0]))["luts"]
    assert found == pytest.approx(whole, rel=0.03)
    assert sum(stage.estimate().luts for stage in alone(stages.program(chosen))) > 1.05 * whole


def test_a_single_stage_is_the_network_itself() -> None:
    from widthwise.export.rtl.logic import logic_of

    evaluator, space = searched(nn.Sequential(nn.Linear(8, 4)).eval(), 8)
    candidates = space.at(range(space.size))
    found, slots = evaluator.costs(candidates), evaluator.prepared.slots
    stages = Stages(evaluator.prepared.graph, slots, (torch.zeros(2, 8),))
    for row, chosen in enumerate(slot_choices(slots, candidates)):
        assert found["luts"][row] == pytest.approx(logic_of(stages.program(chosen)).cost)


def test_few_stages_are_looked_at_for_all_candidates() -> None:
    evaluator, space = searched(perceptron(), 8)
    found = evaluator(space.at(range(space.size)))
    assert found.failures == {}
    stages = Stages(evaluator.prepared.graph, evaluator.prepared.slots, (torch.zeros(2, 8),))
    stages(slot_choices(evaluator.prepared.slots, space.at(range(space.size))))
    assert space.size == 64
    assert len(stages.alone) == 16 + 16 + 4  # own data and weights, and those of the next; the last has none
    assert stages.made == len(stages.of_content) < 64


@pytest.mark.parametrize(("make", "inputs", "reader"), [(perceptron, 8, 2), (convolutional, 36, 5)])
def test_what_the_next_stage_multiplies_by_zero_needs_no_logic(make, inputs: int, reader: int) -> None:
    from widthwise.export.rtl.logic import logic_of

    network = make()
    with torch.no_grad():
        network[reader].weight[:, ::2] = 0
    evaluator, space = searched(network, inputs)
    stages = stages_of_all(evaluator, inputs)
    for chosen in slot_choices(evaluator.prepared.slots, space.sample(3, np.random.default_rng(0))):
        program = stages.program(chosen)
        found = stages_of(program)
        assert found[0].read is not None
        assert sum(found[0].read) == len(found[0].read) // 2
        assert found[0].estimate().luts < 0.8 * replace(found[0], read=None).estimate().luts
        assert sum(each.estimate().luts for each in found) == pytest.approx(logic_of(program).cost, rel=0.03)


def test_a_stage_of_which_nothing_is_read_needs_none() -> None:
    network = perceptron()
    with torch.no_grad():
        network[4].weight[:] = 0
    evaluator, space = searched(network, 8)
    stages = stages_of_all(evaluator, 8)
    (chosen,) = slot_choices(evaluator.prepared.slots, space.at([0]))
    assert stages_of(stages.program(chosen))[1].estimate() == Estimate(0, 0, 0)


def test_the_float_network_has_none() -> None:
    data = Batches((torch.randn(40, 8),), torch.randint(0, 4, (40,)))
    found = ww.evaluate(ww.Graph(perceptron()), data, metrics=["accuracy", "luts"])
    assert np.isnan(found["luts"])


class TwoPaths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(h) + h


def test_one_estimate_serves_all_costs_of_logic() -> None:
    evaluator, space = searched(perceptron(), 8)
    evaluator.costs(space.at(range(4)))
    shared = evaluator.prepared.costs.in_common
    (stages,) = shared.values()
    assert stages.made == len(stages.of_content) > 0
    evaluator.costs(space.at(range(4)))
    assert stages.made == len(stages.of_content)


def test_clocks_are_those_of_a_pipelined_export(tmp_path: Path) -> None:
    from widthwise.export.rtl import verilog

    evaluator, space = searched(perceptron(), 8)
    for number, candidate in enumerate(space.sample(4, np.random.default_rng(1))):
        (found,) = evaluator.costs(candidate[None])["latency_cycles"]
        realised = evaluator.realise(candidate)
        folder = tmp_path / str(number)
        folder.mkdir()
        graph = evaluator.network(candidate)
        written = verilog(pipeline=PIPELINE, simulate=False).write(
            realised, graph, folder, (torch.zeros(2, 8),)
        )
        clocked = re.search(r"(\d+) clocks", written.notes[0])
        assert clocked is not None
        # a stage's sum of delays is that of the whole, or a little more; alkaid may cut once more
        assert abs(found - int(clocked[1])) <= 2


@pytest.mark.parametrize(
    ("network", "config", "reason"),
    [
        (
            nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 4)),
            {"name": ["integer"], "weight_width": [3], "bias_width": [3]},
            "luts: this network is no logic",
        ),
        (TwoPaths(), FIXED, "luts: the network adds two paths"),
        (nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 4)), FIXED, "tanh"),
        (
            nn.Sequential(nn.Linear(8, 4)),
            {"name": ["integer", "log"], "data_in_width": [4], "weight_width": [4]},
            "luts: ",
        ),
    ],
)
def test_what_is_no_logic_is_refused_before_the_search(network, config, reason) -> None:
    with pytest.raises(UserError, match=reason):
        searched(network.eval(), 8, config)


def test_candidates_that_have_no_logic_fail_alone_with_layer_and_formats() -> None:
    """alkaid 0.8 makes none of a pooling of numbers of one bit: an AssertionError within it."""
    own = {**FIXED, "data_in_width": [1, 4]}
    evaluator, space = searched(convolutional(), 36, own)
    every = np.concatenate(list(space.enumerate()))
    results = evaluator(every)
    assert 0 < len(results.failures) < len(every)
    assert set(results.failures) == set(np.flatnonzero(np.isnan(results["luts"])))
    for row, reason in results.failures.items():
        assert re.match(r"_1 with data_in fixed<1,2>, weight .*: alkaid makes no logic of it: Assert", reason)
        assert np.isnan(results["latency_cycles"][row])
    sound = np.setdiff1d(np.arange(len(every)), list(results.failures))
    alone = evaluator(every[sound])
    assert not alone.failures
    assert np.array_equal(alone["luts"], results["luts"][sound])

"""Evaluating channels and formats together: as the engine does it on each width alone, costs known before."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import widthwise as ww
from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.data.modules import Data
from widthwise.evaluators.engine import Evaluator, evaluate
from widthwise.evaluators.joint import JointEvaluator
from widthwise.evaluators.joint import networks as networks_module
from widthwise.evaluators.judging import Judging
from widthwise.network.graph import Graph
from widthwise.network.passes.fold import fold_batchnorm_transform_pass
from widthwise.network.widths.finding import find_groups
from widthwise.spaces.joint import JointSpace
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings
from widthwise.training.sources import Inherited

COSTS = ["bops", "ebops", "model_size", "average_bitwidth", "memory_density", "flops", "macs", "parameters"]
METRICS = ["accuracy", "loss", *COSTS]
SHORT = Settings(epochs=1)
INTEGER = {"name": ["integer"], "data_in_width": [4, 8], "data_in_frac_width": ["auto"]}
BITS = {"weight_width": [2, 4, 8], "weight_frac_width": ["auto"], "bias_width": [8], "bias_frac_width": [4]}
PLAIN = {**INTEGER, **BITS}
CONDITIONAL = {**PLAIN, "name": ["NA", "integer"]}
BLOCKS = {**PLAIN, "weight_name": ["block_fp"], "weight_exponent_width": [8], "weight_block_size": [[1, 5]]}
del BLOCKS["weight_frac_width"]
SCALED = {
    "data_in_name": ["integer"],
    "data_in_width": [8],
    "data_in_frac_width": [4],
    "weight_name": ["scaled_integer"],
    "weight_width": [3, 8],
    "weight_per": ["channel"],
}


def digits() -> Data:
    return ww.load_data("digits", seed=0)


class Tied(nn.Module):
    """A layer that is used twice, the second time for what it gave itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.twice, self.last = nn.Linear(64, 8), nn.Linear(8, 8), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x.flatten(1)).relu()
        found: torch.Tensor = self.last(self.twice(self.twice(x).relu()).relu())
        return found


def normed() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 12),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.Linear(12, 8),
        nn.ReLU(),
        nn.Linear(8, 10),
    )


def joint(
    model: nn.Module | None = None,
    *,
    rule: dict[str, Any] = PLAIN,
    multipliers: tuple[float, ...] = (0.25, 0.5, 1),
    fold: bool = False,
    data: Data | None = None,
    **options: Any,
) -> JointEvaluator:
    data = data or digits()
    floats = Graph(model or ww.load_model("digits-mlp"), next(iter(data.val_dataloader()))[0])
    graph = fold_batchnorm_transform_pass(floats, {})[0] if fold else floats
    widths = WidthSpace(floats, multipliers=multipliers, example=data)
    formats = partial(QuantisationSpace, by="type", seed={"linear": {"config": rule}})
    space = JointSpace(graph, widths, formats)
    judging = Judging.of(floats.network, data, metrics=options.pop("metrics", METRICS))
    return JointEvaluator(graph, space, data, judging, **{"settings": SHORT, **options})


def some(evaluator: JointEvaluator, count: int = 12) -> IntArray:
    return evaluator.space.sample(count, np.random.default_rng(0))


@pytest.mark.parametrize(
    "rule", [PLAIN, CONDITIONAL, BLOCKS, SCALED], ids=["plain", "na", "blocks", "scaled"]
)
def test_scores_are_those_of_the_engine_alone_on_that_width(rule: dict[str, Any]):
    made = joint(rule=rule)
    candidates = some(made)
    found = made(candidates)
    data, model = digits(), ww.load_model("digits-mlp")
    graph = Graph(model)
    groups = find_groups(graph, data)
    scores = {group.name: made.source.scores[group.name] for group in groups.groups}  # type: ignore[attr-defined]
    alone = Inherited(graph, groups, data, made.judging.task, None, SHORT, scores)
    for row, candidate in enumerate(candidates):
        widths, formats = made.space.apart(candidate[None])
        own = alone.network(made.space.widths.sizes(widths[0]), 0)
        engine = Evaluator(
            own, QuantisationSpace(own, by="type", seed={"linear": {"config": rule}}), data, metrics=METRICS
        )
        expected = engine(formats)
        for name in METRICS:
            assert found[name][row] == pytest.approx(expected[name][0], rel=1e-12), name
        assert found["accuracy"][row] == expected["accuracy"][0]


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "a layer in float": {"rule": CONDITIONAL},
    "blocks": {"rule": BLOCKS},
    "scales of channels": {"rule": SCALED},
    "folded": {"fold": True, "normed": True},
    "with batch norms": {"normed": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_costs_are_those_of_the_realised_network(case: str):
    given = dict(CASES[case])
    model = normed() if given.pop("normed", False) else None
    made = joint(model, **given)
    candidates = some(made, 8)
    costs, found = made.costs(candidates), made(candidates)
    assert set(costs) == set(COSTS) - {"ebops"}
    for row, candidate in enumerate(candidates):
        graph = made.realise(candidate).graph(
            made.graph.unfolded.network if made.graph.unfolded else made.graph.network
        )
        alone = evaluate(graph, digits(), metrics=METRICS)
        for name in METRICS:
            assert found[name][row] == pytest.approx(alone[name], rel=1e-12), name
        assert found["accuracy"][row] == alone["accuracy"]
        assert all(costs[name][row] == found[name][row] for name in costs)


def test_costs_of_tensors_that_layers_share():
    model, data = Tied(), digits()
    made = joint(model, data=data, multipliers=(0.5, 1))
    candidates = some(made, 6)
    costs = made.costs(candidates)
    for row, candidate in enumerate(candidates):
        alone = evaluate(made.network(candidate), data, metrics=COSTS)
        assert all(values[row] == pytest.approx(alone[name], rel=1e-12) for name, values in costs.items())


def test_counts_and_shapes_one_by_one_tell_the_same():
    model = joint().cost_model
    candidates = some(joint(), 50)
    known = model.known(joint().judging.cost)
    one, other = model._counted(known, candidates), model._shape_by_shape(known, candidates)
    assert model._by_counts
    for metric in known:
        assert np.allclose(one[metric.name], other[metric.name], rtol=1e-12)


def test_costs_are_known_without_training():
    made = joint(settings=Settings(epochs=10**9), metrics=["accuracy", "bops", "model_size"])
    assert made.costs(some(made, 5000))["bops"].shape == (5000,)
    assert made.networks.made == 0


@pytest.mark.parametrize("mode", ["inherit", "scratch", "supernet"])
def test_a_network_is_made_once_for_all_its_formats(mode: Any):
    made = joint(mode=mode)
    candidates = made.space.at(range(40))
    widths = {tuple(row) for row in made.space.apart(candidates)[0].tolist()}
    made(candidates)
    made(candidates[::-1])
    assert made.networks.made == len(widths) == 1
    rows = some(made, 30)
    together = made(rows)
    again = joint(mode=mode)
    for row in (3, 0, 29):
        alone = again(rows[row : row + 1])
        assert all(alone[name][0] == pytest.approx(together[name][row], rel=1e-6) for name in METRICS)
        assert alone["accuracy"][0] == together["accuracy"][row]


def test_what_had_to_go_is_made_again_as_it_was(monkeypatch: pytest.MonkeyPatch):
    kept, short = joint(), joint()
    candidates = some(kept, 10)
    expected = kept(candidates)
    monkeypatch.setattr(networks_module, "KEPT_BYTES", 0)
    monkeypatch.setattr(networks_module, "ENGINES", 1)
    short(candidates)
    found = short(candidates)
    assert short.networks.made > kept.networks.made
    assert all(np.array_equal(found[name], expected[name]) for name in METRICS)


def test_a_width_whose_training_diverges_fails_alone():
    made = joint(settings=Settings(epochs=2, learning_rate=1e30))
    found = made(some(made, 6))
    assert set(found.failures) == set(range(6))
    assert all("diverge" in reason or "epoch" in reason for reason in found.failures.values())
    assert np.isnan(found["accuracy"]).all()
    assert not np.isnan(found["bops"]).any()
    with pytest.raises(UserError):
        made.realise(some(made, 1)[0])


def test_what_margins_say_is_what_the_engine_says():
    made = joint()
    candidates = some(made, 5)
    assert made.follows(["accuracy", "bops"])[0] is not None
    found = made.margins(candidates)
    for row, candidate in enumerate(candidates):
        graph = made.network(candidate)
        alone = Evaluator(graph, None, digits(), made.judging)
        alone.follows(["accuracy", "bops"])
        assert np.allclose(alone.margins(np.zeros((1, 0), np.int64))[0], found[row], atol=1e-5)


def test_candidates_that_are_the_same_network_have_one_that_stands_for_all():
    space = joint(rule=CONDITIONAL, multipliers=(0.5, 1)).space
    every = next(space.enumerate(chunk=space.size))
    assert space.has_spare
    kept = every[space.spare(every) == 0]
    nets = {network_of(space, row) for row in every}
    assert len(kept) == len({network_of(space, row) for row in kept}) == len(nets) == 4 * 7**3
    assert not joint().space.has_spare


def network_of(space: JointSpace, candidate: IntArray) -> tuple[Any, ...]:
    formats = [slot.formats[int(slot.choices(candidate[None])[0])] for slot in space.slots]
    return (*space.sizes(candidate).values(), *map(repr, formats))


def test_uniform_schemes_are_those_of_the_network_s_own_widths():
    space = joint(rule=CONDITIONAL).space
    rows = np.array([scheme.candidate for scheme in space.uniform])
    assert len(rows) > 2
    assert (space.spare(rows) == 0).all()
    assert {tuple(space.sizes(row).values()) for row in rows} == {(32, 32)}

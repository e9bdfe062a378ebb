"""The engine gives exactly what each candidate's own network gives, whatever the structure and the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from helpers.judged import CHOOSY_RULES, FIXED, SAMPLES, Batches, choosy_graph, every_layer, made, with_shares
from helpers.networks import tagged
from helpers.one_by_one import outcomes, scores_of
from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.evaluators.engine import Evaluator, evaluate
from widthwise.evaluators.engine.walk import Count, Value, distinct_versions, walk
from widthwise.formats import from_config
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.quality.confusion import quality_metrics
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.scheme import Scheme
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import slot_choices

QUALITY = ["accuracy", "accuracy_macro", "loss", "precision", "recall", "f1", "f1[1]"]


def assert_exact(evaluator: Evaluator, candidates: np.ndarray, data: Batches) -> None:
    results = evaluator(candidates)
    confusion, losses = outcomes(evaluator, candidates, data.inputs, data.labels)
    expected = quality_metrics(QUALITY, confusion, losses * SAMPLES, class_names=data.class_names)
    assert not results.failures
    for name in QUALITY:
        tolerance = 1e-5 if name == "loss" else 1e-12
        np.testing.assert_allclose(results[name], expected[name], rtol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", tagged("classes"))
@pytest.mark.parametrize("batch", [1, 5, 40])
def test_every_structure_equals_one_network_per_candidate(name: str, batch: int):
    graph, data = made(name)
    space = every_layer(graph, FIXED)
    evaluator = Evaluator(graph, space, data, metrics=QUALITY)
    assert_exact(evaluator, space.sample(batch, np.random.default_rng(batch)), data)


@pytest.mark.parametrize("name", [name for name in tagged("classes") if name != "attention"])
def test_layers_that_stay_in_float_share_values_rightly(name: str):
    graph, data = made(name)
    weighted = "|".join(layer.name for layer in graph.layers if "weight" in layer.tensors)
    space = QuantisationSpace(graph, by="regex", seed={weighted: {"config": FIXED}})
    evaluator = Evaluator(graph, space, data, metrics=QUALITY)
    for batch in (1, 25):
        assert_exact(evaluator, space.sample(batch, np.random.default_rng(batch)), data)


def test_a_whole_space_equals_one_network_per_candidate():
    graph, data = made("residual")
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": FIXED}})
    evaluator = Evaluator(graph, space, data, metrics=QUALITY)
    candidates = space.at(range(space.size))
    assert space.size == 512
    assert_exact(evaluator, candidates, data)


FORMATS = [
    {"name": "integer", "width": 5},
    {"name": "integer", "width": 4, "frac_width": "auto"},
    {"name": "integer", "width": 4, "frac_width": "auto-90"},
    {"name": "scaled_integer", "width": 4, "scale": "auto-95"},
    {"name": "scaled_integer", "width": 3, "scale": "auto-mse"},
    {"name": "minifloat_ieee", "width": 6, "exponent_width": 3},
    {"name": "mxint8", "block_size": 4},
    {"name": "scaled_integer", "width": 4},
    {"name": "binary"},
    {"name": "ternary"},
    {"name": "scaled_integer", "width": 5, "per": "channel", "axis": -1},
    {"name": "none"},
]


@st.composite
def configs(draw: st.DrawFn) -> dict:
    """Choices of a tensor's format by name alone, and of widths where integers are among them."""
    config: dict = {"name": ["integer"]}
    for tensor in ("data_in", "weight", "bias"):
        widths = draw(st.lists(st.integers(2, 8), min_size=1, max_size=3, unique=True))
        config[f"{tensor}_width"] = widths
    if draw(st.booleans()):
        config["weight_frac_width"] = ["auto", "NA"]
    return config


@given(
    name=st.sampled_from([name for name in tagged("classes") if name != "attention"]),
    config=configs(),
    batch=st.integers(1, 30),
    stack=st.integers(1, 20_000),
    seed=st.integers(0, 5),
)
def test_any_space_and_stack_size_equals_one_network_per_candidate(
    name: str, config: dict, batch: int, stack: int, seed: int
):
    graph, data = made(name, seed)
    space = every_layer(graph, config)
    evaluator = Evaluator(graph, space, data, metrics=QUALITY)
    candidates = space.sample(batch, np.random.default_rng(seed))
    if (sharing := evaluator.prepared.sharing) is None:
        return
    chosen = slot_choices(evaluator.slots, candidates)
    found: dict[int, Tensor] = {}

    def consume(rows: np.ndarray, scores: Tensor, versions: np.ndarray) -> None:
        found.update({int(row): scores[version] for row, version in zip(rows, versions, strict=True)})

    with torch.no_grad():
        walk(sharing.plan, data.inputs, chosen, consume, stack_bytes=stack)
    assert sorted(found) == list(range(batch))
    for row, candidate in enumerate(candidates):
        torch.testing.assert_close(found[row], scores_of(evaluator, candidate, data.inputs))


@pytest.mark.parametrize("weight", FORMATS, ids=str)
@pytest.mark.parametrize("data_in", FORMATS, ids=str)
def test_mixtures_of_formats_equal_one_network_per_candidate(weight: dict, data_in: dict):
    # in the last layer alone: before another quantiser, floats summed in another order may round otherwise
    graph, data = made("residual")
    config = {
        **{f"data_in_{key}": value for key, value in data_in.items()},
        **{f"weight_{key}": value for key, value in weight.items()},
        "bias_name": ["integer", "none"],
        "bias_width": 4,
    }
    space = QuantisationSpace(graph, by="name", seed={"last": {"config": config}})
    evaluator = Evaluator(graph, space, data, metrics=["loss"])
    results = evaluator(space.at(range(space.size)))
    _, losses = outcomes(evaluator, space.at(range(space.size)), data.inputs, data.labels)
    np.testing.assert_allclose(results["loss"], losses, rtol=1e-5)


def test_what_follows_the_data_is_fixed_before_the_search():
    graph, data = made("residual")
    space = QuantisationSpace(
        graph,
        by="name",
        seed={"last": {"config": {"name": "integer", "data_in_width": [4, 6], "data_in_frac_width": "auto"}}},
    )
    evaluator = Evaluator(graph, space, data, metrics=["accuracy"])
    model = graph.model
    with torch.no_grad():
        x = torch.relu(model.first(*data.inputs))
        x = torch.relu(x + torch.relu(model.second(x)))
    allowed = [from_config({"name": "integer", "width": w, "frac_width": "auto"}) for w in (4, 6)]
    assert evaluator.slots[0].formats == tuple(fmt.calibrated(x) for fmt in allowed if fmt)


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=40)
)
def test_versions_are_the_distinct_rows(rows: list):
    table = np.array(rows)
    reads = [Value(None, table[:, 0]), Value(None, table[:, 1])]
    picks, choices, versions = distinct_versions(reads, table[:, 2:])
    pairs = np.column_stack([*picks, choices])
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert (pairs[versions] == table).all()
    assert (pairs[np.lexsort(pairs.T[::-1])] == pairs).all()


def test_common_prefixes_are_computed_once():
    graph, data = made("residual")
    space = QuantisationSpace(
        graph, by="name", seed={"last": {"config": {"name": "integer", "weight_width": [2, 3, 4, 5]}}}
    )
    evaluator = Evaluator(graph, space, data, metrics=["accuracy"])
    assert evaluator.prepared.sharing is not None
    plan = evaluator.prepared.sharing.plan
    count = Count()
    chosen = slot_choices(evaluator.slots, np.repeat(space.at(range(4)), 10, axis=0))
    with torch.no_grad():
        walk(plan, data.inputs, chosen, lambda *_: None, stack_bytes=2**20, count=count)
    once = sum(not step.depends for step in plan.steps) - plan.placeholders
    assert count.versions == once + 4 * sum(bool(step.depends) for step in plan.steps)


# ---- batches, memory, early exit


def test_blocks_do_not_change_the_results():
    graph, data = made("convolutional")
    space = every_layer(graph, FIXED)
    candidates = space.sample(30, np.random.default_rng(0))
    whole = Evaluator(graph, space, data, metrics=QUALITY)(candidates)
    data.size = 7
    small = Evaluator(graph, space, data, metrics=QUALITY, memory=64 * 2**20)
    with_shares(small, stack=2000, memo=10_000, data=0, block_samples=5)
    pieces = small(candidates)
    for name in QUALITY:
        np.testing.assert_allclose(pieces[name], whole[name], rtol=1e-6)


def test_the_first_samples_alone_are_judged_where_asked():
    graph, data = made("residual")
    part = Batches(tuple(x[:20] for x in data.inputs), data.labels[:20])
    assert evaluate(graph, data, metrics=["loss"], samples=20) == pytest.approx(
        evaluate(graph, part, metrics=["loss"])
    )


def test_torchmetrics_are_fed_with_each_candidates_scores():
    graph, data = made("residual")
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": FIXED}})
    names = ["MulticlassCohenKappa", "accuracy", "MulticlassAUROC"]
    evaluator = Evaluator(graph, space, data, metrics=names)
    candidates = space.sample(100, np.random.default_rng(0))
    results = evaluator(candidates)
    from torchmetrics.classification import MulticlassAUROC, MulticlassCohenKappa

    for row in (0, 17, 99):
        scores = scores_of(evaluator, candidates[row], data.inputs)
        kappa, area = MulticlassCohenKappa(3), MulticlassAUROC(3)
        assert results["MulticlassCohenKappa"][row] == pytest.approx(float(kappa(scores, data.labels)))
        expected = float(area(scores.softmax(1), data.labels))
        assert results["MulticlassAUROC"][row] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("objective", ["accuracy", "loss"])
def test_pruning_leaves_the_front_as_it_is(objective: str):
    graph, data = made("residual")
    torch.manual_seed(1)
    x = torch.randn(600, 6)
    with torch.no_grad():
        data = Batches((x,), graph.model(x).argmax(1))
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": FIXED}})
    evaluator = Evaluator(graph, space, data, metrics=[objective, "average_bitwidth"])
    sign = 1 if objective == "accuracy" else -1
    candidates = space.at(range(space.size))
    whole = evaluator(candidates)
    points = np.column_stack([sign * whole[objective], -whole["average_bitwidth"]])

    def hopeless(costs: dict, best: dict) -> np.ndarray:
        hopes = np.column_stack([sign * best[objective], -costs["average_bitwidth"]])
        return np.array([((points >= hope).all(1) & (points > hope).any(1)).any() for hope in hopes])

    pruned = evaluator.evaluate_pruning(candidates, hopeless=hopeless)
    front = ~np.array([((points >= p).all(1) & (points > p).any(1)).any() for p in points])
    assert len(pruned.pruned) > 50
    assert not pruned.pruned & set(np.flatnonzero(front).tolist())
    kept = [row for row in range(space.size) if row not in pruned.pruned]
    np.testing.assert_allclose(pruned[objective][kept], whole[objective][kept], rtol=1e-6)
    assert np.isnan(pruned[objective][sorted(pruned.pruned)]).all()


# ---- costs


def test_costs_need_no_evaluation_and_follow_the_formats():
    graph, data = made("residual")
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": FIXED}})
    names = ["average_bitwidth", "model_size", "bops", "macs", "parameters", "memory_density"]
    evaluator = Evaluator(graph, space, data, metrics=["accuracy", *names])
    candidates = space.sample(64, np.random.default_rng(0))
    costs = evaluator.costs(candidates)
    assert evaluator.count.versions == 0
    results = evaluator(candidates)
    sizes = {"first": (48, 8), "second": (64, 8), "last": (24, 3)}
    for row, candidate in enumerate(candidates):
        config = space.config(candidate)
        bits = {name: config[name]["weight_width"] for name in sizes}
        weights = sum(sizes[name][0] * bits[name] for name in sizes)
        biases = sum(sizes[name][1] * config[name]["bias_width"] for name in sizes)
        assert costs["average_bitwidth"][row] == pytest.approx(weights / 136)
        assert costs["memory_density"][row] == pytest.approx(32 * 136 / weights)
        assert costs["model_size"][row] == pytest.approx((weights + biases) / 8)
        assert costs["macs"][row] == 136
        bops = 0.0
        for name, (macs, _) in sizes.items():
            a, w = config[name]["data_in_width"], bits[name]
            bops += macs * (a * w + a + w + np.log2({"first": 6, "second": 8, "last": 8}[name]))
        assert costs["bops"][row] == pytest.approx(bops)
    for name in names:
        assert (results[name] == costs[name]).all()


# ---- failures


def test_a_candidate_that_raises_fails_alone():
    graph = choosy_graph()
    data = Batches((torch.randn(SAMPLES, 6),), torch.randint(0, 3, (SAMPLES,)))
    space = QuantisationSpace(graph, by="name", seed=CHOOSY_RULES)
    evaluator = Evaluator(graph, space, data, metrics=["accuracy"])
    results = evaluator(space.at(range(10)))
    assert results.failures == dict.fromkeys((0, 1), "RuntimeError: too coarse by far")
    assert np.isnan(results["accuracy"][:2]).all()
    assert not np.isnan(results["accuracy"][2:]).any()


def test_scores_that_are_not_numbers_fail_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3))
    with torch.no_grad():
        model[0].weight.mul_(1e4)
        model[1].weight.mul_(1e4)
    graph = Graph(model)
    data = Batches((torch.randn(SAMPLES, 6),), torch.randint(0, 3, (SAMPLES,)))
    overflowing = {
        "data_in_name": "e4m3",
        "data_in_saturating": [True, False],
        "weight_name": "integer",
        "weight_width": [6, 7, 8, 9, 10],
    }
    space = QuantisationSpace(graph, by="name", seed={"1": {"config": overflowing}})
    results = Evaluator(graph, space, data, metrics=["accuracy", "loss"])(space.at(range(10)))
    assert results.failures == dict.fromkeys(range(5, 10), "the scores hold NaN")
    assert np.isnan(results["loss"][5:]).all()
    assert not np.isnan(results["loss"][:5]).any()


def test_labels_beyond_the_outputs_are_refused():
    graph, data = made("residual")
    data.labels[3] = 3
    with pytest.raises(UserError, match="label 3 is out of range; the network has 3 outputs"):
        evaluate(graph, data, metrics=["accuracy"])


# ---- one network


def test_a_graph_is_evaluated_as_it_is(shared_data: Path):
    data = load_data("jsc", splits=(0, 1, 0), standardise="reference")
    graph = Graph(load_model("jsc-mlp", checkpoint=shared_data / "jsc_mlp.npz"))
    assert evaluate(graph, data, metrics=["accuracy"])["accuracy"] == pytest.approx(0.7598, abs=5e-5)
    fixed = from_config({"name": "integer", "width": 8})
    quantised = graph.quantized({"layer0": Scheme(fixed, fixed, fixed)})
    found = evaluate(quantised, data, metrics=["accuracy", "average_bitwidth"])
    x, y = data.parts["val"]
    with torch.no_grad():
        expected = (quantised.model(x).argmax(1) == y).double().mean()
    assert found["accuracy"] == pytest.approx(float(expected))
    weights = [16 * 64, 64 * 32, 32 * 32, 32 * 5]
    assert found["average_bitwidth"] == pytest.approx((8 * weights[0] + 32 * sum(weights[1:])) / sum(weights))


def test_networks_that_fx_cannot_follow_say_how_they_are_evaluated():
    graph, data = made("deciding")
    evaluator = Evaluator(graph, None, data, metrics=["accuracy"])
    assert evaluator.describe.startswith("candidates one pass per candidate with cached weights: TypeError")
    graph, data = made("residual")
    assert Evaluator(graph, None, data, metrics=["accuracy"]).describe.startswith("candidates together")


def test_the_graph_given_stays_as_it_is():
    graph, data = made("residual")
    graph.model.train()
    before = {name: value.clone() for name, value in graph.model.state_dict().items()}
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": FIXED}})
    Evaluator(graph, space, data, metrics=["accuracy"])(space.at(range(20)))
    assert graph.model.training
    assert all(torch.equal(value, before[name]) for name, value in graph.model.state_dict().items())


def test_a_module_is_evaluated_as_its_graph_is_and_stays_as_it_is():
    model, data = load_model("jsc-tiny").train(), load_data("jsc")
    names = ["accuracy", "loss", "model_size"]
    assert evaluate(model, data, metrics=names) == evaluate(Graph(model), data, metrics=names)
    assert model.training


def test_what_is_measured_is_refused(monkeypatch: pytest.MonkeyPatch):
    latency = Metric("latency", "measured", "minimize", "us", "of one sample")
    monkeypatch.setattr("widthwise.evaluators.judging.metric_of", lambda task, name: latency)
    with pytest.raises(UserError, match="metric latency: is measured, so it does not follow from a network"):
        evaluate(load_model("jsc-tiny"), load_data("jsc"), metrics=["latency"])

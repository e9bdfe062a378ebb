"""Evaluating widths: really trained, exactly repeated, failing alone, stopped early, with mean and spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.evaluators.halving import Halving
from widthwise.evaluators.trained import WidthEvaluator
from widthwise.metrics.spread import within_noise
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings, fit, score
from widthwise.training.sources import NetworkSource

DATA = load_data("jsc")
GRAPH = Graph(load_model("jsc-three-linear"))
SPACE = WidthSpace(GRAPH, by="all", multipliers=[0.5, 1, 2])
ALL = next(SPACE.enumerate())
SHORT = Settings(epochs=4, learning_rate=1e-2)


def evaluator(**options) -> WidthEvaluator:
    settings = {"metrics": ["accuracy", "loss", "parameters"], "settings": SHORT} | options
    return WidthEvaluator(GRAPH, SPACE, DATA, **settings)


def test_candidates_are_trained_and_judged_on_validation_data():
    made = evaluator(settings=Settings(epochs=40))
    found = made(ALL)
    assert (found["accuracy"] > 0.55).all()
    assert found.failures == {}
    for row, candidate in enumerate(ALL):
        network = made.network(candidate).model
        judged = score(network, DATA.val_dataloader())
        assert judged.accuracy == pytest.approx(found["accuracy"][row])
        assert judged.loss == pytest.approx(found["loss"][row], rel=1e-5)
        assert sum(p.numel() for p in network.parameters()) == found["parameters"][row]


def test_a_candidate_has_the_same_result_in_any_batch():
    made, other = evaluator(), evaluator()
    together, alone = made(ALL), [other(ALL[row : row + 1]) for row in (2, 0, 1)]
    for row, result in zip((2, 0, 1), alone, strict=True):
        for name, values in result.items():
            assert values[0] == together[name][row]


def test_costs_are_those_of_evaluating():
    made = evaluator(metrics=["accuracy", "parameters", "macs", "flops", "model_size"])
    costs, found = made.costs(ALL), made(ALL)
    assert set(costs) == {"parameters", "macs", "flops", "model_size"}
    assert all(np.array_equal(costs[name], found[name]) for name in costs)


def test_costs_alone_train_nothing():
    made = evaluator(metrics=["parameters"], settings=Settings(epochs=10**9))
    assert made(ALL)["parameters"].tolist() == [16 * 8 + 8 + 8 * 8 + 8 + 45 + 32, 661, 1797]


def test_repeats_give_mean_and_spread():
    singles = [evaluator(seed=seed)(ALL)["accuracy"] for seed in (0, 1, 2)]
    found = evaluator(repeats=3)(ALL)
    assert np.allclose(found["accuracy"], np.mean(singles, axis=0))
    assert np.allclose(found["accuracy_spread"], np.std(singles, axis=0, ddof=1))
    assert "parameters_spread" not in found


def test_repeats_differ_when_they_inherit_too():
    found = evaluator(mode="inherit", repeats=3)(ALL)
    assert (found["loss_spread"] > 0).all()


def test_torchmetrics_and_metrics_of_a_class_are_computed():
    found = evaluator(metrics=["f1", "f1[t]", "MulticlassCohenKappa"])(ALL)
    assert all(np.isfinite(values).all() for values in found.values())


def test_inheriting_starts_from_the_network():
    model = load_model("jsc-mlp")
    fit(model, DATA, epochs=30)
    graph = Graph(model)
    space = WidthSpace(graph, by="all", multipliers=[0.75, 1, 1.5])
    candidates = next(space.enumerate())
    few = Settings(steps=2, learning_rate=1e-3)
    options = {"metrics": ["accuracy", "loss"], "settings": few}
    inherited = WidthEvaluator(graph, space, DATA, mode="inherit", **options)(candidates)
    scratch = WidthEvaluator(graph, space, DATA, **options)(candidates)
    assert (inherited["accuracy"] > scratch["accuracy"] + 0.1).all()


@pytest.mark.slow
def test_a_supernet_is_trained_once_for_all():
    space = WidthSpace(GRAPH, multipliers=[0.5, 1])
    made = WidthEvaluator(
        GRAPH, space, DATA, metrics=["accuracy", "macs"], mode="supernet", settings=Settings(epochs=30)
    )
    first = made(next(space.enumerate()))
    supernet = made.source.supernet(0)
    again = made(space.at([2]))
    assert made.source.supernet(0) is supernet
    assert first["accuracy"][2] == again["accuracy"][0]
    assert (first["accuracy"] > 0.5).all()
    network = made.network(space.at([2])[0]).model
    assert score(network, DATA.val_dataloader()).accuracy == pytest.approx(first["accuracy"][2])


@dataclass(frozen=True)
class Diverging:
    """Networks of their own source; the widest trained with steps that no training survives."""

    source: NetworkSource

    def network(self, sizes, seed, settings=None):
        rate = 1e30 if sizes["seq_blocks.2"] == 64 else 1e-2
        return self.source.network(sizes, seed, Settings(epochs=2, learning_rate=rate, optimizer="sgd"))


def test_divergence_fails_alone_with_epoch_and_loss():
    space = WidthSpace(GRAPH, by="all", multipliers=[0.5, 4])
    made = WidthEvaluator(GRAPH, space, DATA, metrics=["accuracy", "parameters"], settings=SHORT)
    made.source = Diverging(made.source)
    found = made(next(space.enumerate()))
    assert set(found.failures) == {1}
    assert "training diverged in epoch 1: the loss is" in found.failures[1]
    assert np.isfinite(found["accuracy"][0])
    assert np.isnan(found["accuracy"][1])
    assert np.isfinite(found["parameters"]).all()


@pytest.mark.slow
def test_halving_stops_the_worst_and_survivors_are_as_without_it():
    space = WidthSpace(GRAPH, multipliers=[0.125, 0.25, 0.5, 1])
    candidates = space.sample(9, np.random.default_rng(0))
    options = {"metrics": ["accuracy", "macs"], "settings": Settings(epochs=9)}
    plain = WidthEvaluator(GRAPH, space, DATA, **options)(candidates)
    halved = WidthEvaluator(GRAPH, space, DATA, halving=Halving(3), objectives=["accuracy"], **options)
    found = halved(candidates)
    kept = [row for row in range(9) if row not in found.pruned]
    assert len(kept) == 1
    assert found.failures == {}
    assert found["accuracy"][kept] == plain["accuracy"][kept]
    assert np.isnan(found["accuracy"][list(found.pruned)]).all()
    assert np.isfinite(found["macs"]).all()


@pytest.mark.slow
def test_stacked_candidates_have_the_same_result_in_any_batch():
    made = evaluator(stacked=True)
    together, alone = made(ALL), [made(ALL[row : row + 1]) for row in (2, 0, 1)]
    for row, result in zip((2, 0, 1), alone, strict=True):
        for name, values in result.items():
            assert values[0] == together[name][row]
    assert made.pace.at_once == 16
    assert "16 at once" in made.describe
    assert score(made.network(ALL[1]).model, DATA.val_dataloader()).loss == pytest.approx(together["loss"][1])


@pytest.mark.slow
def test_halving_stops_the_same_where_candidates_are_stacked():
    options = {"settings": Settings(epochs=4), "halving": Halving(2), "objectives": ["loss"]}
    together, alone = evaluator(stacked=True, **options)(ALL), evaluator(**options)(ALL)
    assert together.pruned == alone.pruned
    assert np.allclose(together["loss"], alone["loss"], rtol=1e-2, equal_nan=True)


def test_results_within_two_standard_errors_are_not_told_apart():
    means, spreads = np.array([0.70, 0.71, 0.80]), np.array([0.02, 0.02, 0.02])
    assert within_noise(means, spreads, repeats=4).tolist() == [
        [True, True, False],
        [True, True, False],
        [False, False, True],
    ]
    assert within_noise(means, spreads * np.nan, repeats=1).tolist() == np.eye(3, dtype=bool).tolist()


BAD = {
    "mode": ({"mode": "scrach"}, "no way to train candidates named 'scrach'; did you mean scratch?"),
    "repeats": ({"repeats": 0}, "repeats = 0 is no whole number from 1"),
    "metric": ({"metrics": ["acuracy"]}, "no metric named 'acuracy'; did you mean accuracy?"),
}


@pytest.mark.parametrize(("options", "says"), BAD.values(), ids=BAD.keys())
def test_bad_settings_are_refused(options: dict, says: str):
    with pytest.raises(UserError) as caught:
        evaluator(**options)
    assert says in str(caught.value)

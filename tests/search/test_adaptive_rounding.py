"""Searches where weights may be rounded adaptively: what is judged is what is kept, exported and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import widthwise as ww
from widthwise.config import load_config
from widthwise.core.errors import UserError
from widthwise.evaluators.engine import Evaluator
from widthwise.network.graph import Graph
from widthwise.search.problem import load_problem
from widthwise.spaces.quantisation import QuantisationSpace

RULE: dict[str, Any] = {
    "name": ["integer"],
    "data_in_width": [6],
    "data_in_frac_width": ["auto"],
    "weight_width": [2, 3],
    "weight_frac_width": ["auto-mse"],
    "weight_rounding": ["nearest", "adaptive"],
    "bias_width": [8],
    "bias_frac_width": ["auto"],
}
METRICS = ("accuracy", "loss", "ebops", "model_size")


def config(**options: Any) -> dict[str, Any]:
    space = {
        "name": "graph/quantize/mixed_precision_ptq",
        "setup": {"by": "type"},
        "seed": {"linear": {"config": RULE}},
    }
    goals = {"accuracy": {"direction": "maximize"}, "ebops": {"direction": "minimize"}}
    strategy = {"name": "random", "setup": {"n_trials": 24, **options}, "metrics": goals}
    return {
        "model": "jsc-mlp",
        "dataset": "jsc",
        "search": {"search_space": space, "strategy": strategy},
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "adaptive"
    ww.search(None, None, config(), out=folder)
    return folder


def test_it_is_a_decision_and_every_figure_is_that_of_the_network_that_is_kept(run: Path) -> None:
    study, problem = ww.load_run(run), load_problem(load_config(config()))
    names = [decision.name for decision in problem.space.decisions]
    assert sum(name.endswith("weight_rounding") for name in names) == len(names) // 2
    data, seen = ww.load_data("jsc"), set()
    for trial in study.trials:
        network = problem.network_of(trial.candidate)
        found = ww.evaluate(network, data, metrics=[*METRICS])
        for metric in METRICS:
            assert found[metric] == pytest.approx(trial.metrics[metric], rel=1e-6), metric
        seen |= {each.weight.rounding for each in network.schemes.values() if each.weight}  # type: ignore
    assert seen == {"nearest"}  # the weights have it
    x = torch.cat([x for x, _ in data.val_dataloader()])
    for trial in study.trials:  # on the front or not
        assert torch.equal(study.network(trial).model(x), problem.network_of(trial.candidate).model(x))


def test_what_is_kept_is_exported_without_the_data(run: Path, tmp_path: Path) -> None:
    study = ww.load_run(run)
    for form in ("torch", "c"):
        done = ww.export(study, study.front[-1], form, tmp_path / form)
        assert done.check.passes(exact=True)


def test_a_search_goes_on_to_the_trials_that_it_would_have_had(run: Path, tmp_path: Path) -> None:
    ww.search(None, None, config(n_trials=9), out=tmp_path / "part")
    resumed = ww.search(None, None, config(), out=tmp_path / "part", resume=True)
    whole = ww.load_run(run)
    assert [(t.candidate, dict(t.metrics)) for t in resumed.trials] == [
        (t.candidate, dict(t.metrics)) for t in whole.trials
    ]


def test_it_is_found_alike_whatever_memory_and_threads_there_are() -> None:
    network, data = ww.load_model("digits-cnn", seed=0).eval(), ww.load_data("digits")
    graph = Graph(network)
    rule = {"name": "int", "weight_width": [3, 4], "weight_rounding": ["adaptive"]}
    space = QuantisationSpace(graph, by="type", seed={"conv2d": {"config": rule}})
    usual = torch.get_num_threads()
    found = []
    for memory, threads in ((2**26, 1), (2**30, 2)):
        torch.set_num_threads(threads)
        evaluator = Evaluator(graph, space, data, metrics=["accuracy"], memory=memory)
        found.append([slot.formats for slot in evaluator.slots])
    torch.set_num_threads(usual)
    assert found[0] == found[1]


def test_the_help_helps_where_bits_are_few() -> None:
    data = ww.load_data("digits", seed=0)
    network = ww.load_model("digits-mlp", seed=0)
    ww.fit(network, data, epochs=8, learning_rate=1e-2, seed=0)
    graph = Graph(network.eval())
    rule = {"name": "int", "weight_width": [2], "weight_scale": "auto-mse"}
    rule |= {"weight_rounding": ["nearest", "adaptive"]}
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": rule}}, tie=True)
    losses = Evaluator(graph, space, data, metrics=["loss"])(space.at([0, 1]))["loss"]
    assert np.diff(losses) < 0


def test_a_shared_network_that_is_trained_refuses_it() -> None:
    tables = config()
    tables["search"]["search_space"]["setup"]["weights"] = "supernet"
    with pytest.raises(UserError, match=r"layer0: rounding = .adaptive. is found for weights that stay"):
        ww.search(None, None, tables)

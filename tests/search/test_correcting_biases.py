"""Searches with corrected biases: what is judged is what is kept, exported, resumed and trained on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import widthwise as ww
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.evaluators.engine import Evaluator
from widthwise.network.graph import Graph
from widthwise.network.passes import fold_batchnorm_transform_pass
from widthwise.search.problem import load_problem
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.study.checking import check_run
from widthwise.training.finetuning.settings import Finetuning

RULE: dict[str, Any] = {
    "name": ["integer"],
    "data_in_width": [6],
    "data_in_frac_width": ["auto"],
    "weight_width": [2, 3],
    "weight_frac_width": ["auto-mse"],
    "weight_rounding": ["nearest", "adaptive"],
    "bias_width": [5, 8],
    "bias_frac_width": ["auto"],
}
METRICS = ("accuracy", "loss", "ebops", "model_size", "model_size[c]")


def config(*, target: str | None = None, trials: int = 20, **setup: Any) -> dict[str, Any]:
    space = {
        "name": "graph/quantize/mixed_precision_ptq",
        "setup": {"by": "type", "bias_correction": True, **setup},
        "seed": {"linear": {"config": RULE}},
    }
    goals = {"accuracy": {"direction": "maximize"}, "ebops": {"direction": "minimize"}}
    strategy = {"name": "random", "setup": {"n_trials": trials}, "metrics": goals}
    strategy["metrics"] |= {"model_size[c]": {"direction": "minimize"}}
    search: dict[str, Any] = {"search_space": space, "strategy": strategy}
    if target is not None:
        search["target"] = target
    return {"model": "jsc-mlp", "dataset": "jsc", "search": search}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "corrected"
    ww.search(None, None, config(target="c"), out=folder)
    return folder


def test_every_figure_is_that_of_the_network_that_is_kept(run: Path, tmp_path: Path) -> None:
    study, problem = ww.load_run(run), load_problem(load_config(config(target="c")))
    data = ww.load_data("jsc")
    x = torch.cat([x for x, _ in data.val_dataloader()])
    for trial in study.trials:  # on the front or not
        network = study.network(trial)
        found = ww.evaluate(network, data, metrics=[*METRICS])
        for metric in METRICS:
            assert found[metric] == pytest.approx(trial.metrics[metric], rel=1e-6), metric
        assert torch.equal(network.model(x), problem.network_of(trial.candidate).model(x))
    assert all(finding.trouble is None for finding in check_run(run))
    lines = problem.kind.lines(problem.graph, problem.space)
    assert sum(line.endswith("; bias corrected") for line in lines) == 4
    front = {trial.number for trial in study.front}
    other = next(trial for trial in study.trials if trial.number not in front)
    for trial in (study.front[-1], other):
        done = ww.export(study, trial, "c", tmp_path / f"c{trial.number}")
        assert done.check.passes(exact=True)


def test_a_search_goes_on_to_the_trials_that_it_would_have_had(run: Path, tmp_path: Path) -> None:
    ww.search(None, None, config(target="c", trials=7), out=tmp_path / "part")
    resumed = ww.search(None, None, config(target="c"), out=tmp_path / "part", resume=True)
    assert [(t.candidate, dict(t.metrics)) for t in resumed.trials] == [
        (t.candidate, dict(t.metrics)) for t in ww.load_run(run).trials
    ]


def test_front_members_are_trained_on_from_the_corrected_biases(tmp_path: Path) -> None:
    ww.search(None, None, config(trials=4), out=tmp_path / "run")
    study = ww.load_run(tmp_path / "run")
    settings = Finetuning(training=replace(Finetuning().training, steps=2, learning_rate=1e-12))
    ((number, tuned),) = study.finetune(trials=[study.front[0].number], settings=settings).finetuned.items()
    trial = study.trial(number)
    for name in ("accuracy", "loss", "ebops"):
        assert tuned.after[name] == pytest.approx(trial.metrics[name], rel=1e-4), name


def test_it_is_found_alike_whatever_memory_and_threads_there_are() -> None:
    graph, data = Graph(ww.load_model("digits-cnn", seed=0).eval()), ww.load_data("digits")
    folded = fold_batchnorm_transform_pass(graph, {})[0]
    rule = {"name": "int", "weight_width": [3, 4]}
    seed = {"conv2d": {"config": rule}}
    space = QuantisationSpace(folded, by="type", seed=seed, bias_correction=True)
    usual, found = torch.get_num_threads(), []
    for memory, threads in ((2**26, 1), (2**30, 2)):
        torch.set_num_threads(threads)
        evaluator = Evaluator(folded, space, data, metrics=["accuracy"], memory=memory)
        found.append([slot.formats for slot in evaluator.slots])
    torch.set_num_threads(usual)
    assert found[0] == found[1]


def test_it_is_written_and_read_back_and_refused_beside_training() -> None:
    read = load_config(config())
    assert load_config(tables_of(read)) == read
    assert read.search.space.bias_correction  # type: ignore[union-attr]
    assert read.search.space.fold_batchnorm  # type: ignore[union-attr]
    with pytest.raises(UserError, match="bias_correction"):
        load_config(config(bias_correction="yes"))
    with pytest.raises(UserError, match=r"bias_correction.* a shared network is trained"):
        load_config(config(weights="supernet"))


def test_searches_of_bits_and_channels_correct_each_width(tmp_path: Path) -> None:
    tables = config(trials=4)
    rule = {**RULE, "channel_multiplier": [0.5, 1]}
    tables["search"]["search_space"] |= {"name": "graph/joint", "seed": {"linear": {"config": rule}}}
    tables["search"]["training"] = {"epochs": 1}
    tables["search"]["strategy"]["metrics"] = {"accuracy": {"direction": "maximize"}}
    tables["model"] = "jsc-three-linear"
    study = ww.search(None, None, tables, out=tmp_path / "run")
    network = ww.load_run(tmp_path / "run").network(study.front[0])
    found = ww.evaluate(network, ww.load_data("jsc"), metrics=["accuracy"])
    assert found["accuracy"] == pytest.approx(study.front[0].metrics["accuracy"], abs=1e-9)

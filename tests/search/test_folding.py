"""Searches of networks whose batch norms are folded: what is judged, kept and exported is the folded one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

import widthwise as ww
from widthwise.config import load_config
from widthwise.core.errors import UserError
from widthwise.search.problem import load_problem, problem_of_run

FIXED = {"data_in_width": [8], "data_in_frac_width": [4], "bias_width": [8], "bias_frac_width": [4]}
RULE = {"config": {"name": ["integer"], **FIXED, "weight_width": [4, 8], "weight_frac_width": ["auto"]}}


def config(*, fold: bool | None = True, model: str | None = "jsc-toy", **rules: Any) -> dict[str, Any]:
    setup = {"by": "type"} if fold is None else {"by": "type", "fold_batchnorm": fold}
    seed = rules or {"linear": RULE, "batch_norm1d": RULE}
    strategy = {"name": "brute-force", "metrics": {"accuracy": {"direction": "maximize"}}}
    space = {"name": "graph/quantize/mixed_precision_ptq", "setup": setup, "seed": seed}
    tables = {"dataset": "jsc", "search": {"search_space": space, "strategy": strategy}}
    return tables if model is None else tables | {"model": model}


class Normed(nn.Module):
    """A norm behind a linear layer, and one between a ReLU and another."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.norm = nn.Linear(16, 8), nn.BatchNorm1d(8)
        self.other, self.two = nn.BatchNorm1d(8), nn.Linear(8, 5)
        for norm in (self.norm, self.other):
            norm.running_mean, norm.running_var = torch.randn(8), torch.rand(8) + 0.5

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.two(self.other(torch.relu(self.norm(self.one(x)))))
        return scores


def jets() -> Tensor:
    return torch.cat([x for x, _ in ww.load_data("jsc").val_dataloader()])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "folded"
    ww.search(None, None, config(), out=folder, page=False)
    return folder


def test_what_is_judged_is_the_folded_network(run: Path) -> None:
    study = ww.load_run(run)
    problem = load_problem(load_config(config()))
    x = jets()
    assert {layer.type for layer in study.network(0).layers} == {"batch_norm1d", "linear", "relu"}
    assert len(study.network(0).layers) == 8
    for trial in study.trials:
        judged = problem.evaluator.network(torch.tensor(trial.candidate).numpy()).model  # type: ignore[attr-defined]
        with torch.no_grad():
            assert torch.equal(study.network(trial).model(x), judged(x))
    with torch.no_grad():
        close = study.network().model(x), study.searched_network().eval()(x)
    torch.testing.assert_close(*close, rtol=1e-5, atol=1e-5)


def test_a_linear_layer_has_the_weights_that_torch_folds() -> None:
    network = Normed().eval()
    rule = {"linear": RULE}
    problem = load_problem(load_config(config(model=None, **rule)), model=network)
    layers = {layer.name: layer for layer in problem.graph.layers}
    assert set(layers) == {"one", "relu", "two"}
    fused = fuse_linear_bn_eval(copy.deepcopy(network.one), copy.deepcopy(network.norm))
    one = layers["one"].module
    assert isinstance(one, nn.Linear)
    torch.testing.assert_close(one.weight, fused.weight, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(one.bias, fused.bias, rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(problem.graph.model(jets()), network(jets()), rtol=1e-5, atol=1e-5)


def test_a_network_from_python_is_had_again(tmp_path: Path) -> None:
    network = Normed()
    study = ww.search(network, None, config(model=None, linear=RULE), out=tmp_path / "run", page=False)
    judged = study.network(3).model(jets())
    assert torch.equal(ww.load_run(tmp_path / "run").network(3, model=Normed()).model(jets()), judged)
    done = ww.export(study, 3, "torch", tmp_path / "out")
    assert done.check.passes(exact=True)
    assert torch.equal(ww.load(tmp_path / "out", model=Normed()).model(jets()), judged)


def test_it_is_exported_and_read_by_its_name(run: Path, tmp_path: Path) -> None:
    study = ww.load_run(run)
    done = ww.export(study, 7, "torch", tmp_path / "torch")
    assert done.check.as_judged
    assert torch.equal(ww.load(tmp_path / "torch").model(jets()), study.network(7).model(jets()))
    assert ww.export(study, 7, "c", tmp_path / "c").check.passes(exact=True)


def test_a_run_is_judged_again_as_it_was(run: Path) -> None:
    problem, study = problem_of_run(run), ww.load_run(run)
    trial = study.trial(5)
    network = problem.network_of(trial.candidate)
    found = ww.evaluate(network, ww.load_data("jsc"), metrics=["accuracy", "loss"])
    assert found == pytest.approx(trial.software_metrics, rel=1e-6)


def test_a_run_does_not_go_on_with_another_network(run: Path) -> None:
    with pytest.raises(UserError, match="weights"):
        ww.search(None, None, config(fold=False), out=run, resume=True, page=False)


def test_rules_for_norms_that_are_gone_are_left_out_and_told() -> None:
    problem = load_problem(load_config(config(model=None, linear=RULE, batch_norm1d=RULE)), model=Normed())
    assert {decision.name.split("/")[0] for decision in problem.space.decisions} == {"one", "two"}
    (told,) = problem.kind.warnings(problem.space)
    assert told == "left out: rules for batch norms that were folded: batch_norm1d"


def test_a_network_that_runs_as_it_is_can_not_be_folded() -> None:
    class Decides(Normed):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if float(x.sum()) > -1e9 else self.two(x)

    with pytest.raises(UserError, match="fold_batchnorm: the network runs as it is"):
        load_problem(load_config(config(model=None, linear=RULE)), model=Decides())


def test_searches_of_channels_refuse_it() -> None:
    tables = config()
    tables["search"]["search_space"] |= {"name": "graph/width"}
    tables["search"]["search_space"]["seed"] = {"linear": {"config": {"channel_multiplier": [1, 2]}}}
    with pytest.raises(UserError, match="fold_batchnorm: is for searches of formats"):
        load_config(tables)

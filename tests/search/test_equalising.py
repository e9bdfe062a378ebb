"""Searches of networks whose channels are equalised: what is judged, kept and exported is that network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.search.test_folding import RULE, config, jets
from torch import Tensor, nn

import widthwise as ww
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.search.problem import load_problem
from widthwise.study.checking import check_run


def equalised(*, model: str | None = "jsc-toy", **setup: Any) -> dict[str, Any]:
    tables = config(fold=None, model=model, **({"linear": RULE} if model is None else {}))
    tables["search"]["search_space"]["setup"] |= {"equalise": True, **setup}
    return tables


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "equalised"
    ww.search(None, None, equalised(), out=folder)
    return folder


def test_what_is_judged_kept_and_exported_is_the_equalised_network(run: Path, tmp_path: Path) -> None:
    study, problem = ww.load_run(run), load_problem(load_config(equalised()))
    assert problem.graph.folded
    assert problem.graph.equalised
    x = jets()
    for trial in study.trials:  # on the front or not
        network = study.network(trial)
        assert network.equalised == problem.graph.equalised
        judged = problem.evaluator.network(torch.tensor(trial.candidate).numpy()).model  # type: ignore[attr-defined]
        with torch.no_grad():
            assert torch.equal(network.model(x), judged(x))
    done = ww.export(study, 5, "torch", tmp_path / "torch")
    assert done.check.as_judged
    assert torch.equal(ww.load(tmp_path / "torch").model(x), study.network(5).model(x))
    assert ww.export(study, 5, "c", tmp_path / "c").check.passes(exact=True)


def test_the_float_network_stays_what_it_was(run: Path) -> None:
    study, problem = ww.load_run(run), load_problem(load_config(equalised()))
    assert study.searched_network() is not None
    assert all(finding.trouble is None for finding in check_run(run))
    with torch.no_grad():
        close = problem.graph.model(jets()), study.searched_network().eval()(jets())
    torch.testing.assert_close(*close, rtol=1e-4, atol=1e-4)
    lines = "\n".join(problem.kind.lines(problem.graph, problem.space))
    assert "channels equalised with" in lines


def test_it_is_written_and_read_back() -> None:
    read = load_config(equalised())
    assert load_config(tables_of(read)) == read
    assert read.search.space.equalise  # type: ignore[union-attr]
    with pytest.raises(UserError, match="equalise"):
        load_config(equalised(equalise="yes"))


def test_networks_without_such_layers_are_refused_in_a_line() -> None:
    network = nn.Sequential(nn.Linear(16, 8), nn.ReLU6(), nn.Linear(8, 5))
    with pytest.raises(UserError, match=r"equalise: no two layers .* _1 is behind _0") as raised:
        load_problem(load_config(equalised(model=None)), model=network)
    assert "\n" not in str(raised.value)

    class Decides(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = super().forward(x if float(x.sum()) > -1e9 else -x)
            return found

    with pytest.raises(UserError, match="equalise: the network runs as it is"):
        load_problem(load_config(equalised(model=None)), model=Decides(nn.Linear(16, 8), nn.Linear(8, 5)))


def test_searches_of_bits_and_channels_equalise_each_width(tmp_path: Path) -> None:
    rule = {**RULE["config"], "name": ["integer"], "channel_multiplier": [0.5, 1]}
    tables = equalised(model="jsc-three-linear")
    tables["search"]["search_space"] |= {"name": "graph/joint", "seed": {"linear": {"config": rule}}}
    tables["search"]["training"] = {"epochs": 1}
    tables["search"]["strategy"] = {
        "name": "random",
        "setup": {"n_trials": 4},
        "metrics": {"accuracy": {"direction": "maximize"}},
    }
    study = ww.search(None, None, tables, out=tmp_path / "run")
    network = ww.load_run(tmp_path / "run").network(study.front[0])
    assert network.equalised
    found = ww.evaluate(network, ww.load_data("jsc"), metrics=["accuracy", "loss"])
    assert found["accuracy"] == pytest.approx(study.front[0].metrics["accuracy"], abs=1e-9)

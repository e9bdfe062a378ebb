"""Latency of networks that a search found: figures where the machine allows, else "not measurable here"."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import widthwise as ww
from helpers.configs import FORMATS, WIDTHS
from helpers.integers import ALL, inputs, perceptron, realised
from helpers.running import Run
from widthwise.core.errors import UserError
from widthwise.export.latency.latency import Stopwatch, measure_float
from widthwise.export.latency.ready import ready, runs_in_torch, torch_threads
from widthwise.export.latency.turns import NotMeasurableError
from widthwise.formats import Integer
from widthwise.metrics.timing import Timing
from widthwise.network.realised import Input, Realised

RESTLESS = "not measurable here"
FEW = Timing(rounds=20, warm_up=2)
X = (Input("input", (16,), "float32"),)


def mlp_search(**changed: Any) -> dict[str, Any]:
    """Formats of a network without batch norms, by accuracy and latency."""
    search = FORMATS["search"] | changed.pop("search", {})
    metrics = {"accuracy": {"direction": "maximize"}, "latency_ratio": {"direction": "minimize"}}
    strategy = {"name": "brute-force", "metrics": metrics, "hw_runner": {"latency": {"rounds": 20}}}
    return {**FORMATS, "model": "jsc-mlp", "search": {**search, "strategy": strategy}, **changed}


def searched(config: dict[str, Any], out: str) -> ww.Study:
    try:
        return ww.search(None, None, config, out=out, page=False)
    except NotMeasurableError as restless:
        pytest.skip(str(restless))


def network_with(formats: dict[str, Any]) -> tuple[Realised, nn.Module]:
    found = realised(perceptron, inputs((16,)), formats)
    assert found.network is not None
    return Realised((), {}, found.schemes, inputs=X), found.network


def test_formats_are_timed_as_integer_kernels_beside_the_float_network() -> None:
    found, network = network_with(ALL)
    watch = Stopwatch(found, network, FEW, formats=True)
    assert "layout float" in watch.base.runtime
    try:
        timed = watch(found)
    except NotMeasurableError as restless:
        pytest.skip(str(restless))
    assert "layout qdq" in timed.runtime
    assert 0 < timed.ratio < 100
    assert timed.microseconds / timed.float_microseconds == pytest.approx(timed.ratio, rel=0.3)
    written = timed.as_json()
    json.dumps(written, allow_nan=False)
    low, high = written["ratio_quartiles"]
    assert low <= written["latency_ratio"] <= high
    assert written["timing"]["rounds"] == 20


@pytest.mark.slow
def test_resized_networks_are_compiled() -> None:
    network = nn.Sequential(nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 4)).eval()
    base = Realised((), {}, {}, inputs=X)
    smaller = Realised((), {"0": 2}, {}, inputs=X)
    assert runs_in_torch(FEW, formats=False)
    each = ready(smaller, smaller.graph(network), FEW, in_torch=True)
    assert "compiled" in each.runtime
    with torch_threads(1):
        found = each.call()
    assert isinstance(found, torch.Tensor)
    assert found.shape == (1, 4)
    with suppress(NotMeasurableError):
        assert Stopwatch(base, network, FEW, formats=False)(smaller).ratio > 0


def test_compiling_needs_a_compiler_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    network = nn.Sequential(nn.Linear(16, 4)).eval()
    with pytest.raises(
        UserError, match=r'no no-such-compiler here; install g\+\+, or set runtime = "onnxruntime"'
    ):
        measure_float(network, {"input": torch.rand(2, 16)}, FEW)


def test_formats_have_no_kernels_in_torch() -> None:
    found, network = network_with(ALL)
    with pytest.raises(UserError, match="no integer kernels for formats; leave it out"):
        Stopwatch(found, network, Timing(runtime="torch"), formats=True)


def test_formats_without_a_kernel_are_told_by_layer() -> None:
    found, network = network_with({**ALL, "data_in": Integer(12, 4)})
    watch = Stopwatch(found, network, FEW, formats=True)
    with pytest.raises(UserError, match=r"latency: _0: data_in fixed<12,4> has 12 bits"):
        watch(found)


def test_a_network_for_so_many_samples_is_measured_with_so_many() -> None:
    network = nn.Sequential(nn.Linear(16, 4)).eval()
    whole = Realised((), {}, {}, inputs=X, batch=8)
    how = Timing(runtime="onnxruntime")
    with pytest.raises(UserError, match="takes 8 samples at once, not 1; set batch = 8"):
        ready(whole, whole.graph(network), how, in_torch=False)


@pytest.mark.parametrize("batch", [1, 7])
def test_a_call_takes_a_batch(batch: int) -> None:
    found, network = network_with(ALL)
    each = ready(found, found.graph(network), Timing(batch=batch), in_torch=False)
    (outputs,) = each.call()  # type: ignore[misc]
    assert outputs.shape == (batch, 5)


def test_threads_and_gradients_are_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        assert not torch.is_grad_enabled()
    assert torch.get_num_threads() == before
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"threads": 0}, "threads = 0 is no whole number from 1"),
        ({"rounds": 19}, "rounds = 19 is no whole number from 20"),
        ({"batch": True}, "batch = True is no whole number"),
        ({"runtime": "tensorrt"}, "no runtime 'tensorrt'; allowed: auto, onnxruntime, torch"),
    ],
)
def test_settings_are_checked(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Timing(**given)


@pytest.mark.slow
def test_a_search_has_it_as_an_objective_and_keeps_it_by_structure(run: Run, place: Path) -> None:
    study = searched(mlp_search(), "here")
    assert study.record.settings.float_metrics["latency_ratio"] == 1
    kept = json.loads((place / "here" / "latency.json").read_text())
    ratios = {tuple(row): ratio for row, ratio in kept["ratios"]}
    assert ratios
    assert {trial.metrics["latency_ratio"] for trial in study.front} <= set(ratios.values())
    assert len(ratios) < study.summary.trials / 10
    states = {trial.state for trial in study.trials}
    assert "complete" in states
    ran = run("report", "here")
    assert "latency_ratio" in ran.out
    number = study.front[0].number
    ran = run("measure", "here", "--trial", number, "--rounds", 40, "--batch", 2, "--json")
    assert ran.status == 0 or RESTLESS in ran.err
    if ran.status == 0:
        (found,) = json.loads(ran.out)
        assert (found["trial"], found["timing"]["batch"], found["timing"]["rounds"]) == (number, 2, 40)
    ran = run("measure", "here")
    assert "ONNX Runtime" in ran.out or RESTLESS in ran.err
    ran = run("test", "--run", "here", "--trial", number, "--metrics", "accuracy,latency", "--part", "val")
    assert ran.status == 0 or RESTLESS in ran.err
    assert ran.status != 0 or "latency" in ran.out
    ran = run("measure", "here", "--trial", number, "--runtime", "torch")
    assert (ran.status, "no integer kernels" in ran.err, ran.err.count("\n")) == (2, True, 1)


def test_formats_that_can_not_be_measured_end_a_search_before_it_begins(place: Path) -> None:
    wide = mlp_search()
    rule = {"name": ["integer"], "data_in_width": [8, 12], "weight_width": [4], "bias_width": [4]}
    space = wide["search"]["search_space"] | {"seed": {"linear": {"config": rule}}}
    with pytest.raises(UserError, match=r"latency: layer0: data_in fixed<12,6> has 12 bits"):
        ww.search(
            None, None, {**wide, "search": {**wide["search"], "search_space": space}}, out="here", page=False
        )
    assert not (place / "here").exists()


@pytest.mark.slow
def test_widths_are_measured_without_training(place: Path) -> None:
    metrics = {"accuracy": {"direction": "maximize"}, "latency_ratio": {"direction": "minimize"}}
    timing = {"latency": {"rounds": 20, "runtime": "onnxruntime"}}
    strategy = {**WIDTHS["search"]["strategy"], "metrics": metrics, "hw_runner": timing}
    config = {**WIDTHS, "search": {**WIDTHS["search"], "strategy": strategy, "training": {"epochs": 1}}}
    study = searched(config, "here")
    kept = json.loads((place / "here" / "latency.json").read_text())
    sizes = {tuple(row) for row, _ in kept["ratios"]}
    assert sizes <= {(a, b) for a in (8, 16, 32) for b in (16, 64)}
    assert all(trial.metrics["latency_ratio"] > 0 for trial in study.front)


def test_strategies_are_not_compared_by_it(run: Run, place: Path) -> None:
    from widthwise.config import load_config
    from widthwise.config.write import toml_of

    (place / "timed.toml").write_text(toml_of(load_config(mlp_search())))
    ran = run("compare", "timed.toml", "--strategies", "random,local", "--out", "compared")
    assert (ran.status, "latency_ratio: is measured" in ran.err) == (2, True)
    assert not (place / "compared").exists()

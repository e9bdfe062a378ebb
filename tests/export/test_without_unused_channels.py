"""Exports of trained widths leave out channels that add no bit to any output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import widthwise as ww
from helpers.running import Run

SEARCH = {
    "dataset": "jsc",
    "search": {
        "search_space": {"name": "graph/quantize/trained_widths"},
        "training": {"steps": 150, "checkpoints": 3, "batch_size": 32, "width_rate": 0.1, "price_to": 60.0},
        "strategy": {
            "name": "gradient",
            "metrics": {"accuracy": {"direction": "maximize"}, "ebops": {"direction": "minimize"}},
        },
    },
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ww.Study:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 5))
    return ww.search(network, None, SEARCH, out=tmp_path_factory.mktemp("runs") / "run")


def cheapest(study: ww.Study) -> ww.Trial:
    return min(study.front, key=lambda trial: trial.metrics["ebops"])


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch", "c", "qonnx", "verilog"])
def test_they_are_smaller_and_give_what_was_judged(study, form, tmp_path):
    if form == "qonnx":
        pytest.importorskip("qonnx")
    if form == "verilog":
        pytest.importorskip("alkaid")
    trial = cheapest(study)
    done = ww.export(study, trial, form, tmp_path / "less")
    assert done.check.passes(exact=True)
    assert done.check.as_judged is True
    before, after = done.pruned["0"]
    assert (before, after < before) == (24, True)
    assert f"0 24 to {after}" in done.exported.notes[0]
    content = json.loads((tmp_path / "less" / "export.json").read_text())
    assert content["pruned"] == {"0": [24, after]}
    if form == "torch":
        made = ww.load(tmp_path / "less")
        kept = study.network(trial)
        assert made.model.get_submodule("0").layer.weight.shape == (after, 16)
        assert [layer.name for layer in made.layers] == [layer.name for layer in kept.layers]
        x = 3 * torch.randn(500, 16)
        assert torch.equal(made.model(x), kept.model(x))


def test_all_channels_stay_where_that_is_asked_for_and_what_went_is_said(study, run: Run, tmp_path: Path):
    number = cheapest(study).number
    asked = ("export", study.folder, "--trial", number, "--to", "c", "--out")
    whole = run(*asked, tmp_path / "whole", "--no-prune")
    assert whole.status == 0, whole.err
    assert "Without" not in whole.out
    less = run(*asked, tmp_path / "less")
    assert less.status == 0, less.err
    assert "channels that add no bit to any output: 0 24 to" in less.out
    sizes = [sum(path.stat().st_size for path in (tmp_path / name).glob("*.c")) for name in ("less", "whole")]
    assert 0 < sizes[0] < sizes[1]

"""Networks given in memory: their run is opened, tested, resumed and exported like any other."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import widthwise as ww
from helpers.running import Run
from widthwise.config.template import example_text
from widthwise.core.toml import parse_toml
from widthwise.search.limits import Limits

NAMED = parse_toml(example_text("jsc-tiny"), label="jsc-tiny")
CONFIG = {key: value for key, value in NAMED.items() if key not in ("model", "dataset")}


def network() -> nn.Module:
    """One with random weights that no name makes again."""
    return nn.Sequential(nn.BatchNorm1d(16), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))


def test_run_makes_the_network_again_and_goes_on_without_it(place: Path, run: Run):
    made = network()
    study = ww.search(made, ww.load_data("jsc"), CONFIG, out="here", limits=limits(7), page=False)
    opened = ww.load_run("here")
    assert ww.Study.load("here") == opened == ww.Study.load(Path("here/study.db"))
    x = torch.rand(9, 16)
    assert torch.equal(opened.network().model(x), made.eval()(x))
    best = study.front[0]
    assert torch.equal(opened.network(best).model(x), study.network(best).model(x))
    assert run("test", "--run", "here", "--trial", best.number).status == 0
    assert run("export", "here", "--trial", best.number, "--to", "torch", "--out", "out").status == 0
    resumed = run("search", "here/config.toml", "--resume", "--out", "here", "--trials", 12)
    assert (resumed.status, ww.load_run("here").summary.trials) == (0, 12)
    whole = ww.search(made, ww.load_data("jsc"), CONFIG, out="whole", limits=limits(12), page=False)
    assert [t.metrics for t in whole.front] == [t.metrics for t in ww.load_run("here").front]


def test_data_of_another_seed_is_not_named_as_the_configs(place: Path, run: Run):
    ww.search(network(), ww.load_data("jsc", seed=3), CONFIG, out="here", limits=limits(2), page=False)
    ran = run("test", "--run", "here")
    assert ran.status == 2
    assert "dataset: is missing" in ran.err


def limits(trials: int) -> Limits:
    """So many trials."""
    return Limits(trials=trials)

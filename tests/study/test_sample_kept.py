"""A network whose path follows values is captured again on samples of the data, which its run keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.configs import FORMATS, WIDTHS
from helpers.running import Run
from widthwise.config import load_config
from widthwise.core.errors import UserError
from widthwise.data.blocks import DataBlock
from widthwise.evaluators.realising import sample_that_captures

NETWORK = """
import torch
from torch import nn

class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.usual, self.rare, self.last = (nn.Linear(16, n) for n in (16, 16, 16, 5))

    def forward(self, x):
        h = self.first(x)
        h = self.usual(h) if x.min() < 0 else self.rare(h)  # made-up samples lie between 0 and 1
        return self.last(h.relu())

def branching():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Branching()
"""
LINEAR = {"linear": {"config": {"name": ["integer"], "weight_width": [2, 6], "weight_frac_width": ["NA"]}}}
SAMPLE = "sample.safetensors"


def config(tables: dict) -> dict:
    """A search of the network in its own file."""
    space = tables["search"]["search_space"]
    if tables is FORMATS:
        space = {**space, "seed": LINEAR, "setup": {"by": "type"}}
    else:
        channels = {"config": {"channels": [4, 16]}}
        space = {**space, "seed": {"usual": channels, "first": channels}}
    search = {**tables["search"], "search_space": space}
    return {**tables, "model": "branching_network:branching", "search": search}


@pytest.fixture(params=["formats", "widths"])
def searched(request: pytest.FixtureRequest, place: Path, monkeypatch: pytest.MonkeyPatch) -> ww.Study:
    """A finished run in the folder here."""
    (place / "branching_network.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(place)
    return ww.search(
        None, None, config(FORMATS if request.param == "formats" else WIDTHS), out="here", page=False
    )


def gives_its_metrics(study: ww.Study, number: int) -> bool:
    trial = study.trial(number)
    found = ww.evaluate(study.network(trial), ww.load_data("jsc"), metrics=["accuracy", "loss"])
    return found == pytest.approx(trial.software_metrics, rel=1e-6)


def test_each_trial_has_its_network(searched: ww.Study) -> None:
    study = ww.load_run("here")
    assert all(gives_its_metrics(study, trial.number) for trial in study.front)
    assert study.network().capture == "running"
    assert 0 < (Path("here") / SAMPLE).stat().st_size < 10_000


def test_test_and_export_make_it(run: Run, searched: ww.Study) -> None:
    number = searched.front[0].number
    ran = run("test", "--run", "here", "--trial", number, "--part", "val", "--json")
    assert ran.status == 0, ran.err
    ran = run("export", "here", "--trial", number, "--to", "torch", "--out", "there")
    assert ran.status == 0, ran.err
    found = ww.evaluate(ww.load("there"), ww.load_data("jsc"), metrics=["accuracy", "loss"])
    assert found == pytest.approx(searched.trial(number).software_metrics, rel=1e-6)


def test_without_the_data_the_export_is_compared_on_what_was_kept(searched: ww.Study, place: Path) -> None:
    study = ww.load_run("here")
    text = study.record.config.replace('dataset = "jsc"', "")
    object.__setattr__(study.record, "config", text)
    done = ww.export(study, study.front[0].number, "torch", place / "there")
    assert done.check.equal == done.check.samples > 0


def test_a_broken_sample_is_one_line_and_none_is_as_before(searched: ww.Study) -> None:
    (Path("here") / SAMPLE).write_bytes(b"no safetensors")
    with pytest.raises(UserError, match="no safetensors file that can be read"):
        ww.load_run("here").network(searched.front[0].number)
    (Path("here") / SAMPLE).unlink()
    assert ww.load_run("here").realised(searched.front[0].number).sample is None


@pytest.mark.slow
def test_workers_give_it_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "branching_network.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(place)
    tables = load_config(config(WIDTHS), {"search.strategy.setup.n_jobs": 2})
    study = ww.search(None, None, tables, out="here", page=False)
    assert all(gives_its_metrics(study, trial.number) for trial in study.front)
    assert (Path("here") / SAMPLE).is_file()


def test_a_network_that_torch_fx_traces_keeps_none(place: Path) -> None:
    ww.search(None, None, FORMATS, out="here", page=False)
    assert not (place / "here" / SAMPLE).exists()


class FollowsAll(nn.Module):
    """Which layer it calls follows from all samples together."""

    def __init__(self) -> None:
        super().__init__()
        self.usual, self.rare = nn.Linear(16, 5), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.usual(x) if x.min() < 0 else self.rare(x)


@pytest.mark.parametrize(("negative", "kept"), [(0, 2), (3, 4), (5, 8)])
def test_as_few_samples_are_kept_as_lead_the_same_way(negative: int, kept: int) -> None:
    rows = torch.zeros(8, 16)
    rows[negative] = -1.0
    graph, block = ww.Graph(FollowsAll(), rows), DataBlock({"x": rows}, torch.zeros(8))
    found = sample_that_captures(graph, block, {"x": torch.zeros(2, 16)})
    assert found is not None
    assert torch.equal(found["x"], rows[:kept])


@torch.fx.wrap
def checked(x: Tensor) -> Tensor:
    """Refuses what a network may refuse."""
    if x.max() > 1:
        raise ValueError("no such sample")
    return x


class Strict(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(checked(x))


def test_a_traced_network_keeps_some_where_made_up_ones_will_not_do() -> None:
    rows = torch.zeros(8, 16)
    graph, block = ww.Graph(Strict(), rows), DataBlock({"x": rows}, torch.zeros(8))
    assert graph.capture == "fx"
    assert sample_that_captures(graph, block, {"x": rows[:2]}) is None
    found = sample_that_captures(graph, block, {"x": rows[:2] + 2})
    assert found is not None
    assert len(found["x"]) == 2


def test_more_than_a_run_should_keep_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("widthwise.evaluators.realising.MOST_BYTES", 100)
    rows = -torch.ones(8, 16)
    graph, block = ww.Graph(FollowsAll(), rows), DataBlock({"x": rows}, torch.zeros(8))
    assert sample_that_captures(graph, block, {}) is None
    assert "no samples are kept" in caplog.text

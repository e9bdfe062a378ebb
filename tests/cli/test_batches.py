"""Named batches and several outputs from the command line: read, judged, said, searched, exported."""

from __future__ import annotations

from pathlib import Path

import pytest

import widthwise as ww
from helpers.running import Run
from widthwise.core.toml import parse_toml

CODE = """
import torch
from torch import nn


class Data:
    note = "two inputs by name"

    def __init__(self):
        draw = torch.Generator().manual_seed(0)
        left, right = torch.randn(64, 6, generator=draw), torch.randn(64, 5, generator=draw)
        labels = torch.arange(64) % 4
        self.batches = [
            {"right": r, "left": l, "labels": y, "id": ["a"] * len(y)}
            for l, r, y in zip(left.split(16), right.split(16), labels.split(16))
        ]

    def train_dataloader(self):
        return self.batches

    val_dataloader = test_dataloader = train_dataloader


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(5, 8)
        self.boxes, self.scores = nn.Linear(8, SIDES), nn.Linear(8, 4)

    def forward(self, left, right):
        y = torch.relu(self.a(left) + self.b(right))
        return {"boxes": self.boxes(y), "scores": self.scores(y)}


class Fixed(Net):
    def forward(self, left, right):
        return super().forward(left.view(16, 6).double().float(), right)
"""
CONFIG = """
model = "own:Net"
dataset = "own:Data"
max_epochs = 2

[search.search_space]
name = "graph/quantize/mixed_precision_ptq"
setup.by = "type"

[search.search_space.seed.linear.config]
name = ["integer"]
data_in_width = [4, 8]
data_in_frac_width = ["auto"]
weight_width = [4]

[search.strategy]
name = "brute-force"
metrics.accuracy.direction = "maximize"
metrics.model_size.direction = "minimize"
"""


@pytest.fixture
def own(place: Path) -> Path:
    """A config with code of its own, whose boxes can't be scores."""
    (place / "own.py").write_text(CODE.replace("SIDES", "3"))
    (place / "own.toml").write_text(CONFIG)
    return place / "own.toml"


def test_inspect_says_what_is_judged(run: Run, own: Path) -> None:
    ran = run("inspect", own)
    assert ran.status == 0, ran.err
    assert "judged:      output scores of 2 (boxes, scores)" in ran.out
    bare = run("inspect", "--model", "own:Net", "--dataset", "own:Data")
    assert "judged:      output scores of 2 (boxes, scores)" in bare.out


def test_inspect_says_that_samples_stay_in_their_batches(run: Run, own: Path) -> None:
    said = "judged in the data's own batches, because the network doesn't run on parts of them"
    for ran in (
        run("inspect", own, "--model", "own:Fixed"),
        run("inspect", "--model", "own:Fixed", "--dataset", "own:Data"),
    ):
        assert ran.status == 0, ran.err
        assert said in " ".join(ran.out.split())


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_all_commands_read_named_batches(jobs: int, run: Run, own: Path) -> None:
    ran = run("search", own, "--train", "--jobs", jobs, "--out", "here")
    assert ran.status == 0, ran.err
    assert "judged:" in ran.out + ran.err
    assert "output scores of 2 (boxes, scores)" in ran.out + ran.err
    study = ww.load_run("here")
    best = study.pick("best accuracy")
    ran = run("test", "--run", "here", "--trial", best.number, "--metrics", "accuracy", "--json")
    assert ran.status == 0, ran.err
    assert f"{best.metrics['accuracy']}"[:6] in ran.out
    ran = run("export", "here", "--trial", best.number, "--to", "torch", "--out", "out")
    assert ran.status == 0, ran.err


def test_which_output_is_judged_can_be_said(run: Run, own: Path) -> None:
    own.with_name("own.py").write_text(CODE.replace("SIDES", "6"))
    ran = run("search", own, "--out", "refused")
    assert ran.status == 2
    assert 'say it, as in output = "boxes"' in ran.err
    said = ("--set", "output=scores")
    for command in (
        ("search", own, "--out", "here"),
        ("train", own, "--out", "w.safetensors"),
        ("test", own),
        ("inspect", own),
    ):
        ran = run(*command, *said)
        assert ran.status == 0, ran.err
    assert ww.load_run("here").network().model is not None
    ran = run("export", "here", "--trial", 0, "--to", "torch", "--out", "out")
    assert ran.status == 0, ran.err


@pytest.mark.parametrize(("written", "read"), [('"scores"', "scores"), ("1", "1"), ('"heads.0"', "heads.0")])
def test_an_output_is_a_key_of_the_config(written: str, read: str) -> None:
    config = ww.load_config(parse_toml(f"output = {written}\n{CONFIG}", label="own.toml"))
    assert config.output == read
    from widthwise.config.write import toml_of

    assert ww.load_config(parse_toml(toml_of(config), label="again")) == config


@pytest.mark.parametrize("written", ["true", "[1]", "1.5"])
def test_what_names_no_output_is_one_line(written: str) -> None:
    with pytest.raises(ww.UserError, match=r"output: .* is no text; write output ="):
        ww.load_config(parse_toml(f"output = {written}\n{CONFIG}", label="own.toml"))

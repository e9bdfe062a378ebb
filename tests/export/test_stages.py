"""Stages of logic: what they follow from, estimates of many, and those that a folder keeps."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import widthwise as ww
from helpers.judged import Batches
from widthwise.export.integers.reading import program_of
from widthwise.export.integers.steps import Convolution
from widthwise.export.rtl.estimating import estimates
from widthwise.export.rtl.kept import FILE, keep, read_kept
from widthwise.export.rtl.luts import CHECKED, Stages
from widthwise.export.rtl.stages import Estimate, NoLogic, Stage, stages_of
from widthwise.formats import Integer
from widthwise.network.scheme import Scheme

pytest.importorskip("alkaid")


class Small(nn.Module):
    """Every kind of step that a stage may have."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool, self.last = nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.Linear(8, 3)
        self.scale = nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.pool(self.conv(x.unflatten(1, (1, 4))).relu()).flatten(1))


def stages(width: int = 4, seed: int = 0) -> list[Stage]:
    torch.manual_seed(seed)
    network = Small().eval()
    fmt = Integer(width, 2)
    schemes = {
        layer.name: Scheme(data_in=fmt, weight=fmt, bias=fmt)
        for layer in ww.Graph(network).layers
        if layer.type in ("conv2d", "linear")
    }
    graph = ww.Graph(network, torch.zeros(2, 4, 4)).quantized(schemes)
    return stages_of(program_of(graph, torch.zeros(2, 4, 4)))


def test_a_stage_is_the_same_from_its_content() -> None:
    for stage in stages():
        again = Stage.of_content(stage.content)
        assert again.content == stage.content
        assert again.key == stage.key
        assert again.estimate() == stage.estimate()


def test_other_weights_or_formats_are_another_stage() -> None:
    keys = [stage.key for width in (3, 4) for seed in (0, 1) for stage in stages(width, seed)]
    assert len(set(keys)) == len(keys)


@pytest.mark.slow
def test_processes_estimate_what_this_one_does() -> None:
    some = [stage for width in (2, 3, 4) for stage in stages(width)]
    assert estimates(some, processes=2) == [stage.estimate() for stage in some]


@pytest.mark.slow
def test_what_can_not_be_estimated_says_why_in_one_line_and_spoils_no_other() -> None:
    (first, *_) = stages()
    weights = [
        replace(s, weight=s.weight[:, :, :1]) if isinstance(s, Convolution) else s for s in first.steps
    ]
    broken = replace(first, steps=tuple(weights))
    for processes in (1, 2):
        found, none = estimates([first, broken], processes=processes)
        assert found == first.estimate()
        assert isinstance(none, NoLogic)
        assert none.reason.startswith("alkaid makes no logic of it: ")
        assert "\n" not in none.reason


NUMBERS = st.floats(0, 1e9)
ESTIMATES = st.builds(Estimate, NUMBERS, st.integers(0, 10**9).map(float), NUMBERS)
KEYS = st.text("0123456789abcdef", min_size=32, max_size=32)


@settings(max_examples=30)
@given(found=st.dictionaries(KEYS, ESTIMATES, max_size=5))
def test_what_is_kept_is_read(found: dict[str, Estimate], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("kept")
    keep(folder, found)
    assert read_kept(folder) == found


GOOD = "0" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"stages": 3}',
        '{"stages": {"' + GOOD + '": [1, 2]}}',
        '{"stages": {"' + GOOD + '": [1, 2, "3"]}}',
        '{"stages": {"' + GOOD + '": [NaN, 2, 3]}}',
        '{"stages": {"' + GOOD + '": [-1, 2, 3]}}',
        '{"stages": {"' + GOOD + '": [1, 2.5, 3]}}',
        '{"stages": {"' + GOOD + '": [true, 2, 3]}}',
        '{"stages": {"../../etc/passwd": [1, 2, 3]}}',
        '{"stages": ' + "[" * 100_000,
    ],
)
def test_a_spoilt_file_is_made_again_and_said(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_text(text)
    with caplog.at_level(logging.WARNING):
        assert read_kept(tmp_path) == {}
    assert "made again" in caplog.text


def test_links_and_pipes_are_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = tmp_path / "own"
    own.mkdir()
    keep(own, {GOOD: Estimate(1, 2, 3)})
    theirs, waits = tmp_path / "theirs", tmp_path / "waits"
    theirs.mkdir()
    waits.mkdir()
    (theirs / FILE).symlink_to(own / FILE)
    os.mkfifo(waits / FILE)
    assert read_kept(theirs) == read_kept(waits) == {}
    keep(theirs, {})
    assert read_kept(own) == {GOOD: Estimate(1, 2, 3)}


def evaluator(folder: Path | None) -> tuple[ww.Evaluator, ww.QuantisationSpace]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    graph, data = ww.Graph(network), Batches((torch.randn(40, 6),), torch.randint(0, 3, (40,)))
    config = {"name": "integer", "data_in_width": [3, 4], "weight_width": [2, 3], "bias_width": [4]}
    space = ww.QuantisationSpace(graph, by="type", seed={"linear": {"config": config}})
    made = ww.Evaluator(graph, space, data, metrics=["luts"])
    if folder is not None:
        made.keep_in(folder)
    return made, space


def known(made: ww.Evaluator) -> Stages:
    (found,) = made.prepared.costs.in_common.values()
    assert isinstance(found, Stages)
    return found


def test_a_folder_keeps_estimates_for_the_next_time(tmp_path: Path) -> None:
    made, space = evaluator(tmp_path)
    whole = space.at(range(space.size))
    wanted = made.costs(whole)["luts"]
    assert read_kept(tmp_path) == known(made).of_content
    again, _ = evaluator(tmp_path)
    assert np.array_equal(again.costs(whole)["luts"], wanted)
    assert known(made).made == len(known(made).of_content) == 4 + 2
    assert known(again).made == CHECKED  # looked at, whether they are right


def test_wrong_estimates_in_a_folder_are_found_and_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, space = evaluator(tmp_path)
    whole = space.at(range(space.size))
    wanted = made.costs(whole)["luts"]
    stored = json.loads((tmp_path / FILE).read_text())
    stored["stages"] = {key: [1, *others] for key, (_, *others) in stored["stages"].items()}
    (tmp_path / FILE).write_text(json.dumps(stored))
    again, _ = evaluator(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(again.costs(whole)["luts"], wanted)
    assert "holds wrong estimates" in caplog.text
    assert read_kept(tmp_path) == known(made).of_content


def test_a_search_keeps_its_estimates_in_its_run(project: Path) -> None:
    rule = {"name": ["integer"], "data_in_width": [4], "weight_width": [3, 4], "bias_width": [4]}
    rule |= {"weight_frac_width": ["auto"]}
    space = {
        "name": "graph/quantize/mixed_precision_ptq",
        "setup": {"by": "type"},
        "seed": {"linear": {"config": rule}},
    }
    objectives = {"accuracy": {"direction": "maximize"}, "luts": {"direction": "minimize"}}
    config = {"search": {"search_space": space, "strategy": {"name": "brute-force", "metrics": objectives}}}
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 5)).eval()
    study = ww.search(network, ww.load_data("jsc"), config, out="run", page=False)
    assert len(read_kept(project / "run")) == 2
    assert {trial.metrics["luts"] > 0 for trial in study.trials} == {True}


@pytest.mark.slow
def test_worker_processes_leave_the_costs_of_logic_to_the_search(project: Path) -> None:
    rule = {"name": ["integer"], "data_in_width": [4], "weight_width": [2, 3], "bias_width": [4]}
    space = {
        "name": "graph/quantize/mixed_precision_ptq",
        "setup": {"by": "type"},
        "seed": {"linear": {"config": {**rule, "weight_frac_width": ["auto"]}}},
    }
    objectives = {"accuracy": {"direction": "maximize"}, "luts": {"direction": "minimize"}}
    strategy = {"name": "brute-force", "metrics": objectives}
    config = {"model": "jsc-mlp", "dataset": "jsc", "search": {"search_space": space, "strategy": strategy}}
    found = []
    for jobs in (1, 2):
        strategy["n_jobs"] = jobs
        study = ww.search(None, None, config, out=f"run{jobs}", page=False)
        found.append([dict(trial.metrics) for trial in study.trials])
    assert found[0] == found[1]
    assert (project / "run1" / FILE).read_text() == (project / "run2" / FILE).read_text()

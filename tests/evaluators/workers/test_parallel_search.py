"""Whole searches by several processes: every trial is what one process finds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

import widthwise as ww
from helpers.batches import Given
from helpers.configs import FORMATS, WIDTHS
from helpers.searches import table
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.search.limits import Limits
from widthwise.search.problem import load_problem

JOBS = "search.strategy.setup.n_jobs"


@pytest.fixture(scope="module")
def trained() -> torch.nn.Module:
    model = ww.load_model("jsc-three-linear")
    ww.fit(model, ww.load_data("jsc"), epochs=10)
    return model


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("config", [WIDTHS, FORMATS], ids=["widths", "formats"])
def test_two_processes_find_what_one_does(tmp_path: Path, trained: torch.nn.Module, config):
    alone = ww.search(trained, None, config, out=tmp_path / "alone", page=False)
    both = ww.search(trained, None, load_config(config, {JOBS: 2}), out=tmp_path / "both", page=False)
    pd.testing.assert_frame_equal(table(both), table(alone), check_exact=True)
    assert [trial.number for trial in both.front] == [trial.number for trial in alone.front]


@pytest.mark.slow
def test_two_processes_stack_as_one_does(tmp_path: Path):
    space = {"search.search_space.seed.default.config.channel_multiplier": [0.5, 1, 1.5, 2, 3]}
    stacked = load_config(WIDTHS, {"search.training.stacked": True, **space})
    alone = ww.search(None, None, stacked, out=tmp_path / "alone", page=False)
    both = ww.search(None, None, load_config(stacked, {JOBS: 2}), out=tmp_path / "both", page=False)
    pd.testing.assert_frame_equal(table(both), table(alone), check_exact=True)


@pytest.mark.slow
def test_strategies_that_learn_propose_the_same_for_the_same_batches(tmp_path: Path, trained):
    tpe = load_config(WIDTHS, {"search.strategy.name": "tpe", "search.strategy.setup.n_trials": 4, JOBS: 2})
    first, second = (
        ww.search(trained, None, tpe, out=tmp_path / name, page=False) for name in ("first", "second")
    )
    pd.testing.assert_frame_equal(table(first), table(second), check_exact=True)
    assert first.to_pandas()["seconds"].nunique() == 2  # that of a batch is shared out: two of two


def test_batches_are_great_enough_for_all_workers():
    widths = load_problem(load_config(WIDTHS))
    assert widths.batch_size_with() == 1
    assert widths.batch_size_with(workers=3) == 12
    learning = load_problem(load_config(WIDTHS, {"search.strategy.name": "tpe"}))
    assert learning.batch_size_with(workers=3) == 3
    formats = load_problem(load_config(FORMATS))
    assert formats.batch_size_with(workers=2) == 2 * formats.batch_size_with()
    learning = load_problem(load_config(FORMATS, {"search.strategy.name": "tpe"}))
    assert learning.batch_size_with(natural=10) == 10
    assert learning.batch_size_with(workers=3, natural=10) == 10
    assert learning.batch_size_with(workers=3, natural=1) == 3


def test_a_trial_that_takes_too_long_is_ended_in_its_process(tmp_path: Path):
    config = load_config(WIDTHS, {"search.training.epochs": 1_000_000, JOBS: 2})
    limits = Limits(trials=2, trial_timeout=0.5)
    study = ww.search(None, None, config, out=tmp_path / "run", limits=limits, page=False)
    assert [trial.reason for trial in study.trials] == ["ran past its 0.5 s"] * 2


def test_data_that_workers_cant_make_is_refused(tmp_path: Path):
    config = load_config(FORMATS, {JOBS: 2})
    own = Given([(torch.ones(10, 16), torch.arange(10) % 5)])
    with pytest.raises(UserError, match="workers make other data than the search has, from the names"):
        ww.search(None, own, config, out=tmp_path / "run", page=False)
    with pytest.raises(UserError, match="dataset: is missing, and workers make the data by its name"):
        ww.search(None, ww.load_data("jsc", seed=5), config, out=tmp_path / "run", page=False)
    unnamed = load_config({**FORMATS, "model": None}, {JOBS: 2})
    with pytest.raises(UserError, match="model: is missing, and workers make the network by its name"):
        ww.search(ww.load_model("jsc-three-linear"), None, unnamed, out=tmp_path / "run", page=False)


def test_a_network_that_workers_cant_make_is_refused(tmp_path: Path):
    """Its tensors fit the one that they would make, so nothing else tells them apart."""
    model = ww.load_model("jsc-tiny")
    model.seq_blocks[1] = torch.nn.Sigmoid()
    config = load_config({**FORMATS, "model": "jsc-tiny"}, {JOBS: 2})
    with pytest.raises(UserError, match="model jsc-tiny: makes another network than the one that"):
        ww.search(model, None, config, out=tmp_path / "run", page=False)
    assert not (tmp_path / "run").exists()


def test_pruning_is_for_one_process(tmp_path: Path):
    with pytest.raises(UserError, match="--prune stops candidates by the front of one process"):
        ww.search(None, None, load_config(FORMATS, {JOBS: 2}), out=tmp_path / "run", prune=True, page=False)
    assert not (tmp_path / "run").exists()


SEARCH = """
import json, sys
import widthwise as ww
say = lambda *_: print("on", flush=True)
study = ww.search(None, None, json.loads(sys.argv[1]), out=sys.argv[2], started=say)
print(study.summary.trials, study.finished)
sys.exit(study.exit_status)
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_the_search_goes_on_later(tmp_path: Path):
    config = tables_of(load_config(WIDTHS, {JOBS: 2, "search.training.epochs": 60}))
    with subprocess.Popen(
        [sys.executable, "-c", SEARCH, json.dumps(config), str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        time.sleep(0.3)
        workers = children(process.pid)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.endswith("None\n")
    assert len(workers) == 2
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
    study = ww.search(None, None, config, out=tmp_path / "run", resume=True, page=False)
    assert sorted(trial.candidate for trial in study.trials) == [(i, j) for i in range(3) for j in range(2)]


def children(process: int) -> list[int]:
    """Processes that this one started."""
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]

"""A search that is killed at random moments ends as if nothing had happened."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers import searches
from helpers.searches import SPACE, Evaluator, search
from widthwise.study.run_files import is_run
from widthwise.study.run_folder import load_run


def _killed_until_done(folder: Path, kills: int, strategy: str, pause: float) -> tuple[int, list[int]]:
    """Kill the search at random moments, then let it end; how many kills hit, and the trials after each."""
    rng = random.Random(0)
    hits, trials = 0, []
    command = [
        sys.executable,
        searches.__file__,
        str(folder),
        "--strategy",
        strategy,
        "--pause",
        str(pause),
    ]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()  # from here on it searches
        try:
            process.wait(timeout=rng.uniform(0, 0.15))
        except subprocess.TimeoutExpired:
            process.kill()
            hits += 1
        process.communicate()
        trials.append(load_run(folder).summary.trials if is_run(folder) else 0)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return hits, trials


def _check_same(folder: Path, whole: Path, trials: list[int]) -> None:
    killed, uninterrupted = load_run(folder), load_run(whole)
    assert trials == sorted(trials)  # nothing that was committed got lost
    block = killed.trials.arrays()
    assert block.numbers.tolist() == list(range(SPACE.size))
    assert sorted(SPACE.positions(block.candidates)) == list(range(SPACE.size))  # nor doubled
    other = uninterrupted.trials.arrays()
    assert np.array_equal(block.candidates, other.candidates)
    assert np.array_equal(block.metrics, other.metrics)
    assert [(t.number, t.metrics) for t in killed.front] == [
        (t.number, t.metrics) for t in uninterrupted.front
    ]
    expected = Evaluator()(block.candidates)
    assert np.array_equal(block.metrics, np.stack(list(expected.values()), axis=1))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["brute-force", "random"])
def test_kills_at_random_moments_lose_and_double_nothing(tmp_path, strategy):
    search(tmp_path / "whole", strategy, batch_size=7)
    hits, trials = _killed_until_done(tmp_path / "killed", 6, strategy, pause=0.005)
    assert hits >= 4
    _check_same(tmp_path / "killed", tmp_path / "whole", trials)


@pytest.mark.slow
def test_a_hundred_kills_lose_and_double_nothing(tmp_path):
    search(tmp_path / "whole", batch_size=7)
    hits, trials = _killed_until_done(tmp_path / "killed", 100, "brute-force", pause=0.1)
    assert hits >= 90
    _check_same(tmp_path / "killed", tmp_path / "whole", trials)


def test_a_kill_while_a_run_is_made_leaves_no_run_behind(tmp_path):
    for delay in (0.3, 0.4, 0.5, 0.6):
        folder = tmp_path / f"run {delay}"
        process = subprocess.Popen([sys.executable, searches.__file__, str(folder), "--pause", "0.1"])
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if folder.exists():  # then it is whole
            load_run(folder)

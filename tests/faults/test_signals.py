"""Ctrl-C and SIGTERM stop a search in order: the store is closed, what is done is kept, the status tells."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time

import pytest

from helpers import searches
from helpers.searches import SPACE, Evaluator, make_strategy, search, start_or_resume
from widthwise.search.loop import run_search
from widthwise.study.run_folder import load_run


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_search_and_keeps_what_is_done(tmp_path, number, status):
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, searches.__file__, str(folder), "--pause", "0.02"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert err == ""
    study = load_run(folder)
    assert f"{study.summary.trials} trials, front of {len(study.front)}: None" in out
    assert 0 < study.summary.trials < SPACE.size
    assert study.finished is None
    assert json.loads((folder / "front.json").read_text())["trials"] == study.summary.trials
    assert not (folder / "study.db-wal").exists()  # the store was closed, not left
    assert search(folder, batch_size=7).summary.trials == SPACE.size


def test_a_long_evaluation_is_dropped_at_once(tmp_path):
    process = subprocess.Popen(
        [sys.executable, searches.__file__, str(tmp_path / "run"), "--pause", "60"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 10


class _Swallows(Evaluator):
    """Gets the signal where exceptions are lost, as in a destructor."""

    def __call__(self, candidates):
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        return super().__call__(candidates)


def test_a_signal_that_the_evaluator_swallows_still_stops_the_search(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with start_or_resume(tmp_path / "run") as run:
        study = run_search(make_strategy(), _Swallows(), run.writer, batch_size=7)
    assert study.interrupted == signal.SIGINT
    assert study.exit_status == 130
    assert study.summary.trials == 0
    assert signal.getsignal(signal.SIGINT) is before

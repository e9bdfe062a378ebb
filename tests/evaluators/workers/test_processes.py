"""Worker processes: the results of one process, whatever happens to them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import evaluators as samples
from helpers.places import TESTS
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Results
from widthwise.evaluators.workers.channel import MARK, Channel, NoMessageError

BATCH = np.array([[first, second] for first in range(10) for second in range(3)])


def assert_same(found: Results, wanted: Results) -> None:
    """But for who did it."""
    np.testing.assert_array_equal(found["accuracy"], wanted["accuracy"])
    assert found.failures == wanted.failures
    assert found.pruned == wanted.pruned


@pytest.mark.parametrize("pace", [samples.SHARED, samples.EACH])
def test_results_are_those_of_one_process(processes, capfd, pace):
    evaluator = processes("plain", pace=pace)
    for batch in (BATCH, BATCH[:1], BATCH[::-1]):
        results = evaluator(batch)
        assert_same(results, samples.plain(batch))
        assert os.getpid() not in results["pid"]
    assert len(evaluator(BATCH[:0])["accuracy"]) == 0
    assert capfd.readouterr().out.count("this goes to stderr") == 3  # those of this process alone


def test_both_processes_work(processes):
    evaluator = processes("slow", pace=samples.EACH)
    assert len(set(evaluator(BATCH[:8])["pid"])) == 2


def test_workers_are_given_the_bytes_of_weights(processes):
    assert processes("weighs")(BATCH[:2])["accuracy"].tolist() == [4, 4]


@pytest.mark.parametrize("pace", [samples.SHARED, samples.EACH])
def test_a_killed_worker_has_its_part_done_again(processes, pace):
    evaluator = processes("slow", pace=pace)
    evaluator(BATCH[:2])  # both are up
    victim = evaluator.workers.processes[1]
    killer = threading.Timer(0.3, os.kill, (victim, signal.SIGKILL))
    killer.start()
    results = evaluator(BATCH[:12])
    np.testing.assert_array_equal(results["accuracy"], samples.numbers(BATCH[:12]))
    assert not results.failures
    assert victim not in evaluator.workers.processes
    assert len(evaluator.workers.processes) == 2


def test_one_that_dies_between_batches_is_replaced(processes):
    evaluator = processes("plain")
    evaluator(BATCH)
    for victim in evaluator.workers.processes:
        os.kill(victim, signal.SIGKILL)
    assert_same(evaluator(BATCH), samples.plain(BATCH))


def test_one_death_without_a_cause_fails_nothing(processes, tmp_path: Path):
    evaluator = processes("dies once", arguments={"mark": str(tmp_path / "died")})
    assert_same(evaluator(BATCH), samples.plain(BATCH))
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize("how", ["its parent dies", "it is killed"])
def test_a_child_that_a_worker_forked_holds_nobody_up_and_ends_with_it(processes, tmp_path: Path, how: str):
    mark = tmp_path / "child"
    evaluator = processes("forks", jobs=1, arguments={"mark": str(mark), "how": how})
    began = time.monotonic()
    assert_same(evaluator(BATCH), samples.plain(BATCH))
    assert time.monotonic() - began < 50  # the child would have slept for 60 s
    if how == "its parent dies":
        state = Path(f"/proc/{mark.read_text()}/stat")
        deadline = time.monotonic() + 10
        while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_candidate_that_kills_its_workers_fails_alone(processes):
    batch = BATCH[12:24]  # three have a 7
    results = processes("deadly")(batch)
    wanted = samples.plain(batch)
    rows = np.flatnonzero(batch[:, 0] == 7).tolist()
    assert sorted(set(results.failures) - set(wanted.failures)) == rows
    for row in rows:
        assert "worker processes died over it; the last was killed by SIGKILL" in results.failures[row]
    good = [row for row in range(len(batch)) if row not in rows]
    np.testing.assert_array_equal(results["accuracy"][good], wanted["accuracy"][good])


@pytest.mark.parametrize("what", ["bytes", "no JSON", "a length", "too many", "another's"])
def test_a_worker_that_sends_what_is_no_answer_is_a_failed_one(processes, what, caplog):
    batch = BATCH[[0, 21, 22, 23]]
    results = processes("garbles", arguments={"what": what}, jobs=1)(batch)
    wanted = samples.plain(batch)
    assert list(results.failures) == [1, 2, 3]
    for row in results.failures:
        assert results.failures[row] == "3 worker processes died over it; the last sent what is no answer"
    assert results["accuracy"][0] == wanted["accuracy"][0]
    assert "a worker process sent what is no answer; another takes its place" in caplog.messages


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_known_as_none_at_once(content):
    here, there = socket.socketpair()
    with here, there:
        there.sendall(content)
        there.close()
        channel = Channel(here)
        try:
            while True:
                channel.arrived()
        except NoMessageError:
            assert not content.startswith(MARK) or len(content) > len(MARK)
        except EOFError:
            assert MARK.startswith(content[: len(MARK)])


def test_a_candidate_that_raises_fails_alone(processes):
    results = processes("raises")(BATCH)
    rows = np.flatnonzero(BATCH[:, 0] == 7).tolist()
    assert {row: results.failures[row] for row in rows} == dict.fromkeys(
        rows, "RuntimeError: can't allocate memory"
    )
    assert set(results.failures) == {*rows, *samples.plain(BATCH).failures}


def test_what_the_user_can_mend_ends_the_search(processes):
    evaluator = processes("complains", jobs=1)
    with pytest.raises(UserError, match="label 9 is out of range"):
        evaluator(BATCH)
    assert evaluator(BATCH[:1]).failures == {0: "label 9 is out of range"}


def test_a_candidate_that_takes_too_long_is_ended(processes):
    batch = BATCH[18:26]
    evaluator = processes(
        "stuck", trial_timeout=1.5, costs=lambda candidates: {"pid": np.arange(float(len(candidates)))}
    )
    evaluator(BATCH[:2])
    results = evaluator(batch)
    rows = np.flatnonzero(batch[:, 0] == 7).tolist()
    assert {row: results.failures[row] for row in rows} == dict.fromkeys(rows, "ran past its 1.5 s")
    assert results["pid"].tolist() == [*range(8)]  # known without evaluating, whoever failed
    assert_same(evaluator(BATCH[:4]), samples.plain(BATCH[:4]))


def test_workers_that_cant_be_made_say_why(processes):
    with pytest.raises(UserError, match="a worker process can't start: no such network"):
        processes("can't be made", jobs=1)(BATCH)


def test_workers_that_die_at_the_start_are_given_up(processes):
    with pytest.raises(UserError, match="end while they start: the last ended with status 7"):
        processes("dies at the start", jobs=1)(BATCH)


def test_closing_ends_all_processes(processes):
    evaluator = processes("plain")
    evaluator(BATCH)
    started = evaluator.workers.processes
    evaluator.close()
    for process in started:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_an_interrupted_batch_ends_its_workers_and_the_next_one_is_right(processes):
    class Stop(BaseException):
        pass

    def stop(number: int, frame: object) -> None:
        raise Stop

    evaluator = processes("slow", pace=samples.EACH)
    evaluator(BATCH[:2])
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(Stop):
            evaluator(BATCH)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    results = evaluator(BATCH[:5])
    np.testing.assert_array_equal(results["accuracy"], samples.numbers(BATCH[:5]))


DRIVER = """
import sys
import numpy as np
from widthwise.evaluators.workers import Build, ParallelEvaluator, ProcessWorkers
workers = ProcessWorkers(Build("helpers.evaluators:make", {"kind": "stuck"}), 2)
evaluator = ParallelEvaluator(workers, metrics=("accuracy", "pid"))
evaluator(np.zeros((2, 2), dtype=np.int64))
print(*workers.processes, flush=True)
evaluator(np.full((4, 2), 7))
"""


def test_workers_end_with_their_driver_even_if_it_is_killed():
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as driver:
        assert driver.stdout is not None
        started = [int(number) for number in driver.stdout.readline().split()]
        assert len(started) == 2
        driver.kill()
    until = time.monotonic() + 20
    while any(map(is_running, started)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_running, started))


def is_running(process: int) -> bool:
    """Whether it is there, and no zombie that nobody has waited for."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def test_no_workers_is_an_error(processes):
    with pytest.raises(UserError, match="jobs = 0; give 1 or more"):
        processes("plain", jobs=0)

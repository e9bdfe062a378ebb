"""Workers of Ray: the results of one process, also when one is killed; skipped where Ray isn't installed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers import evaluators as samples
from helpers import listening
from helpers.places import TESTS
from widthwise.core.errors import UserError
from widthwise.evaluators.workers import Build, ParallelEvaluator

ray = pytest.importorskip("ray", reason="ray isn't installed: pip install 'widthwise[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

BATCH = np.array([[first, second] for first in range(10) for second in range(3)])


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine, for all tests here: it takes seconds to start."""
    here = str(TESTS)
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": here}},
    )
    yield
    ray.shutdown()


@pytest.mark.slow
def test_ray_that_a_search_starts_listens_on_this_machine_alone():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    done = subprocess.run(
        [sys.executable, listening.__file__], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0000000000000000FFFF00000100007F", "0100007F"]  # 127.0.0.1


@pytest.fixture
def workers(cluster: None) -> Iterator:
    from widthwise.evaluators.workers.cluster import RayWorkers

    made = []

    def make(kind: str, jobs: int | None = 2, **options: object) -> ParallelEvaluator:
        build = Build("helpers.evaluators:make", {"kind": kind}, {"weights": b"1234"})
        evaluator = ParallelEvaluator(
            RayWorkers(build, address="local", jobs=jobs), metrics=("accuracy", "pid"), **options
        )
        made.append(evaluator)
        return evaluator

    yield make
    for evaluator in made:
        evaluator.close()


@pytest.mark.slow
def test_results_are_those_of_one_process(workers):
    evaluator = workers("plain", jobs=None)  # as many as fit
    assert evaluator.workers.count == 2
    for batch in (BATCH, BATCH[:1], BATCH[::-1]):
        results, wanted = evaluator(batch), samples.plain(batch)
        np.testing.assert_array_equal(results["accuracy"], wanted["accuracy"])
        assert (results.failures, results.pruned) == (wanted.failures, wanted.pruned)


def test_a_killed_worker_has_its_batch_done_again(workers):
    evaluator = workers("slow", pace=samples.EACH)
    first = evaluator(BATCH[:4])["pid"]
    victim = int(first[0])
    killer = threading.Timer(0.3, os.kill, (victim, signal.SIGKILL))
    killer.start()
    results = evaluator(BATCH[:12])
    np.testing.assert_array_equal(results["accuracy"], samples.numbers(BATCH[:12]))
    assert not results.failures
    assert victim not in results["pid"][-4:]
    seen: set[float] = set()
    for _ in range(50):  # on a busy machine the new worker takes its time to start
        seen |= set(evaluator(BATCH[:6])["pid"]) - {victim}
        if len(seen) > 1:
            break
    assert len(seen) == 2


@pytest.mark.slow
def test_a_candidate_that_kills_its_workers_fails_alone(workers):
    results = workers("deadly", pace=samples.EACH)(BATCH[20:23])  # one with a 6, two with a 7
    assert list(results.failures) == [1, 2]
    assert "3 worker processes died over it; the last was lost (ActorDiedError)" in results.failures[1]


@pytest.mark.slow
def test_a_candidate_that_takes_too_long_is_ended(workers):
    evaluator = workers("stuck", trial_timeout=1.5)
    assert evaluator(BATCH[20:22]).failures == {1: "ran past its 1.5 s"}
    assert not evaluator(BATCH[:2]).failures


def test_what_workers_cant_do_is_one_line(workers):
    from widthwise.evaluators.workers.cluster import RayWorkers

    with pytest.raises(UserError, match="a worker of Ray can't start: no such network"):
        workers("can't be made", jobs=1)(BATCH)
    with pytest.raises(UserError, match=r"gpus = 1.5; give a share of one GPU, as 0.25, or a whole number"):
        RayWorkers(Build("x:y"), address="local", gpus=1.5)
    with pytest.raises(
        UserError, match=r"--ray local: has no machine that fits a worker \(1 CPU, 0.5 GPUs\)"
    ):
        RayWorkers(Build("x:y"), address="local", gpus=0.5)


def test_an_address_where_nobody_answers_is_one_line():
    from widthwise.evaluators.workers.cluster import check_reachable

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_reachable(f"127.0.0.1:{port}")
        check_reachable(f"ray://127.0.0.1:{port}")
    with pytest.raises(UserError, match=rf"--ray 127.0.0.1:{port}: can't be reached \(ConnectionRefused"):
        check_reachable(f"127.0.0.1:{port}")
    for address in ("", "here", "here:", ":1", "here:port", "here:99999"):
        with pytest.raises(UserError, match="is no address; give local, auto, HOST:6379"):
            check_reachable(address)


@pytest.mark.slow
def test_a_search_on_ray_finds_what_one_process_does(cluster, tmp_path: Path):
    import pandas as pd

    import widthwise as ww
    from helpers.configs import WIDTHS
    from helpers.searches import table

    alone = ww.search(None, None, WIDTHS, out=tmp_path / "alone", page=False)
    on_ray = ww.search(None, None, WIDTHS, out=tmp_path / "ray", ray="local", page=False)
    pd.testing.assert_frame_equal(table(on_ray), table(alone), check_exact=True)

"""Workers as processes of this machine."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import weakref
from dataclasses import dataclass
from multiprocessing.connection import wait

from widthwise.core.arrays import IntArray
from widthwise.core.children import command_of, environment
from widthwise.core.errors import UserError
from widthwise.evaluators.workers.channel import Channel, NoMessageError
from widthwise.evaluators.workers.messages import pack_candidates
from widthwise.evaluators.workers.parts import Part
from widthwise.evaluators.workers.worker import Build
from widthwise.evaluators.workers.workers import Answer, Died, answer_of, start_of

FAILED_STARTS = 3  # in a row
# one thread for numpy and torch in each worker: there is a worker for each core already

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Worker:
    """A process, and what it is doing: ready once its evaluator is made, then with a part or free.

    asked: how often it was asked.
    """

    process: subprocess.Popen[bytes]
    channel: Channel
    ready: bool = False
    part: Part | None = None
    asked: int = 0

    def kill(self) -> None:
        """End it now."""
        self.channel.close()
        self.process.kill()
        self.process.wait()

    def farewell(self) -> str:
        """How it ended, for one that has."""
        self.channel.close()
        try:
            status = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it closed its end, but lives
            self.kill()
            return "stopped answering"
        if status >= 0:
            return f"ended with status {status}"
        name = signal.Signals(-status).name
        return f"was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


class ProcessWorkers:
    """`jobs` processes, each with the evaluator of `build`, one thread each; they start at once."""

    def __init__(self, build: Build, jobs: int) -> None:
        if jobs < 1:
            raise UserError(f"jobs = {jobs}; give 1 or more, or -1 for one process a core")
        self._build = build.packed()
        self._failed_starts = 0
        self._workers: list[Worker] = []
        self._finalizer = weakref.finalize(self, _kill_all, self._workers)
        for _ in range(jobs):
            self._workers.append(self._start())

    @property
    def count(self) -> int:
        """How many there are, ready or not."""
        return len(self._workers)

    @property
    def ready(self) -> int:
        """How many have made their evaluator; `wait` brings it up to date."""
        return sum(worker.ready for worker in self._workers)

    @property
    def processes(self) -> list[int]:
        """Their process ids."""
        return [worker.process.pid for worker in self._workers]

    def give(self, part: Part, candidates: IntArray) -> bool:
        """Hand a part's candidates to a free worker; False: none is free now."""
        for worker in self._workers:
            if worker.ready and worker.part is None:
                try:
                    worker.asked += 1
                    worker.channel.send(pack_candidates(candidates, worker.asked))
                except OSError:
                    self._replace(worker, worker.farewell())
                    continue
                worker.part = part
                return True
        return False

    def wait(self, seconds: float | None) -> list[Answer]:
        """What has become of parts since, after at most so many seconds."""
        events = set(wait([worker.channel.end for worker in self._workers], seconds))
        answers: list[Answer] = []
        for worker in [worker for worker in self._workers if worker.channel.end in events]:
            try:
                for message in worker.channel.arrived():
                    answers += self._answer(worker, message)
                continue
            except NoMessageError:
                worker.kill()
                reason = "sent what is no answer"
            except (EOFError, OSError):
                reason = worker.farewell()
            if worker.part is not None:
                answers.append(Answer(worker.part, Died(reason)))
            self._replace(worker, reason)
        return answers

    def drop(self, part: Part) -> None:
        """End the worker that has this part."""
        for worker in [worker for worker in self._workers if worker.part == part]:
            worker.kill()
            self._workers[self._workers.index(worker)] = self._start()

    def refresh(self) -> None:
        """There is no more than this machine."""

    def close(self) -> None:
        """End all."""
        self._finalizer()

    def _answer(self, worker: Worker, message: bytes) -> list[Answer]:
        """What a worker says of its part; nothing for its first answer, that it is ready.

        Raises UserError where its evaluator can't be made, NoMessageError for what is no answer.
        """
        if worker.ready and worker.part is None:
            raise NoMessageError  # nothing was asked
        if worker.part is not None:
            found = answer_of(worker.part, message, worker.asked)
            worker.part = None
            return [found]
        if (error := start_of(message)) is not None:
            raise UserError(f"a worker process can't start: {error.text}")
        worker.ready, self._failed_starts = True, 0
        return []

    def _replace(self, worker: Worker, reason: str) -> None:
        """Another in place of one that died."""
        logger.warning("a worker process %s; another takes its place", reason)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS:
                raise UserError(f"worker processes end while they start: the last {reason}; use fewer --jobs")
        self._workers[self._workers.index(worker)] = self._start()

    def _start(self) -> Worker:
        here, there = socket.socketpair()
        command = command_of("widthwise.evaluators.workers", str(there.fileno()))
        with there:
            process = subprocess.Popen(
                command,
                env=environment(),
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the driver, which ends its workers
            )
        worker = Worker(process, Channel(here))
        try:
            worker.channel.send(self._build)
        except OSError:
            logger.debug("a worker process died at once; `wait` will find it")
        return worker


def _kill_all(workers: list[Worker]) -> None:
    while workers:
        workers.pop().kill()

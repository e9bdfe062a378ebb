"""Workers as processes of this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import weakref
from dataclasses import dataclass
from multiprocessing.connection import wait

from widthwise.core.arrays import IntArray
from widthwise.core.children import command_of, environment
from widthwise.core.errors import UserError
from widthwise.core.steps import step
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
    ended: int  # a descriptor that is readable once the process has ended, whoever holds its socket
    channel: Channel
    ready: bool = False
    part: Part | None = None
    asked: int = 0

    def kill(self) -> None:
        """End it now, with all that it started."""
        self._close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _close(self) -> None:
        self.channel.close()
        if self.ended >= 0:
            os.close(self.ended)
            self.ended = -1

    def farewell(self) -> str:
        """How it ended, for one that has; what it started ends too."""
        gone = bool(wait([self.ended], 5))
        self.kill()  # before its number may be another's
        if not gone:  # it closed its end, but lives
            return "stopped answering"
        status = self.process.wait()
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
        for number in range(jobs):
            step("starting workers", number, jobs)
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
        watched = [end for worker in self._workers for end in (worker.channel.end, worker.ended)]
        events = set(wait(watched, seconds))
        answers: list[Answer] = []
        for worker in [one for one in self._workers if {one.channel.end, one.ended} & events]:
            try:
                if worker.channel.end in events:
                    for message in worker.channel.arrived():
                        answers += self._answer(worker, message)
                    continue
                reason = worker.farewell()  # what it forked may hold its socket open
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
        worker = Worker(process, os.pidfd_open(process.pid), Channel(here))
        try:
            worker.channel.send(self._build)
        except OSError:
            logger.debug("a worker process died at once; `wait` will find it")
        return worker


def _kill_all(workers: list[Worker]) -> None:
    while workers:
        workers.pop().kill()

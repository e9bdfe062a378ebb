"""Estimates of many stages, by as many processes as there are cores.

A process is `python -P -m widthwise.export.rtl.estimating`: on each line of its input it reads the contents
of stages that share their products, and answers with a line of their estimates, or of why there are none,
until its input ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any, TypeVar

from widthwise.core.children import command_of, environment
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.core.steps import step
from widthwise.core.threads import cores
from widthwise.export.rtl.stages import Estimate, NoLogic, Stage, estimates_of

T = TypeVar("T")
WORTH_IT = 24  # groups of stages from which on starting processes takes less time than it saves


def estimates(stages: Sequence[Stage], processes: int | None = None) -> list[Estimate | NoLogic]:
    """Of each stage, in their order; processes: how many, by default as it is worth.

    Raises UserError where a process ends.
    """
    groups: dict[str, list[int]] = {}
    for number, stage in enumerate(stages):
        groups.setdefault(stage.sharing, []).append(number)
    found = _of_groups([[stages[number] for number in group] for group in groups.values()], processes)
    placed = {
        number: each
        for group, own in zip(groups.values(), found, strict=True)
        for number, each in zip(group, own, strict=True)
    }
    return [placed[number] for number in range(len(stages))]


def _of_groups(groups: list[list[Stage]], processes: int | None) -> list[list[Estimate | NoLogic]]:
    many = min(cores(), len(groups) // (WORTH_IT // 2)) if processes is None else processes
    if many < 2:
        return [_estimated(group) for group in _counted(groups)]
    with _started(many) as workers:
        free = list(workers)

        def answer(group: list[Stage]) -> list[Estimate | NoLogic]:
            worker = free.pop()  # a thread has one; there are as many
            try:
                return _asked(worker, group)
            finally:
                free.append(worker)

        with ThreadPoolExecutor(many) as threads:
            asked = [threads.submit(answer, group) for group in groups]
            try:
                return [each.result() for each in _counted(asked)]
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                for worker in workers:
                    worker.kill()  # which ends what its thread waits for
                raise


def _counted(parts: Sequence[T]) -> Iterator[T]:
    """The same, told as steps."""
    for number, part in enumerate(parts):
        step("estimating logic, stages", number, len(parts))
        yield part


def _estimated(group: Sequence[Stage]) -> list[Estimate | NoLogic]:
    """Of stages that share their products; where some fail, each by itself."""
    try:
        return [*estimates_of(group)]
    except Exception as error:  # alkaid may raise anything
        if len(group) == 1:
            return [NoLogic(f"alkaid makes no logic of it: {describe_error(error)[:300]}")]
    return [found for stage in group for found in _estimated([stage])]


@contextmanager
def _started(many: int) -> Iterator[list[subprocess.Popen[str]]]:
    command, env = command_of("widthwise.export.rtl.estimating"), environment()
    workers: list[subprocess.Popen[str]] = []
    try:
        while len(workers) < many:
            process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                process_group=0,  # Ctrl-C is for this process, which ends them
            )
            workers.append(process)
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            for stream in (worker.stdin, worker.stdout):
                _close(stream)


def _close(stream: IO[str] | None) -> None:
    try:
        if stream is not None:
            stream.close()
    except OSError:  # what is left unsaid to a process that is gone
        pass


def _asked(worker: subprocess.Popen[str], group: list[Stage]) -> list[Estimate | NoLogic]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(json.dumps([stage.content for stage in group]) + "\n")
        worker.stdin.flush()
        answer: list[Any] = json.loads(worker.stdout.readline())
    except (OSError, ValueError):
        raise UserError(
            "a process that estimates logic was ended (out of memory?); search a smaller network"
        ) from None
    return [NoLogic(each) if isinstance(each, str) else Estimate(*each) for each in answer]


def serve(given: IO[str], answers: IO[str]) -> None:
    """Answer each line until there are no more."""
    for line in given:
        found = _estimated([Stage.of_content(content) for content in json.loads(line)])
        answer = [
            each.reason if isinstance(each, NoLogic) else [each.luts, each.adders, each.delay]
            for each in found
        ]
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print must not get between the answers
    serve(sys.stdin, own)

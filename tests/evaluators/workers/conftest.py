"""Workers for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from widthwise.evaluators.workers import Build, ParallelEvaluator, ProcessWorkers

Make = Callable[..., ParallelEvaluator]


@pytest.fixture
def processes() -> Iterator[Make]:
    """Makes evaluators on processes, which are ended after the test."""
    made: list[ParallelEvaluator] = []

    def make(kind: str, jobs: int = 2, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
        build = Build("helpers.evaluators:make", {"kind": kind, **(arguments or {})}, {"weights": b"1234"})
        made.append(ParallelEvaluator(ProcessWorkers(build, jobs), metrics=("accuracy", "pid"), **options))
        return made[-1]

    yield make
    for evaluator in made:
        evaluator.close()

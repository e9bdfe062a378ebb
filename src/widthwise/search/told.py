"""What people are warned of: when a search begins, and, where they would not see its log, while it runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from widthwise.core.plain import plain
from widthwise.metrics.goals.combine import sum_conflicts

if TYPE_CHECKING:
    from widthwise.search.problem import Problem

TRAIN = "train it first (--train), or load weights (--load CHECKPOINT)"
FIT = "train it first (ww.fit), or load weights (load_name in the config)"
WHILE_IT_RUNS = "widthwise.evaluators.rungs"  # the log of what changes which candidates are judged


def warnings_of(problem: Problem, *, mend: str = TRAIN) -> list[str]:
    """Untrained weights and how to `mend` that, sums that pull the wrong way, rules that apply to nothing."""
    found = []
    config, search = problem.config, problem.config.search
    if problem.kind.needs_weights(search.space) and problem.untrained:
        found.append(f"the weights of {config.model} are random, so its quality says little; {mend}")
    if search.summed:
        found += sum_conflicts(search.objectives, search.direction)
    found += getattr(problem.evaluator, "notes", ())
    found += () if problem.target is None else problem.target.notes
    return [*found, *problem.kind.warnings(problem.space)]


class _ToStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(plain(f"warning: {record.getMessage()}") + "\n")


@contextmanager
def told_while_it_runs() -> Iterator[None]:
    """Warnings of a search go to the log of its run, and inside this to stderr too."""
    logger, handler = logging.getLogger(WHILE_IT_RUNS), _ToStderr(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)

"""Comparing strategies: one search with each of them, over several seeds, measured after every evaluation."""

from widthwise.search.comparing.compare import Done, compare
from widthwise.search.comparing.entrants import Entrant, parse_entrants
from widthwise.search.comparing.result import LEVELS, Comparison, Outcome
from widthwise.search.comparing.signed_ranks import PairTest
from widthwise.search.comparing.task import Task, task_of

__all__ = [
    "LEVELS",
    "Comparison",
    "Done",
    "Entrant",
    "Outcome",
    "PairTest",
    "Task",
    "compare",
    "parse_entrants",
    "task_of",
]

"""Comparing strategies: one search with each of them, over several seeds, measured after every evaluation."""

from widthwise.search.comparing.compare import Done, compare
from widthwise.search.comparing.contest import Contest, contest_of
from widthwise.search.comparing.entrants import Entrant, parse_entrants
from widthwise.search.comparing.result import LEVELS, Comparison, Outcome
from widthwise.search.comparing.signed_ranks import PairTest

__all__ = [
    "LEVELS",
    "Comparison",
    "Contest",
    "Done",
    "Entrant",
    "Outcome",
    "PairTest",
    "compare",
    "contest_of",
    "parse_entrants",
]

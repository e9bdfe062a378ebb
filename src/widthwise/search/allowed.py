"""Ways of searching that not every strategy and evaluator allows, refused before anything is done."""

from __future__ import annotations

from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Prunes
from widthwise.strategies import Strategy
from widthwise.study.run_files import Keep


def check_possible(strategy: Strategy, evaluator: object, *, keep: Keep = "all", prune: bool = False) -> None:
    """Raises UserError where this strategy or evaluator can't be searched with in this way."""
    if keep == "front" and strategy.learns:
        raise UserError(
            "keep = front needs brute-force or grid: a strategy that learns is brought back from all its "
            "trials; use keep = all"
        )
    if prune and not isinstance(evaluator, Prunes):
        raise UserError("prune: these candidates can't be stopped early; leave it out")

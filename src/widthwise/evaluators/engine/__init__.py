"""Evaluating many candidates at once: everything that they have in common is computed once."""

from __future__ import annotations

from widthwise.evaluators.engine.evaluator import Evaluator
from widthwise.evaluators.engine.single import evaluate, standard_errors

__all__ = ["Evaluator", "evaluate", "standard_errors"]

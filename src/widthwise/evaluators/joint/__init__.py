"""Evaluating channels and formats together: a network for each set of widths, the engine on each."""

from __future__ import annotations

from widthwise.evaluators.joint.evaluator import JointEvaluator, for_space

__all__ = ["JointEvaluator", "for_space"]

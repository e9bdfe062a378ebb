"""The checks of the contracts, for authors of plug-ins: call them in your own tests (no test tool is needed).

Each raises AssertionError with a sentence that says what does not hold.
"""

from __future__ import annotations

from widthwise.testing.evaluators import check_evaluator
from widthwise.testing.exporters import check_exporter
from widthwise.testing.formats import check_format
from widthwise.testing.metrics import check_metric
from widthwise.testing.spaces import check_space_kind
from widthwise.testing.strategies import check_strategy
from widthwise.testing.tasks import check_task

__all__ = [
    "check_evaluator",
    "check_exporter",
    "check_format",
    "check_metric",
    "check_space_kind",
    "check_strategy",
    "check_task",
]

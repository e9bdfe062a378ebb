"""Metrics as JSON, and by their names alone, as stores of the version before have them (imports no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isinf
from typing import Any

from widthwise.metrics.catalogue import Metric, known_metric
from widthwise.metrics.spread import SPREAD, spread_of


def metric_to_json(metric: Metric) -> dict[str, Any]:
    """Its fields; an end of the range that is infinite, for which JSON has no number, is left out.

    So is a source that is an object, and what metrics of the version before didn't have.
    """
    source = metric.source if isinstance(metric.source, str) else ""
    own = {"judges": metric.judges} if metric.is_own else {}
    fields = {key: value for key, value in vars(metric).items() if key != "judges"}
    kept = {key: value for key, value in fields.items() if not (isinstance(value, float) and isinf(value))}
    return {**kept, "source": source, **own}


def metric_from_json(stored: Mapping[str, Any]) -> Metric:
    """From what `metric_to_json` gave; nothing is imported, so a plug-in's metric needs no plug-in."""
    return Metric(**{"low": -inf, "high": inf, **stored})


def metric_of_name(name: str) -> Metric:
    """The metric of a name that was stored alone; never a plug-in's, which is stored whole.

    A name that is not known is of an evaluator of one's own: a quality of any unit, to be maximised.
    """
    base = name.removesuffix(SPREAD)
    found = known_metric(base) or Metric(base, "quality", "maximize", None, "of an evaluator of one's own")
    return found if base == name else spread_of(found)

"""The page of metrics has every metric with its direction and unit, and no other."""

from __future__ import annotations

import re

from helpers.places import DOCS
from widthwise.metrics.catalogue import METRICS

ROW = re.compile(r"^\| `(\w+)` \| (up|down) \|([^|]*)\|([^|]+)\|", re.MULTILINE)


def test_every_metric_is_on_the_page() -> None:
    rows = {name: (good, unit.strip()) for name, good, unit, _ in ROW.findall(page())}
    assert rows.keys() == METRICS.keys()
    for name, (good, unit) in rows.items():
        metric = METRICS[name]
        assert good == ("up" if metric.direction == "maximize" else "down"), name
        if metric.unit is not None:  # that of the targets
            assert unit == metric.unit, name


def page() -> str:
    """Its text."""
    return (DOCS / "metrics-reference.md").read_text(encoding="utf-8")

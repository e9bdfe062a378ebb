"""The page on strategies names every strategy with all of its options."""

from __future__ import annotations

import re

from helpers.places import DOCS
from widthwise.strategies.registry import STRATEGIES

TEXT = (DOCS / "strategies.md").read_text(encoding="utf-8")


def test_every_strategy_has_a_row_with_its_options() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| .*? \| (.*?)\|$", TEXT, re.MULTILINE))
    assert list(rows) == list(STRATEGIES)
    named = {name: re.findall(r"`([\w-]+)`", options) for name, options in rows.items()}
    named["nsga3"] = [*named["nsga2"], *named["nsga3"][1:]]  # "as `nsga2`, and …"
    assert named == {name: list(source.options or ()) for name, source in STRATEGIES.items()}

"""The page on explaining names every key of explain.json."""

from __future__ import annotations

import re
from dataclasses import fields

from helpers.places import DOCS
from widthwise.study import explanation
from widthwise.study.explanation import Explanation

TEXT = (DOCS / "explaining.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (`.*?) \| (.*) \|$", TEXT, re.MULTILINE))


def test_every_key_is_told() -> None:
    keys = [key for row in ROWS for key in re.findall(r"`(\w+)`", row)]
    assert keys == [field.name for field in fields(Explanation)]
    told = " ".join(ROWS.values())
    for name in ("Around", "Change", "Baseline", "Mixing", "Against", "Meeting", "Advice", "DecisionAdvice"):
        for field in fields(getattr(explanation, name)):
            assert f"`{field.name}`" in told

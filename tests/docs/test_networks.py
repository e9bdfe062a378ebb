"""The page on networks does what it says: its blocks run in order, and its table names types there are."""

from __future__ import annotations

import re
from typing import Any

from helpers.places import DOCS
from widthwise.network.layers import QUANTISABLE

PAGE = DOCS / "networks.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_every_block_runs() -> None:
    names: dict[str, Any] = {"__name__": "networks"}
    blocks = list(BLOCK.finditer(TEXT))
    assert len(blocks) >= 6
    for block in blocks:
        # as many lines before it as on the page, so that a traceback names the page's line
        code = compile("\n" * (TEXT[: block.start()].count("\n") + 1) + block[1], str(PAGE), "exec")
        exec(code, names)


def test_the_table_names_types_that_there_are() -> None:
    _, table = TEXT.split("| types | `data_in` |")
    rows = table.partition("\n\n")[0].splitlines()[2:]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    assert named <= QUANTISABLE
    assert len(named) > 30

"""The page on data does what it says: its block runs, and each built-in set has a row with its networks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.places import DOCS
from widthwise.config.template import DATA as KEYS
from widthwise.data.modules import DATA
from widthwise.network.named import MODELS

PAGE = DOCS / "data.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_block_runs_and_prints_what_stands_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = list(re.finditer(r"```python\n(.*?)```", TEXT, re.DOTALL))
    assert len(blocks) == 1
    for block in blocks:
        code = compile("\n" * (TEXT[: block.start()].count("\n") + 1) + block[1], str(PAGE), "exec")
        exec(code, {"__name__": "data"})
        assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*\)  # (.*)", block[1])


def test_every_built_in_set_has_a_row_with_networks_that_are_made_for_it() -> None:
    rows = [line.split(" | ") for line in TEXT.splitlines() if line.startswith("| `")]
    named = {name: row for row in rows if len(row) == 4 for name in re.findall(r"`([\w-]+)`", row[0])}
    assert set(DATA.own) <= set(named)
    for name in DATA.own:
        made_for = {model for model, entry in MODELS.own.items() if entry.about == name}
        shown = re.findall(r"`([\w-]+)`", named[name][-1])
        assert name in ("jsc-full", "cifar10") or (set(shown) and set(shown) <= made_for)


def test_every_key_that_says_what_data_is_has_a_row() -> None:
    assert all(f"\n| `{key} = " in TEXT for key in KEYS)

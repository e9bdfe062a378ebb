"""The walkthrough of Lab 3 does what it says: its blocks run in order and print what stands below them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from helpers.places import DOCS

PAGE = DOCS / "lab3.md"
BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def test_every_block_runs_and_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # the search makes its run folder here
    text = PAGE.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "lab3"}
    printed = ""
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) > 10
    for block in blocks:
        line = text[: block.start()].count("\n") + 2
        if block[1] == "python":
            # as many lines before it as on the page, so that a traceback names the page's line
            code = compile("\n" * (line - 1) + block[2], str(PAGE), "exec")
            exec(code, names)
            printed = capsys.readouterr().out
        else:
            shown, cut, _ = block[2].partition("...\n")
            found = printed[: len(shown)] if cut else printed
            assert found.strip() == shown.strip(), f"{PAGE.name}, line {line}"

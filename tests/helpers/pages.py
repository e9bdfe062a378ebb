"""Pages of docs as programs: their blocks run in order and print what stands below them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from widthwise.config import load_config
from widthwise.core.toml import parse_toml

BLOCK = re.compile(r"```(python|text|toml)\n(.*?)```", re.DOTALL)


def run_page(page: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Runs a page's Python, compares what it prints with the text below, reads its configs; how many blocks.

    Text after a line that ends in "..." is not compared.
    """
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": page.stem}
    printed, blocks = "", list(BLOCK.finditer(text))
    for block in blocks:
        line = text[: block.start()].count("\n") + 2
        if block[1] == "python":
            # as many lines before it as on the page, so that a traceback names the page's line
            code = compile("\n" * (line - 1) + block[2], str(page), "exec")
            exec(code, names)
            printed = capsys.readouterr().out
        elif block[1] == "toml":
            load_config(parse_toml(block[2], label=f"{page.name}, line {line}"))
        else:
            shown, cut, _ = block[2].partition("...\n")
            found = printed[: len(shown)] if cut else printed
            assert found.strip() == shown.strip(), f"{page.name}, line {line}"
    return len(blocks)

"""The page on deploying: its code runs, its forms are those that there are."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from helpers.places import DOCS
from widthwise.network.forms import EXPORTERS

PAGE = (DOCS / "deploying.md").read_text(encoding="utf-8")


def test_its_code_runs(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates torch.jit.trace, which is shown
        for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
            exec(compile(code, "deploying.md", "exec"), {"folder": tmp_path})
    assert (tmp_path / "network.onnx").is_file()


def test_every_form_but_our_own_has_a_section() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    named = {name.lower() for heading in headings for name in heading.split(" and ")}
    assert named >= {*EXPORTERS.own} - {"torch"}

"""The reference page of formats lists what there is, and its code runs."""

from __future__ import annotations

import dataclasses
import re
import tomllib

import pytest

from helpers.places import DOCS
from widthwise.formats import FORMATS, Format, parse
from widthwise.network.scheme import Scheme

PAGE = DOCS / "formats.md"


def rows() -> dict[str, list[str]]:
    """The cells of the table, by first name."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {re.findall(r"`([^`]+)`", row[0])[0]: row for row in cells}


def test_every_format_has_a_row() -> None:
    assert list(rows()) == [fmt.names[0] for fmt in FORMATS]
    assert all(len(row) == 6 and all(row) for row in rows().values())


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.names[0])
def test_its_row_gives_its_names_its_notation_and_its_keys(fmt: type[Format]) -> None:
    names, written, _, _, keys, _ = rows()[fmt.names[0]]
    assert set(re.findall(r"`([^`]+)`", names)) == {*fmt.names, *fmt.presets}
    assert repr(parse(written.strip("`"))) == written.strip("`")
    assert isinstance(parse(written.strip("`")), fmt)
    bare = re.sub(r"\([^)]*\)", "", keys)
    fields = dataclasses.fields(fmt)
    assert set(re.findall(r"\[(\w+)\]", bare)) == set(fmt.aliases)
    assert set(re.findall(r"\w+", re.sub(r"\[\w+\]", "", bare))) == {field.name for field in fields}
    required = {field.name for field in fields if field.default is dataclasses.MISSING}
    assert set(re.findall(r"\*\*(\w+)\*\*", bare)) == required


def test_its_code_runs() -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]
    exec(compile(code, str(PAGE), "exec"), {})


def test_its_config_is_read() -> None:
    text = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]
    assert str(Scheme.from_config(tomllib.loads(text))) == "data_in fixed<8,4>, weight mxint8/32"

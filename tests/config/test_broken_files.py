"""Files that are no config at all: broken TOML, no text, not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from widthwise.config import example_text, load_config
from widthwise.core.errors import UserError

Read = Callable[..., str]
Make = Callable[..., dict[str, Any]]
DEMO = example_text("jsc-tiny")

# file text, where the error is, all that the message must hold
BROKEN = {
    "an unclosed string": ('model = "jsc', ["line 1", "broken TOML"]),
    "a line that is no key": ('model = "jsc-tiny"\n\nwhat is this\n', ["line 3", "what is this"]),
    "a table given twice": ("[search]\n[search]\n", ["line 2", "broken TOML"]),
    "a value that ends early": ("seed =", ["broken TOML", "end of the file"]),
    "a key without end": ("a." * 20_000 + "b = 1", ["nested too deeply"]),
    "a table's name without end": ("[" + "a ." * 100_000 + "b]", ["nested too deeply"]),
    "a quoted key without end": ('"a" . ' * 20_000 + "b = 1", ["nested too deeply"]),
    "nesting without end": ("a = " + "[" * 5000, ["nested too deeply"]),
    "a number of too many digits": ("seed = " + "9" * 5000, ["broken TOML"]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_toml_is_named_with_its_line(case: str, error_of: Read) -> None:
    text, parts = BROKEN[case]
    message = error_of(text)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda folder: folder / "none.toml", "no such file"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: written(folder, b"model = '\xff'"), "line 1: is no UTF-8"),
        (lambda folder: written(folder, b"#" * 2_000_000), "is greater than"),
        (lambda folder: folder / ("x" * 5000), "can't be read"),
        (lambda folder: "~nobody-of-this-name/x.toml", "can't be read"),
    ],
)
def test_file_that_cannot_be_read_is_named(make: Any, found: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(UserError, match=found) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def written(folder: Path, content: bytes) -> Path:
    file = folder / "lab3.toml"
    file.write_bytes(content)
    return file

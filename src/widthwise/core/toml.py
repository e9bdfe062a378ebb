"""TOML in and out: files with their errors on one line, values on the command line, and a small writer."""

from __future__ import annotations

import datetime
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from widthwise.core.errors import UserError
from widthwise.core.files import existing_file
from widthwise.core.importing import describe_error

MOST_PARTS = 50  # of a dotted key
_TOKEN = re.compile(r"""[\w-]+|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*'|\.|[ \t]+|(?P<between>.|\n)""")
LARGEST = 1_000_000  # bytes: a config is a page of text, anything greater is another file


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file; raises UserError with the line where it is broken."""
    try:
        with existing_file(path).open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: ~name of nobody
        raise UserError(f"{path}: can't be read: {describe_error(error)}; check the path") from None
    if len(content) > LARGEST:
        raise UserError(f"{path}: is greater than {LARGEST:,} bytes; a config is a short TOML file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}: line {line}: is no UTF-8 text; save the file as UTF-8") from None
    return parse_toml(text.replace("\r\n", "\n"), label=str(path))


def parse_toml(text: str, *, label: str) -> dict[str, Any]:
    """The tables of TOML text; raises UserError with the line where it is broken."""
    too_deep = UserError(f"{label}: is nested too deeply; a config has no more than six levels")
    if _has_long_key(text):
        raise too_deep
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise too_deep from None
    except ValueError as error:  # TOMLDecodeError, and integers of thousands of digits
        raise UserError(f"{label}: {_with_line_first(str(error), text)}") from None


def _has_long_key(text: str) -> bool:
    """Whether a dotted key has more parts than any config's: tomllib's time grows with their square."""
    parts = 0
    for found in _TOKEN.finditer(text) if text.count(".") > MOST_PARTS else ():
        if found[0] == ".":
            parts += 1
            if parts > MOST_PARTS:
                return True
        elif found["between"]:  # what no dotted key holds
            parts = 0
    return False


def _with_line_first(message: str, text: str) -> str:
    """tomllib's message, "… (at line 3, column 5)", as "line 3: … (column 5: `the line`)"."""
    message = " ".join(message.split())
    found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message)
    if found is None:
        what, last = message.removesuffix("(at end of document)").strip(), text.count("\n", 0, -1) + 1
        return f"line {last}: broken TOML: {what}, at the end of the file"
    what, line, column = found[1], int(found[2]), found[3]
    lines = text.split("\n")
    seen = shortened(lines[line - 1].strip()) if line <= len(lines) else ""
    return f"line {line}: broken TOML: {what} at column {column}: {seen}"


def parse_value(text: str) -> Any:
    """A value as it would stand in a config (8, [2, 4], "text", true), or the text where it is none."""
    if _has_long_key(text):
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if list(parsed) == ["value"] else text


def parse_key(text: str) -> tuple[str, ...]:
    """The parts of a dotted key, quoted parts unquoted; raises UserError where it is none."""
    error = UserError(f"--set {shown(text)}: is no dotted key, as in search.strategy.setup.n_trials")
    if _has_long_key(text):
        raise error
    try:
        tables: Any = tomllib.loads(f"{text} = 0")
    except (ValueError, RecursionError):
        raise error from None
    parts = []
    while isinstance(tables, dict):
        if len(tables) != 1:
            raise error
        ((part, tables),) = tables.items()
        parts.append(part)
    if tables != 0:
        raise error
    return tuple(parts)


def dotted(path: Iterable[str]) -> str:
    """A path as TOML writes it, on one line whatever it holds: search.seed."seq.2".config."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else _text(part) for part in path)


def shown(value: object) -> str:
    """A value for an error message, on one line and not too long."""
    return shortened(repr(list(value)) if isinstance(value, tuple) else repr(value))


def shortened(text: str) -> str:
    """The text in at most 60 characters."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def shown_choices(choices: Sequence[Any]) -> str:
    """The choices of a key: 8, or [2, 4, 8]."""
    shown = [shown_choice(choice) for choice in choices]
    return shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"


def shown_choice(value: Any) -> str:
    """A choice of a config: text as it is, a list with brackets."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)


def dumps(tables: Mapping[str, Any]) -> str:
    """TOML text of nested mappings: the values of a table first, then its tables."""
    return "\n".join(_table_lines(tables, ())).lstrip("\n") + "\n"


def _table_lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    values = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = []
    if path and (values or not tables):
        lines += ["", f"[{dotted(path)}]"]
    lines += [f"{dotted([key])} = {_value(value)}" for key, value in values.items()]
    for key, inner in tables.items():
        lines += _table_lines(inner, (*path, key))
    return lines


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{dotted([key])} = {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return repr(value)  # int and float, inf and nan included, are written alike in both languages


def _text(text: str) -> str:
    """A basic string: JSON's escapes are TOML's; what may break a line is escaped too."""
    quoted = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return re.sub("[\x80-\x9f\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", quoted)

"""Text that users named, for people: on one line, and with nothing in it that a terminal or a table obeys."""

from __future__ import annotations

import json
import logging
import re

DELETE = 0x7F
_UNPRINTED = re.compile(r"[^\x20-\x7e]")
_FORMULA = re.compile(r"[=+\-@\t\r]")  # how a cell begins that a spreadsheet computes


def plain(text: object) -> str:
    """Text as it can be printed anywhere: blanks are spaces, and what does not print stands as its escape.

    So "a\\nb" is "a b", and what would colour a terminal or turn a line's direction is "\\x1b", "\\u202e".
    """
    found = str(text)
    if found.isprintable():
        return found
    return "".join(map(_shown, found))


def plain_lines(text: object) -> str:
    """Text of several lines, each of them plain."""
    return "\n".join(map(plain, str(text).split("\n")))


def plain_json(text: str) -> str:
    """JSON in which what does not print stands as its escape; it says the same."""
    return _UNPRINTED.sub(lambda found: _json_escape(found[0]), text)


def _json_escape(character: str) -> str:
    if character == "\n" or character.isprintable():
        return character
    return json.dumps(character)[1:-1] if ord(character) > DELETE else f"\\u{ord(character):04x}"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    return character.encode("unicode_escape").decode()


class PlainFormatter(logging.Formatter):
    """A record of a log is a line, whatever is named in it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return plain(super().format(record))


def plain_cell(value: object) -> object:
    """A value of a table that spreadsheets open: numbers as they are, texts plain, a ' before formulas."""
    if not isinstance(value, str):
        return value
    found = plain(value)
    return f"'{found}" if _FORMULA.match(value) and not _is_number(found) else found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

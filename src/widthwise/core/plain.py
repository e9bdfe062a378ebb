"""Text that users named, for people: on one line, and with nothing in it that a terminal or a table obeys."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"[=+\-@\t\r]")  # how a cell begins that a spreadsheet computes


def plain(text: object) -> str:
    """Text as it can be printed anywhere: blanks are spaces, and what does not print stands as its escape.

    So "a\\nb" is "a b", and what would colour a terminal or turn a line's direction is "\\x1b", "\\u202e".
    """
    found = str(text)
    if found.isprintable():
        return found
    return "".join(map(_shown, found))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    return character.encode("unicode_escape").decode()


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

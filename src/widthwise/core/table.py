"""A table of the config while it is read: values are taken by key and kind, what is left over is judged."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from widthwise.core.errors import UserError, nearest
from widthwise.core.toml import dotted, shown

T = TypeVar("T")
Path = tuple[str, ...]


@dataclass
class Document:
    """What all tables of a config share: its name in errors, what --set gave, what has no meaning here.

    options: keys that another option of the command line gave, and its name.
    """

    label: str
    overridden: tuple[Path, ...] = ()
    options: Mapping[Path, str] = field(default_factory=dict)
    ignored: list[Path] = field(default_factory=list)

    def where(self, path: Path) -> str:
        """How errors name a place: file and dotted key, or the option that the value came from."""
        if path in self.options:
            return self.options[path]
        label = "--set" if any(path[: len(given)] == given for given in self.overridden) else f"{self.label}:"
        return f"{label} {dotted(path)}"


@dataclass
class Table:
    """A table at its place. Every key that is asked for is known; `close` judges the others."""

    values: Mapping[str, Any]
    path: Path
    document: Document
    known: dict[str, None] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        self.known[key] = None
        return key in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def where(self, key: str | None = None) -> str:
        """How errors name this table, or a key in it."""
        return self.document.where(self.path if key is None else (*self.path, key))

    def fail(
        self, key: str, found: str, *, near: str | None = None, allowed: Iterable[object] = ()
    ) -> NoReturn:
        """Raises UserError about a key."""
        raise UserError(found, where=self.where(key), near=near, allowed=allowed)

    def ignore(self, key: str) -> None:
        """Notes a key that has no meaning here."""
        self.known[key] = None
        if key in self.values:
            self.document.ignored.append((*self.path, key))

    def get(self, key: str) -> Any:
        """The value as it stands, None where there is none."""
        self.known[key] = None
        return self.values.get(key)

    def text(self, key: str) -> str | None:
        """A text that isn't empty."""
        value = self.get(key)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            self.fail(key, f'{shown(value)} is no text; write {key} = "..."')
        return value

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            self.fail(key, f"{shown(value)} is neither true nor false")
        return default if value is None else value

    def whole(self, key: str, default: T, *, least: int = 1, most: int | None = None) -> int | T:
        """A whole number in [least, most]."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        number = isinstance(value, int) and not isinstance(value, bool)
        if not number or value < least or (most is not None and value > most):
            allowed = f"from {least}" if most is None else f"from {least} to {most}"
            self.fail(key, f"{shown(value)} is no whole number {allowed}")
        return int(value)

    def number(
        self, key: str, default: T, *, above: float | None = None, least: float | None = None
    ) -> float | T:
        """A finite number, above or at least a bound where one is given."""
        value = self.get(key)
        if value is None:
            return default
        found = as_number(value)
        if found is None or (above is not None and found <= above) or (least is not None and found < least):
            bound = (
                f" above {above:g}" if above is not None else f" from {least:g}" if least is not None else ""
            )
            self.fail(key, f"{shown(value)} is no finite number{bound}")
        return found

    def choice(self, key: str, allowed: Mapping[str, T], default: T) -> T:
        """What the mapping has for the text that stands there."""
        value = self.get(key)
        if value is None:
            return default
        plain = value.strip().lower() if isinstance(value, str) else ""
        if plain not in allowed:
            self.fail(key, f"{shown(value)} is unknown", near=nearest(plain, allowed), allowed=allowed)
        return allowed[plain]

    def table(self, key: str) -> Table:
        """The table under a key, empty where there is none."""
        value = self.get(key)
        if value is not None and not isinstance(value, Mapping):
            self.fail(key, f"{shown(value)} is no table; write [{dotted((*self.path, key))}]")
        return Table({} if value is None else value, (*self.path, key), self.document)

    def close(self, *, lab: Collection[str] = (), strict: bool = False) -> None:
        """Judges the keys that nobody asked for.

        Those in `lab` mean something to the lab's system alone and are ignored; one much like a known key
        is an error; any other is an error where `strict`, or where --set gave it, and else ignored.
        """
        for key in self.values:
            if key in self.known:
                continue
            if key not in lab:
                self._check_unknown(key, strict=strict)
            self.document.ignored.append((*self.path, key))

    def _check_unknown(self, key: str, *, strict: bool) -> None:
        close = get_close_matches(key.lower(), self.known, n=1, cutoff=0.8)
        if close:
            self.fail(key, "no such key", near=close[0])
        path = (*self.path, key)
        given = any(path == override[: len(path)] for override in self.document.overridden)
        if strict or given:
            self.fail(key, "no such key", near=nearest(key, self.known), allowed=self.known or ("none",))


def as_number(value: object) -> float | None:
    """The value as a finite float, None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None

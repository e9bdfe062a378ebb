"""Which strategies are compared: names with options, as `tpe(multivariate=false)`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.toml import parse_value
from widthwise.strategies import strategy_source

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

FORM = "name or name(option=value, ...), as tpe(n_startup_trials=20)"
_ENTRY = re.compile(r"\s*([^()]+?)\s*(?:\((.*)\))?\s*", re.DOTALL)


@dataclass(frozen=True)
class Entrant:
    """A strategy by its canonical name, with options that it takes; or an Optuna sampler that `make` makes.

    make: seed to sampler, called for each run; the name is then only what it is called.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    make: Callable[[int], BaseSampler] | None = None

    @property
    def label(self) -> str:
        """How it is called in tables: the name, with the options where there are any."""
        given = ", ".join(f"{key}={_shown(value)}" for key, value in self.options)
        return f"{self.name}({given})" if given else self.name


def entrant(name: str, options: Mapping[str, Any] | None = None, *, where: str = "strategies") -> Entrant:
    """The strategy of this name in any spelling; UserError for unknown names and options."""
    source = strategy_source(name, where=where)
    checked = source.checked(dict(options or {}), where=f"{where}: {source.name}")
    return Entrant(source.name, tuple(checked.items()))


def parse_entrants(
    given: str | Sequence[str | Entrant], *, configured: Entrant | None = None, where: str = "strategies"
) -> tuple[Entrant, ...]:
    """The entrants of "brute-force,tpe(multivariate=false)" or of a list of such entries.

    One without options that is the `configured` strategy gets the options of the config. Raises UserError for
    entries that can't be read, unknown strategies and options, and entrants that stand there twice.
    """
    entries: Iterable[str | Entrant] = _split(given) if isinstance(given, str) else given
    found: list[Entrant] = []
    for entry in entries:
        made = entry if isinstance(entry, Entrant) else _parse(entry, where)
        if configured is not None and made == Entrant(configured.name):
            made = configured
        if made in found:
            raise UserError(f"{where}: {made.label} stands there twice; give each strategy once")
        found.append(made)
    if not found:
        raise UserError(f"{where}: names no strategy; give some, as brute-force,tpe,random")
    return tuple(found)


def _parse(entry: str, where: str) -> Entrant:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise UserError(f"{where}: can't read {entry!r}; write {FORM}")
    name, inside = match.groups()
    options: dict[str, Any] = {}
    for part in _split(inside or ""):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise UserError(f"{where}: {name}: can't read the option {part!r}; write {FORM}")
        options[key.strip()] = parse_value(value.strip())
    return entrant(name, options, where=where)


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets; empty ones are left out."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

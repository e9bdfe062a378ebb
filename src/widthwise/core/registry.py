"""The registry: the named things of one family (formats, strategies, tasks …), ours and those of plug-ins.

A plug-in is an installed package with entry points, as `widthwise.metrics` in its `pyproject.toml`; see
docs/plugins.md. Names are looked up without importing what they stand for, and ours without looking at what
is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error

T = TypeVar("T")

OWN = "widthwise"


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One named thing: where it is, and what is known of it without importing it.

    target: "module:object". extra: what `pip install 'widthwise[extra]'` it needs. package: whose it is.
    about: the family's own facts (a strategy's options, a network's data set); None for a plug-in's.
    """

    name: str
    target: str
    summary: str = ""
    aliases: tuple[str, ...] = ()
    extra: str = ""
    package: str = OWN
    about: T | None = None


def plainly(name: str) -> str:
    """A name without regard to case, "_" and "-"."""
    return name.strip().lower().replace("_", "-")


class Registry(Generic[T]):
    """The entries of a family. Our own names go first: no package takes one of them."""

    def __init__(
        self,
        kind: str,
        own: Iterable[Entry[T]],
        *,
        group: str = "",
        spelling: Callable[[str], str] = plainly,
        methods: Iterable[str] = (),
    ) -> None:
        """kind: what errors call one of them; group: of entry points; spelling: in which names agree.

        methods: what a plug-in's has to have, or it is refused when it is loaded.
        """
        self.kind, self.group, self._methods = kind, group, tuple(methods)
        self.own = {entry.name: entry for entry in own}
        self._spelling = spelling
        self._spelled = {
            spelling(name): entry for entry in self.own.values() for name in (entry.name, *entry.aliases)
        }

    @property
    def entries(self) -> dict[str, Entry[T]]:
        """All by name: ours in their order, then those of plug-ins."""
        return self.own | {points[0].name: _entry(points[0]) for points in self._plug_ins.values()}

    def get(self, name: str) -> Entry[T] | None:
        """The entry of this name in any spelling, or None; imports nothing.

        Raises UserError where two packages claim it.
        """
        spelled = self._spelling(name)
        if spelled in self._spelled:
            return self._spelled[spelled]
        claims = self._plug_ins.get(spelled, [])
        if len(claims) > 1:
            packages = " and ".join(sorted({_package(point) for point in claims}))
            raise UserError(
                f"{self.kind} {name}: {packages} both have one of this name; uninstall one of them"
            )
        return _entry(claims[0]) if claims else None

    def find(self, name: str, *, where: str = "", others: Iterable[str] = ()) -> Entry[T]:
        """The entry of this name; UserError with the nearest where there is none.

        `others` are forms that are allowed beside names, as "module:callable".
        """
        found = self.get(name)
        if found is None:
            raise unknown(self.kind, name, [*self.entries, *others], where=where)
        return found

    def load(self, name: str, *, where: str = "") -> Any:
        """What the name stands for, imported now; a plug-in that breaks is a UserError that names it."""
        return self.loaded(self.find(name, where=where))

    def loaded(self, entry: Entry[T]) -> Any:
        """What an entry stands for, imported now."""
        point = EntryPoint(entry.name, entry.target, self.group)
        if entry.package == OWN:
            return self._own(entry, point)
        try:
            found = point.load()
        except (Exception, SystemExit) as error:  # a package may do anything when it is imported
            raise self.broken(entry, f"raised {describe_error(error)}") from error
        missing = [name for name in self._methods if not callable(getattr(found, name, None))]
        if missing:
            raise self.broken(entry, f"has no {', '.join(missing)}")
        return found

    def broken(self, entry: Entry[T], what: str) -> UserError:
        """The error for a plug-in's entry: `what` its target did or is."""
        return UserError(
            f"{self.kind} {entry.name}: the package {entry.package} is broken: {entry.target} {what}; mend "
            "it, or uninstall it"
        )

    def _own(self, entry: Entry[T], point: EntryPoint) -> Any:
        """What one of our own entries stands for; UserError where the extra that it needs is missing."""
        try:
            return point.load()
        except ImportError as error:
            if not entry.extra or (error.name or OWN).split(".")[0] == OWN:
                raise
            raise UserError(
                f"{self.kind} {entry.name}: needs {error.name}; pip install '{OWN}[{entry.extra}]'"
            ) from error

    def is_code(self, name: str) -> bool:
        """Whether loading this name runs code that is not part of widthwise."""
        found = self.get(name)
        return found is None or found.package != OWN

    @cached_property
    def _plug_ins(self) -> dict[str, list[EntryPoint]]:
        """Entry points by their names as spelled, without those that have a name of ours."""
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group) if self.group else ():
            spelled = self._spelling(point.name)
            if spelled not in self._spelled:
                found.setdefault(spelled, []).append(point)
        return found


def _entry(point: EntryPoint) -> Entry[Any]:
    package = _package(point)
    return Entry(point.name, point.value, f"of the package {package}", package=package)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module

"""Number formats: how the values of a tensor are represented. A family a file; found by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error, load_object, loaded_object
from widthwise.core.registry import OWN, Entry, Registry
from widthwise.formats.base import UNSET, Format
from widthwise.formats.binary import Binary
from widthwise.formats.block import BlockFP, BlockLog, BlockMinifloat
from widthwise.formats.integer import Integer
from widthwise.formats.integer_each import IntegerEach
from widthwise.formats.listing import Parameter, Row, row
from widthwise.formats.logarithmic import Log
from widthwise.formats.microscaling import MXFloat, MXInt
from widthwise.formats.minifloat import MinifloatDenorm, MinifloatIEEE
from widthwise.formats.named import NamedFloat
from widthwise.formats.notation import read
from widthwise.formats.scaled import ScaledInteger
from widthwise.formats.ternary import Ternary

FORMATS: tuple[type[Format], ...] = (
    Integer,
    IntegerEach,
    ScaledInteger,
    Binary,
    Ternary,
    Log,
    MinifloatIEEE,
    MinifloatDenorm,
    NamedFloat,
    BlockFP,
    BlockMinifloat,
    BlockLog,
    MXInt,
    MXFloat,
)
BY_NAME: dict[str, type[Format]] = {name: fmt for fmt in FORMATS for name in (*fmt.names, *fmt.presets)}

# a plug-in's entry point names a Format; names are taken as they are written
REGISTRY: Registry[None] = Registry(
    "format",
    [Entry(name, f"{fmt.__module__}:{fmt.__qualname__}") for name, fmt in BY_NAME.items()],
    group="widthwise.formats",
    spelling=str,
)

__all__ = [
    "BY_NAME",
    "FORMATS",
    "Binary",
    "BlockFP",
    "BlockLog",
    "BlockMinifloat",
    "Format",
    "Integer",
    "IntegerEach",
    "Log",
    "MXFloat",
    "MXInt",
    "MinifloatDenorm",
    "MinifloatIEEE",
    "NamedFloat",
    "Parameter",
    "Row",
    "ScaledInteger",
    "Ternary",
    "catalogue",
    "find_format",
    "from_config",
    "import_own",
    "parameters",
    "parse",
]


def from_config(config: Mapping[str, Any], *, where: str = "") -> Format | None:
    """The format that `{"name": …, parameter: value …}` describes; None where the name says float ("NA",
    "none").

    Raises UserError naming the key, what was found and what is allowed.
    """
    params = dict(config)
    name = params.pop("name", None)
    if name in UNSET:
        return None
    return find_format(name, where=where).from_config(params, where=where, name=str(name))


def find_format(name: object, *, where: str = "") -> type[Format]:
    """The format of this name, a plug-in's too, whose package is then imported. Raises UserError.

    `module:Class` is one's own: its module has to be imported already, so that no file makes code run.
    """
    cls = _found(name) if isinstance(name, str) else None
    if cls is None:
        raise unknown("format", name, [*REGISTRY.entries, "module:Class"], where=where)
    return cls


def _found(name: str) -> type[Format] | None:
    if name in BY_NAME:
        return BY_NAME[name]
    if ":" in name:
        return _own(name, loaded_object(name, what="format"))
    entry = REGISTRY.get(name)
    if entry is None:
        return None
    found = REGISTRY.loaded(entry)
    if not (isinstance(found, type) and issubclass(found, Format)):
        raise REGISTRY.broken(entry, f"is a {type(found).__name__}; it must be a Format")
    if name not in (*found.names, *found.presets):
        raise REGISTRY.broken(entry, "doesn't have this name among its names and presets")
    return found


def import_own(name: object, *, where: str = "") -> None:
    """Imports the module of a format that is named `module:Class`; nothing for other names.

    For names that the user gave, as in a space: names in files that a run keeps import nothing, see
    `find_format`. Raises UserError where there is no such format.
    """
    if isinstance(name, str) and ":" in name:
        try:
            _own(name, load_object(name, what="format"))
        except UserError as error:
            raise error.at(where) from None


def _own(name: str, found: object) -> type[Format]:
    if not (isinstance(found, type) and issubclass(found, Format)):
        raise UserError(
            f"format {name}: is a {type(found).__name__}; it must be a subclass of widthwise's Format"
        )
    missing = [key for key in ("names", "notation") if not hasattr(found, key)]
    missing += sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise UserError(
            f"format {name}: lacks {', '.join(missing)}; a format has names, notation, quantize, bits and "
            "range"
        )
    if "__dataclass_fields__" not in vars(found) and vars(found).get("__annotations__"):
        raise UserError(
            f"format {name}: has fields but is no dataclass; write @dataclass(frozen=True) above it"
        )
    if name not in found.names:
        written = ", ".join(f'"{known}"' for known in (name, *found.names))
        raise UserError(
            f"format {name}: is not among its own names; put it first, names = ({written}), so that a run "
            "finds the format again"
        )
    return found


def parse(text: str) -> Format:
    """The format that is written so: as its repr, `fixed<8,4>`, `e4m3`, `mxint8/32`, or with a config's name.

    Raises UserError that names what cannot be read and what comes nearest.
    """
    return read(text, _found, lambda: REGISTRY.entries)


def catalogue(*, broken: Callable[[UserError], object] | None = None) -> list[Row]:
    """One row for each format: ours in the order of `FORMATS`, then those of plug-ins.

    broken: is told of each plug-in that can't be listed, in place of raising what is wrong with it.
    """
    rows = {fmt: row(fmt) for fmt in FORMATS}
    for entry in REGISTRY.entries.values():
        if entry.package == OWN:
            continue
        try:
            fmt = find_format(entry.name)
            if fmt not in rows:
                rows[fmt] = _row_of_plug_in(fmt, entry)
        except UserError as error:
            if broken is None:
                raise
            broken(error)
    return list(rows.values())


def _row_of_plug_in(fmt: type[Format], entry: Entry[None]) -> Row:
    try:
        return row(fmt, package=entry.package)
    except Exception as error:  # of the package's own making, as its example
        raise REGISTRY.broken(entry, f"can't be listed: {describe_error(error)}") from error


def parameters(name: str) -> Mapping[str, str]:
    """The keys that a format takes after a tensor's prefix, each with the field it sets; none for "NA"."""
    cls = _found(name)
    if cls is None:
        return {}
    fields = [field.name for field in dataclasses.fields(cls) if field.init]
    return {**{field: field for field in fields}, **cls.aliases}

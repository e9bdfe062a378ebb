"""Number formats: how the values of a tensor are represented. A family a file; found by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from widthwise.core.errors import UserError, unknown
from widthwise.core.registry import OWN, Entry, Registry
from widthwise.formats.base import UNSET, Format
from widthwise.formats.binary import Binary
from widthwise.formats.block import BlockFP, BlockLog, BlockMinifloat
from widthwise.formats.integer import Integer
from widthwise.formats.listing import Parameter, Row
from widthwise.formats.logarithmic import Log
from widthwise.formats.microscaling import MXFloat, MXInt
from widthwise.formats.minifloat import MinifloatDenorm, MinifloatIEEE
from widthwise.formats.named import NamedFloat
from widthwise.formats.notation import read
from widthwise.formats.scaled import ScaledInteger
from widthwise.formats.ternary import Ternary

FORMATS: tuple[type[Format], ...] = (
    Integer,
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
    """The format of this name, a plug-in's too, whose package is then imported. Raises UserError."""
    cls = _found(name) if isinstance(name, str) else None
    if cls is None:
        raise unknown("format", name, REGISTRY.entries, where=where)
    return cls


def _found(name: str) -> type[Format] | None:
    if name in BY_NAME:
        return BY_NAME[name]
    if REGISTRY.get(name) is None:
        return None
    found = REGISTRY.load(name)
    if not (isinstance(found, type) and issubclass(found, Format)):
        raise UserError(f"format {name}: its package gives a {type(found).__name__}; it must give a Format")
    return found


def parse(text: str) -> Format:
    """The format that is written so: as its repr, `fixed<8,4>`, `e4m3`, `mxint8/32`, or with a config's name.

    Raises UserError that names what cannot be read and what comes nearest.
    """
    return read(text, _found, lambda: REGISTRY.entries)


def catalogue() -> list[Row]:
    """One row for each format: ours in the order of `FORMATS`, then those of plug-ins."""
    from widthwise.formats.listing import row

    others = [find_format(name) for name, entry in REGISTRY.entries.items() if entry.package != OWN]
    return [row(fmt) for fmt in (*FORMATS, *dict.fromkeys(others))]


def parameters(name: str) -> Mapping[str, str]:
    """The keys that a format takes after a tensor's prefix, each with the field it sets; none for "NA"."""
    cls = _found(name)
    if cls is None:
        return {}
    fields = [field.name for field in dataclasses.fields(cls) if field.init]
    return {**{field: field for field in fields}, **cls.aliases}

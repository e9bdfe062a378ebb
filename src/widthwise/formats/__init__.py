"""Number formats: how the values of a tensor are represented. A family a file; found by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from widthwise.core.errors import unknown
from widthwise.formats.base import UNSET, Format
from widthwise.formats.binary import Binary
from widthwise.formats.block import BlockFP, BlockLog, BlockMinifloat
from widthwise.formats.catalogue import Parameter, Row
from widthwise.formats.integer import Integer
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
    "from_config",
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
    if not isinstance(name, str) or name not in BY_NAME:
        raise unknown("format", name, BY_NAME, where=where)
    return BY_NAME[name].from_config(params, where=where, name=name)


def parse(text: str) -> Format:
    """The format that is written so: as its repr, `fixed<8,4>`, `e4m3`, `mxint8/32`, or with a config's name.

    Raises UserError that names what cannot be read and what comes nearest.
    """
    return read(text, BY_NAME)


def catalogue() -> list[Row]:
    """One row for each format of the package, in the order of `FORMATS`."""
    from widthwise.formats.catalogue import row

    return [row(fmt) for fmt in FORMATS]


def parameters(name: str) -> Mapping[str, str]:
    """The keys that a format takes after a tensor's prefix, each with the field it sets; none for "NA"."""
    cls = BY_NAME.get(name)
    if cls is None:
        return {}
    fields = [field.name for field in dataclasses.fields(cls) if field.init]
    return {**{field: field for field in fields}, **cls.aliases}

"""A table of the formats: names, parameters, bits, what each is in a sentence."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from typing import Any

from widthwise.core.registry import OWN
from widthwise.formats.base import Format


@dataclass(frozen=True)
class Parameter:
    """A parameter of a format, which is a config key; `required` where it has no default."""

    name: str
    default: Any
    required: bool
    meaning: str


@dataclass(frozen=True)
class Row:
    """A format as a listing shows it; `bits` are those of `example`, a typical instance."""

    name: str
    aliases: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    example: Format
    bits: float
    summary: str
    package: str = OWN


def row(fmt: type[Format], *, package: str = OWN) -> Row:
    """The format's row; package: whose it is."""
    name, *aliases = fmt.names
    example = fmt(**fmt.typical)
    fields = dataclasses.fields(fmt)
    return Row(
        name=name,
        aliases=(*aliases, *fmt.presets),
        parameters=tuple(_parameter(field) for field in fields),
        example=example,
        bits=example.bits,
        summary=" ".join(inspect.cleandoc(fmt.__doc__ or "").split("\n\n")[0].split()),
        package=package,
    )


def _parameter(field: dataclasses.Field[Any]) -> Parameter:
    required = field.default is dataclasses.MISSING
    return Parameter(
        field.name, None if required else field.default, required, field.metadata.get("meaning", "")
    )

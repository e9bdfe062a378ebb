"""Formats as the field writes them: `fixed<8,4>`, `e4m3`, `mxint8/32`; written and read back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self, TypeVar

from widthwise.core.errors import UserError, nearest

PATTERN = re.compile(
    r"(?P<head>[\w.:]+)(?:<(?P<args>[^<>]*)>)?(?:/(?P<parts>\w+))?(?:@(?P<axis>-?\d+))?(?P<first>-first)?"
)
EXAMPLES = "fixed<8,4>, e4m3, mxint8/32"


@dataclass(frozen=True)
class Notation:
    """`head<positional,word,key=value>`, then `/parts@axis` for what has a scale of its own.

    The head is `head`, or one of the format's presets; what a preset fixes is not written again. Positional
    values are always written, words and keys where they differ from the default.
    """

    head: str
    positional: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, Any]] = field(default_factory=dict)  # word -> field and its value
    keys: Mapping[str, str] = field(default_factory=dict)  # key -> field


class Written(Protocol):
    """What of a format its notation is made from: a dataclass with these."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    names: ClassVar[tuple[str, ...]]
    notation: ClassVar[Notation]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]

    def written_parts(self) -> str:
        """What of the tensor has a scale of its own, as `/parts@axis`."""
        ...

    @classmethod
    def from_config(cls, params: Mapping[str, Any], *, where: str = "", name: str | None = None) -> Self:
        """The format with these parameters."""
        ...


W = TypeVar("W", bound=Written)


def written(fmt: Written) -> str:
    """The format in its notation. Of several scales only the number is written."""
    notation = fmt.notation
    values = {f.name: getattr(fmt, f.name) for f in dataclasses.fields(fmt)}
    differs = {f.name for f in dataclasses.fields(fmt) if values[f.name] != f.default}
    head, fixed = preset_of(fmt, notation.head)
    args = [_number(values[name]) for name in notation.positional if name not in fixed]
    own = differs - set(fixed)
    args += [word for word, (name, _) in notation.words.items() if name in own]
    args += [f"{key}={_number(values[name])}" for key, name in notation.keys.items() if name in own]
    return f"{head}<{','.join(args)}>{fmt.written_parts()}" if args else f"{head}{fmt.written_parts()}"


def preset_of(fmt: Written, name: str) -> tuple[str, Mapping[str, Any]]:
    """The preset that fixes most of what this format has, and what it fixes; `name` where none fits."""
    fixed: Mapping[str, Any] = {}
    for preset, params in fmt.presets.items():
        if len(params) > len(fixed) and all(getattr(fmt, key) == value for key, value in params.items()):
            name, fixed = preset, params
    return name, fixed


def read(text: str, find: Callable[[str], type[W] | None], names: Callable[[], Iterable[str]]) -> W:
    """The format that the text stands for; `find` gives the one of a name, if it is among `names`.

    Raises UserError that says what cannot be read.
    """
    match = PATTERN.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{text!r} is no format; written like {EXAMPLES}")
    head = match["head"]
    if (cls := find(head)) is None:
        known = sorted(names())
        raise UserError(f"no format named {head}", where=text, near=nearest(head, known), allowed=known)
    params = _arguments(cls, head, [arg.strip() for arg in (match["args"] or "").split(",")], text)
    fields = {f.name for f in dataclasses.fields(cls)}
    if match["parts"]:
        params |= _parts(match["parts"], fields, text)
    if match["axis"]:
        params["axis"] = int(match["axis"])
    if match["first"]:
        params["skip_first_dim"] = True
    return cls.from_config(params, where=text, name=head)


def _arguments(cls: type[Written], head: str, args: list[str], text: str) -> dict[str, Any]:
    """What stands between < and >, by field."""
    notation = cls.notation
    fixed = cls.presets.get(head, {})
    positional = [name for name in notation.positional if name not in fixed]
    params: dict[str, Any] = {}
    for place, arg in enumerate(args if args != [""] else []):
        key, equals, value = arg.partition("=")
        if equals:
            name = notation.keys.get(key, key)
        elif arg in notation.words:
            name, value = notation.words[arg]
        elif place < len(positional):
            name, value = positional[place], arg
        else:
            allowed = [*positional, *notation.words, *(f"{key}=…" for key in notation.keys)]
            raise UserError(
                f"{text}: {arg!r} has no meaning in {head}<…>; allowed: {', '.join(allowed) or 'none'}"
            )
        if name in params:
            raise UserError(f"{text}: {name} is given twice; leave one out")
        params[name] = _value(value) if isinstance(value, str) else value
    return params


def _parts(parts: str, fields: set[str], text: str) -> dict[str, Any]:
    """What stands behind the slash: sizes of blocks, or what has a scale of its own."""
    if "block_size" in fields:
        sizes = [-1 if size == "all" else _value(size) for size in parts.split("x")]
        return {"block_size": sizes if len(sizes) > 1 else sizes[0]}
    if "per" not in fields:
        raise UserError(f"{text}: /{parts} has no meaning here, this format has no blocks; leave it out")
    group = re.fullmatch(r"group(all|\d+)?", parts)
    if group is None:
        return {"per": parts}
    size = {"all": -1, None: None}.get(group[1], group[1])
    return {"per": "group", "group_size": size if size is None else int(size)}


def _number(value: object) -> str:
    """A number so that it reads back exactly, of several their count, a word as it is."""
    if isinstance(value, tuple):
        return _number(value[0]) if len(value) == 1 else f"[{len(value)}]"
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


def _value(text: str) -> int | float | str:
    """A number where the text is one, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

"""What every number format is: data that says which values exist, and a verb that maps tensors onto them."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from widthwise.core.errors import UserError, nearest
from widthwise.formats.notation import Notation, preset_of, written

if TYPE_CHECKING:
    from torch import Tensor

Sign = Literal["any", "from 0", "above 0"]
UNSET = ("NA", "na", "none", "None", None)  # what configs write for "not given"


@dataclass(frozen=True, repr=False)
class Format(ABC):
    """A number format: a frozen dataclass whose fields are its parameters and its config keys.

    Formats import without torch, so that a config is checked before anything heavy is loaded. Every result is
    a value of the format that x's dtype can hold: where the dtype reaches less far or is coarser than the
    format, the greatest magnitude is the greatest value that both have. No format passes a gradient: see
    `gradient.py`.
    """

    names: ClassVar[tuple[str, ...]]  # in configs; the first is the one that we write
    notation: ClassVar[Notation]
    aliases: ClassVar[Mapping[str, str]] = {}  # other config keys -> field
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # further names -> the parameters that they fix
    typical: ClassVar[Mapping[str, Any]] = {}  # parameters of an example, those without a default at least

    def __repr__(self) -> str:
        return written(self)

    def written_parts(self) -> str:
        """What of the tensor has a scale of its own, as `/parts@axis`."""
        axis: int | None = getattr(self, "axis", None)
        return "" if axis is None else f"@{axis}"

    @property
    def elementwise(self) -> bool:
        """Whether each element is rounded by itself: no scale follows the data or goes with a part."""
        return True

    @abstractmethod
    def quantize(self, x: Tensor) -> Tensor:
        """Nearest representable values; same shape, dtype and device as x, which is left as it is."""

    @property
    @abstractmethod
    def bits(self) -> float:
        """Average bits per element, with the share of scales and shared exponents of full blocks."""

    @property
    @abstractmethod
    def range(self) -> tuple[float, float]:
        """Least and greatest representable value; infinite where a scale follows the data."""

    def storage_bits(self, shape: Sequence[int]) -> int:
        """Bits to store a tensor of this shape, scales, shared exponents and partial blocks included."""
        return math.ceil(math.prod(shape) * self.bits)

    def calibrated(self, x: Tensor) -> Format:
        """This format with everything that follows the data ("auto" fields, scales) fixed from the values x.

        A block's scale is stored with the block, so block formats stay as they are.
        """
        return self

    def for_channels(self, axis: int, groups: int = 1) -> Format:
        """This format for a tensor whose output channels run along `axis`, in each of `groups` equal parts of
        axis 0.

        Itself where no scale goes with a channel, where an axis was given, and where that is the default.
        """
        return self

    def observer(self) -> Observer | None:
        """What fixes this format as `calibrated` does, from values that come block by block.

        None: it has none of its own, and all values are kept until then.
        """
        return None

    def inside(self, x: Tensor) -> Tensor:
        """Which elements lie in the closed range, as a boolean tensor of x's shape; NaN does not."""
        low, high = self.range
        return (x >= low) & (x <= high)

    def clipped(self, x: Tensor) -> Tensor:
        """Which elements saturate: beyond the greatest values that their scale allows; NaN does not."""
        low, high = self.range
        return (x < low) | (x > high)

    def to_config(self) -> dict[str, Any]:
        """What `from_config` reads back as this format: its name and what differs from the defaults."""
        name, fixed = preset_of(self, self.names[0])
        config: dict[str, Any] = {"name": name}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in fixed and value != field.default:
                config[field.name] = list(value) if isinstance(value, tuple) else value
        return config

    @classmethod
    def from_config(cls, params: Mapping[str, Any], *, where: str = "", name: str | None = None) -> Self:
        """The format with these parameters; "NA" means not given. Raises UserError that names key and range.

        `name` is what the config calls the format: it may be a preset, which fixes some of the parameters.
        """
        name = name or cls.names[0]
        fixed = cls.presets.get(name, {})
        given = cls._known(params, name, where)
        for key, value in fixed.items():
            if given.setdefault(key, value) != value:
                found = f"{name} has {key} = {value!r}, not {given[key]!r}"
                raise UserError(found, where=where, key=key, advice=f"leave {key} out")
        missing = [
            f.name
            for f in dataclasses.fields(cls)
            if f.default is dataclasses.MISSING and f.name not in given
        ]
        if missing:
            raise UserError(f"{name} needs {', '.join(missing)}", where=where, key=missing[0])
        try:
            return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in given.items()})
        except UserError as error:
            raise error.at(where) from None

    @classmethod
    def _known(cls, params: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
        """What the config gives, by field; raises UserError for an unknown key and for one given twice."""
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        given: dict[str, Any] = {}
        for key, value in params.items():
            field = cls.aliases.get(key, key)
            if field not in fields:
                found, allowed = f"{name} has no parameter {key}", sorted(fields) or ("none",)
                raise UserError(found, where=where, near=nearest(key, fields), allowed=allowed)
            if _is_unset(value):
                continue
            if field in given:
                found = f"{name} is given {field} twice, once as {key}"
                raise UserError(found, where=where, advice="leave one out")
            # the lab's system writes flags as 0 and 1 where all values of a table must be numbers
            given[field] = bool(value) if fields[field] == "bool" and value in (0, 1) else value
        return given


class Observer(Protocol):
    """Sees the values of a tensor block by block, samples first; the blocks may differ in their samples."""

    def see(self, x: Tensor) -> None:
        """Takes in the values of one block."""
        ...

    def settled(self) -> Format | Observer:
        """The format, fixed by all that was seen; or what has to see it all once more."""
        ...


def parameter(meaning: str, default: Any = dataclasses.MISSING, *, kw_only: bool = False) -> Any:
    """A dataclass field that carries what it means, for listings."""
    return dataclasses.field(default=default, kw_only=kw_only, metadata={"meaning": meaning})


def wrong(
    format_name: str,
    key: str,
    value: object,
    why: str = "",
    *,
    near: str | None = None,
    allowed: Iterable[object] = (),
    advice: str = "",
) -> UserError:
    """The error about one parameter of a format: what it is, what is wrong with that, what is allowed."""
    found = f"{key} = {value!r}{why and ' '}{why}"
    return UserError(found, where=format_name, key=key, near=near, allowed=allowed, advice=advice)


def check_integer(format_name: str, key: str, value: object, low: int, high: int) -> None:
    """Raises UserError unless value is a whole number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise wrong(format_name, key, value, f"is no whole number from {low} to {high}")


def check_flag(format_name: str, key: str, value: object) -> None:
    """Raises UserError unless value is true or false."""
    if not isinstance(value, bool):
        raise wrong(format_name, key, value, "is neither true nor false")


def check_choice(format_name: str, key: str, value: object, allowed: Sequence[object]) -> None:
    """Raises UserError unless value is one of those allowed."""
    if value not in allowed:
        close = nearest(str(value), [str(choice) for choice in allowed])
        raise wrong(format_name, key, value, near=close, allowed=allowed)


def check_number(format_name: str, key: str, value: object, allowed: Sign) -> None:
    """Raises UserError unless value is a finite number of that sign."""
    least = {"any": -math.inf, "from 0": 0.0, "above 0": math.ulp(0.0)}[allowed]
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not math.isfinite(value) or value < least:  # type: ignore[arg-type, operator]
        signs = "" if allowed == "any" else f" {allowed}"
        raise wrong(format_name, key, value, f"is no finite number{signs}")


def _is_unset(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in UNSET)

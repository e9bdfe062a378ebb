"""Steps on integers: what a network in fixed point computes, with the range of every value."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from widthwise.formats.integer import Integer
from widthwise.formats.integer_each import IntegerEach
from widthwise.network.exactness import signed_bits

Codes = NDArray[np.int64]
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of codes, each from low to high; it stands for code * 2^-fraction.

    node: that of the network which has its shape. Each value is another, even where all fields are equal.
    """

    node: str
    fraction: int
    low: int
    high: int

    @property
    def bits(self) -> int:
        """Of a two's complement number that holds every code."""
        return signed_bits(self.low, self.high)


@dataclass(frozen=True, eq=False)
class Requantise:
    """x in a format: its codes rounded, halves to even, and saturated."""

    out: Value
    x: Value
    fmt: Integer

    @property
    def shift(self) -> int:
        """Bits behind the point that go; below 0 some are added."""
        return self.x.fraction - self.out.fraction


@dataclass(frozen=True, eq=False)
class RequantiseEach:
    """As Requantise, where the numbers of a sample have widths of their own; `out` is on the finest grid."""

    out: Value
    x: Value
    fmt: IntegerEach

    def parts(self) -> Parts:
        """What becomes of a code, by part of the format."""
        widths, fractions = (table.reshape(-1) for table in self.fmt.table)
        low, high = (ends.reshape(-1) for ends in self.fmt.code_ends)
        live = widths > 0
        shift = np.where(live, self.x.fraction - fractions, 0)
        live &= shift < self.x.bits  # else all are at most half
        up = np.where(live, self.out.fraction - fractions, 0)
        more = np.maximum(-shift, 0)
        return Parts(
            down=np.where(live, np.maximum(shift, 0), 0),
            least=np.where(live, -(-low >> more), 0),
            most=np.where(live, high >> more, 0),
            low=np.where(live, low << up, 0),
            high=np.where(live, high << up, 0),
            up=np.where(live, more + up, 0),
        )


@dataclass(frozen=True, eq=False)
class Parts:
    """Of each part [parts]: a code is rounded by `down` bits, is `low` if it is then below `least`, `high` if
    above `most`, and else is moved up by `up` bits."""

    down: Codes
    least: Codes
    most: Codes
    low: Codes
    high: Codes
    up: Codes

    def spread(self, shape: tuple[int, ...], sample: tuple[int, ...]) -> Parts:
        """The same for each number of a sample; shape: of the parts."""
        return Parts(
            *(np.broadcast_to(getattr(self, each.name).reshape(shape), sample) for each in fields(self))
        )


@dataclass(frozen=True, eq=False)
class Linear:
    """out = (sum of weight [outputs, inputs] * x [..., inputs]) * 2^shift + bias [outputs]."""

    out: Value
    x: Value
    weight: Codes
    bias: Codes
    shift: int


@dataclass(frozen=True)
class Window:
    """Where a convolution or a pooling looks: (vertical, horizontal) each; before: zeros above and left."""

    size: Pair
    stride: Pair
    before: Pair
    dilation: Pair


@dataclass(frozen=True, eq=False)
class Convolution:
    """As Linear, at each place of images [channels, height, width]; weight [outputs, inputs / groups, h, w].

    Signals [channels, width] are images of height 1. What lies outside is 0.
    """

    out: Value
    x: Value
    weight: Codes
    bias: Codes
    shift: int
    window: Window
    groups: int


@dataclass(frozen=True, eq=False)
class Scale:
    """out = weight [channels] * x [channels, ...] * 2^shift + bias [channels]."""

    out: Value
    x: Value
    weight: Codes
    bias: Codes
    shift: int


@dataclass(frozen=True, eq=False)
class Relu:
    """The greater of x and 0."""

    out: Value
    x: Value


@dataclass(frozen=True, eq=False)
class MaxPool:
    """The greatest x of a window; what lies outside does not count."""

    out: Value
    x: Value
    window: Window


@dataclass(frozen=True, eq=False)
class Add:
    """out = x * 2^shifts[0] + sign * y * 2^shifts[1], of equal shapes."""

    out: Value
    x: Value
    y: Value
    shifts: Pair
    sign: int


@dataclass(frozen=True, eq=False)
class Move:
    """The same codes in the same order, in another shape."""

    out: Value
    x: Value


Step = Requantise | RequantiseEach | Linear | Convolution | Scale | Relu | MaxPool | Add | Move


@dataclass(frozen=True, eq=False)
class Program:
    """A network that takes one tensor and gives one, as steps in their order.

    fmt: what the input is read in; its codes are what the network starts from, on the finest grid where parts
    of it have grids of their own. shapes: of a sample, by node; empty until an example is known.
    """

    input: Value
    fmt: Integer | IntegerEach
    steps: tuple[Step, ...]
    output: Value
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def shape(self, value: Value) -> tuple[int, ...]:
        """Of a sample of the value."""
        return self.shapes[value.node]

    def size(self, value: Value) -> int:
        """Numbers in a sample of the value."""
        return int(np.prod(self.shape(value), dtype=np.int64))

    def readers(self, value: Value) -> list[Step]:
        """The steps that read a value."""
        return [step for step in self.steps if value in reads(step)]


def reads(step: Step) -> tuple[Value, ...]:
    """The values that a step reads."""
    return (step.x, step.y) if isinstance(step, Add) else (step.x,)


def unsaturated(step: Requantise) -> Pair:
    """The least and the greatest code of x that does not saturate where no bits behind the point go."""
    low, high = step.fmt.codes
    return -(-low >> -step.shift), high >> -step.shift


def as_image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """[channels, height, width] of a sample that a window looks at."""
    if len(shape) == 2:
        return shape[0], 1, shape[1]
    channels, height, width = shape
    return channels, height, width

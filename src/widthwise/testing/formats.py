"""What holds for every number format."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.formats import Format, from_config, parse
from widthwise.formats.base import Observer
from widthwise.testing.holds import holds

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SHAPES = ((7,), (1,), (4, 6), (2, 3, 4))
EMPTY = ((0,), (0, 3), (3, 0), (2, 0, 4))
TOP = 60000.0  # every float type reaches so far


def check_format(fmt: Format, tensors: Iterable[Tensor] | None = None, *, seed: int = 0) -> None:
    """A format keeps dtype, shape and input, says the truth of itself, and reads back from what it writes.

    fmt: with its parameters. tensors: finite ones, float32 or float64, that it is tried on in every float
    type; by default normal values in several shapes, zeros and great values. Beside them it is tried on empty
    tensors, on the ends of each float type, and on NaN and infinities where it rounds each element by itself.
    """
    tried = [x for x in (_drawn(seed) if tensors is None else tensors) if _has_axis(fmt, x.shape)]
    for x in tried:
        _check_values(fmt, x)
        _check_layout(fmt, x)
        _check_alone(fmt, x)
        _check_calibrated(fmt, x)
        _check_observed(fmt, x)
    _check_empty(fmt)
    _check_ends(fmt)
    _check_bits(fmt)
    for written in (fmt, *(fmt.calibrated(x) for x in tried)):
        _check_config(written)
    _check_notation(fmt)


def _drawn(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(shape, generator=generator) for shape in SHAPES for scale in (1.0, 0.0, 1e3)]


def _has_axis(fmt: Format, shape: Sequence[int]) -> bool:
    return len(shape) > 1 or getattr(fmt, "axis", None) not in (1, -2)


def _saturates(fmt: Format) -> bool:
    """Whether what is beyond the range becomes its end: all formats but those with a switch that is off."""
    return bool(getattr(fmt, "saturating", True))


def _same(one: Tensor, other: Tensor) -> bool:
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def _check_values(fmt: Format, x: Tensor) -> None:
    for dtype in DTYPES:
        given = x.clamp(-TOP, TOP).to(dtype)
        before = given.clone()
        found = fmt.quantize(given)
        said = f"{fmt} on {dtype} {list(x.shape)}"
        holds(torch.equal(given, before), f"{said}: leaves its input as it is")
        holds((found.dtype, found.shape) == (given.dtype, given.shape), f"{said}: keeps dtype and shape")
        holds(found.device == given.device, f"{said}: keeps the device")
        holds(not _saturates(fmt) or found.isfinite().all(), f"{said}: gives finite values for finite ones")
        apart = found.untyped_storage().data_ptr() != given.untyped_storage().data_ptr()
        holds(apart, f"{said}: gives a tensor of its own, and not its input")
        holds(fmt.clipped(given).shape == given.shape, f"{said}: clipped() says it of each element")
        holds(fmt.inside(given).shape == given.shape, f"{said}: inside() says it of each element")


def _check_layout(fmt: Format, x: Tensor) -> None:
    fixed = fmt.calibrated(x)  # a mean may differ in its last bit with the order in which it is summed
    found = fixed.quantize(x)
    spread = torch.stack([x, x * 3], -1)[..., 0]
    turned = x.transpose(0, -1).contiguous().transpose(0, -1)
    for laid in (spread, turned):
        holds(_same(fixed.quantize(laid), found), f"{fmt}: doesn't look at the layout in memory")


def _check_alone(fmt: Format, x: Tensor) -> None:
    if not fmt.elementwise:
        return
    values = x.flatten()
    alone = torch.stack([fmt.quantize(value) for value in values])
    same = _same(alone, fmt.quantize(x).flatten())
    holds(same, f"{fmt}: is elementwise, so each element is rounded by itself")
    holds(fmt.calibrated(x) == fmt, f"{fmt}: is elementwise, so there is nothing to calibrate")
    enough = fmt.storage_bits(x.shape) >= math.ceil(x.numel() * fmt.bits)
    holds(enough, f"{fmt}: is elementwise, so it stores its bits for each")


def _check_calibrated(fmt: Format, x: Tensor) -> None:
    fixed = fmt.calibrated(x)
    holds(_same(fixed.quantize(x), fmt.quantize(x)), f"{fmt}: calibrated(x) does to x what it did before")
    clipped = torch.equal(fixed.clipped(x), fmt.clipped(x))
    holds(clipped, f"{fmt}: calibrated(x) clips of x what it clipped before")
    holds(fixed.calibrated(7 * x) == fixed, f"{fmt}: once calibrated, it doesn't follow other data")
    holds(all(map(math.isfinite, fixed.range)), f"{fmt}: once calibrated, its range is finite")
    stored = fixed.storage_bits(x.shape) == fmt.storage_bits(x.shape)
    holds(stored, f"{fmt}: calibrated, it takes as many bits to store")


def _check_observed(fmt: Format, x: Tensor) -> None:
    """Seen in two blocks it is fixed as from all at once, where its parts are those of each block."""
    fixed, observing = fmt.calibrated(x), fmt.observer()
    if observing is None or fixed == fmt or len(x) < 2:
        return
    try:
        fixed.quantize(x[:1])
    except UserError:
        return
    found: Format | Observer = observing
    while not isinstance(found, Format):
        for block in (x[:1], x[1:]):
            found.see(block)
        found = found.settled()
    same = all(map(partial(math.isclose, rel_tol=1e-4), found.range, fixed.range))
    holds(same, f"{fmt}: its observer fixes it as calibrated() does: {found} in place of {fixed}")


def _check_empty(fmt: Format) -> None:
    for shape in EMPTY:
        if not _has_axis(fmt, shape):
            continue
        x = torch.empty(shape, dtype=torch.float16)
        for found in (fmt.quantize(x), fmt.calibrated(x).quantize(x)):
            kept = (found.shape, found.dtype) == (x.shape, x.dtype)
            holds(kept, f"{fmt}: keeps the empty tensor {list(shape)}")
        said = fmt.clipped(x).shape == fmt.inside(x).shape == x.shape
        holds(said, f"{fmt}: has nothing to say of the elements of {list(shape)}")


def _check_ends(fmt: Format) -> None:
    """The ends of each float type; NaN and infinities where they can spoil nothing beside them."""
    saturates = _saturates(fmt)
    for dtype in DTYPES:
        info = torch.finfo(dtype)
        ends = [[info.max, -info.max, info.tiny], [info.max * 0.51, info.tiny * info.eps, -0.0]]
        found = fmt.quantize(torch.tensor(ends, dtype=torch.float64).to(dtype))
        holds(not saturates or found.isfinite().all(), f"{fmt}: saturates at the ends of {dtype}")
    if not fmt.elementwise:
        return
    x = torch.tensor([math.nan, math.inf, -math.inf, 1.0, -1.0], dtype=torch.float64)
    found = fmt.quantize(x)
    holds(bool(found[0].isnan()), f"{fmt}: NaN stays NaN")
    holds(torch.equal(found[3:], fmt.quantize(x[3:])), f"{fmt}: NaN and infinities spoil nothing beside them")
    low, high = fmt.range
    ended = found[1:3].tolist() == [high, low]
    holds(not saturates or ended, f"{fmt}: infinities become the ends of its range, {low:g} and {high:g}")


def _check_bits(fmt: Format) -> None:
    holds(fmt.bits > 0, f"{fmt}: has bits above 0")
    low, high = fmt.range
    holds(low <= high, f"{fmt}: has a range from low to high")
    for shape in (shape for shape in (*SHAPES, *EMPTY) if _has_axis(fmt, shape)):
        holds(fmt.storage_bits(shape) >= 0, f"{fmt}: storage_bits is at least 0 for {list(shape)}")


def _check_config(fmt: Format) -> None:
    config = fmt.to_config()
    holds(config.get("name") in (*fmt.names, *fmt.presets), f"{fmt}: its config names it")
    holds(set(config) - {"name"} <= set(vars(fmt)), f"{fmt}: the keys of its config are its fields")
    try:
        read = from_config(json.loads(json.dumps(config)))
    except (UserError, TypeError, ValueError) as error:
        raise AssertionError(f"{fmt}: its config reads back, through JSON too; {error}") from error
    holds(read == fmt, f"{fmt}: its config reads back as the same, through JSON too; found {read}")
    holds(hash(read) == hash(fmt), f"{fmt}: equal formats have one hash")


def _check_notation(fmt: Format) -> None:
    text = repr(fmt)
    try:
        read = parse(text)
    except UserError as error:
        raise AssertionError(f"{text}: what is written is read back; {error}") from error
    holds(read == fmt, f"{text}: what is written is read back as the same; found {read.to_config()}")
    holds(repr(read) == text, f"{text}: what is read back is written alike; found {read}")

"""What holds for every number format."""

from __future__ import annotations

import json

import torch
from torch import Tensor

from widthwise.formats import Format, from_config, parse
from widthwise.testing.holds import holds

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SHAPES = ((7,), (1,), (0,), (4, 6), (3, 0), (2, 3, 4))


def check_format(fmt: Format, *, seed: int = 0) -> None:
    """A format keeps dtype, shape and input, and reads back from its config and its notation.

    fmt: with its parameters. It is tried on normal values of every float type and of several shapes, on zeros
    and on great values.
    """
    generator = torch.Generator().manual_seed(seed)
    for shape in SHAPES:
        if getattr(fmt, "axis", None) in (1, -2) and len(shape) == 1:
            continue  # there is no such axis
        for scale in (1.0, 0.0, 1e3):
            _check_values(fmt, scale * torch.randn(shape, generator=generator))
    _check_bits(fmt)
    _check_written(fmt)
    _check_written(fmt.calibrated(torch.randn((4, 6), generator=generator)))


def _check_values(fmt: Format, x: Tensor) -> None:
    for dtype in DTYPES:
        given = x.to(dtype)
        before = given.clone()
        found = fmt.quantize(given)
        said = f"{fmt} on {dtype} {list(x.shape)}"
        holds(torch.equal(given, before), f"{said}: leaves its input as it is")
        holds((found.dtype, found.shape) == (given.dtype, given.shape), f"{said}: keeps dtype and shape")
        holds(found.isfinite().all(), f"{said}: gives finite values for finite ones")
        holds(fmt.clipped(given).shape == given.shape, f"{said}: clipped() says it of each element")
        holds(fmt.inside(given).shape == given.shape, f"{said}: inside() says it of each element")
    spread = torch.stack([x, 3 * x], -1)[..., 0]
    holds(_same(fmt.quantize(spread), fmt.quantize(x)), f"{fmt}: doesn't look at the layout in memory")
    fixed = fmt.calibrated(x)
    holds(_same(fixed.quantize(x), fmt.quantize(x)), f"{fmt}: calibrated(x) does to x what it did before")
    holds(fixed.calibrated(7 * x) == fixed, f"{fmt}: once calibrated, it doesn't follow other data")
    if fmt.elementwise and x.ndim == 1 and len(x):
        alone = torch.stack([fmt.quantize(value) for value in x])
        holds(_same(alone, fmt.quantize(x)), f"{fmt}: is elementwise, so each element is rounded by itself")
        beside = fmt.quantize(torch.cat([x, x.new_tensor([torch.nan])]))
        holds(beside[-1].isnan(), f"{fmt}: NaN stays NaN")
        holds(_same(beside[:-1], alone), f"{fmt}: NaN changes nothing beside it")


def _same(one: Tensor, other: Tensor) -> bool:
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def _check_bits(fmt: Format) -> None:
    holds(fmt.bits > 0, f"{fmt}: has bits above 0")
    low, high = fmt.range
    holds(low <= high, f"{fmt}: has a range from low to high")
    for shape in SHAPES:
        holds(fmt.storage_bits(shape) >= 0, f"{fmt}: storage_bits is at least 0 for {list(shape)}")


def _check_written(fmt: Format) -> None:
    config = fmt.to_config()
    holds(config.get("name") in (*fmt.names, *fmt.presets), f"{fmt}: its config names it")
    read = from_config(json.loads(json.dumps(config)))
    holds(read == fmt, f"{fmt}: its config reads back as the same, through JSON too; found {read}")
    holds(hash(read) == hash(fmt), f"{fmt}: equal formats have one hash")
    if fmt.calibrated(torch.ones(2)) == fmt and len(repr(fmt)) < 200 and "[" not in repr(fmt):
        holds(parse(repr(fmt)) == fmt, f"{fmt}: what is written is read back as the same")

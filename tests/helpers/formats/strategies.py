"""hypothesis: any format of any family, tensors of any floats."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from widthwise import formats
from widthwise.formats import Format
from widthwise.formats.named import KINDS

FLAGS = st.booleans()
BIASES = st.one_of(st.none(), st.integers(0, 30))
SCALES = st.floats(1e-4, 1e4).map(lambda scale: float(torch.tensor(scale)))  # numbers that float32 has

integers = st.builds(formats.Integer, st.integers(1, 32), st.one_of(st.none(), st.integers(-10, 40)), FLAGS)
auto_integers = st.builds(formats.Integer, st.integers(1, 32), st.sampled_from(["auto", "auto-mse"]), FLAGS)
logs = st.builds(formats.Log, st.integers(2, 8), exponent_bias=BIASES, zero=FLAGS)
named = st.one_of(
    st.builds(formats.NamedFloat, st.sampled_from(sorted(KINDS))),
    st.builds(
        formats.NamedFloat,
        st.sampled_from(["bf16", "fp16", "tf32", "e4m3", "e5m2"]),
        saturating=st.just(False),
    ),
)


@st.composite
def ieee_minifloats(draw: st.DrawFn) -> Format:
    exponent_width = draw(st.integers(1, 8))
    width = draw(st.integers(exponent_width + 1, min(32, exponent_width + 24)))
    infinities = width - exponent_width > 1 and draw(FLAGS)
    saturating = not (infinities and draw(FLAGS))
    return formats.MinifloatIEEE(
        width, exponent_width, exponent_bias=draw(BIASES), saturating=saturating, infinities=infinities
    )


@st.composite
def denormal_minifloats(draw: st.DrawFn) -> Format:
    exponent_width = draw(st.integers(1, 8))
    width = draw(st.integers(exponent_width + 2, min(32, exponent_width + 24)))
    return formats.MinifloatDenorm(width, exponent_width, exponent_bias=draw(BIASES))


@st.composite
def fixed_scales(draw: st.DrawFn) -> Format:
    """Scaled integers with one fixed scale."""
    width, symmetric, signed = draw(st.integers(2, 16)), draw(FLAGS), draw(FLAGS)
    codes = formats.ScaledInteger(width, symmetric=symmetric, signed=signed).codes
    zero = None if symmetric else draw(st.one_of(st.none(), st.integers(*codes)))
    return formats.ScaledInteger(
        width, symmetric=symmetric, signed=signed, scale=draw(SCALES), zero_point=zero
    )


@st.composite
def block_formats(draw: st.DrawFn, *, whole: bool = False) -> Format:
    """Block formats; `whole`: one block along the last axis."""
    sizes = st.one_of(st.integers(1, 9), st.just(-1))
    blocks = {"block_size": -1}
    if not whole:
        blocks = draw(
            st.one_of(
                st.fixed_dictionaries(
                    {"block_size": sizes, "axis": st.integers(-2, 1), "skip_first_dim": FLAGS}
                ),
                st.fixed_dictionaries({"block_size": st.tuples(sizes, sizes), "skip_first_dim": FLAGS}),
            )
        )
    kind = draw(st.sampled_from(["fp", "minifloat", "log", "mxint", "mxfp"]))
    if kind == "fp":
        return formats.BlockFP(draw(st.integers(2, 24)), draw(st.integers(1, 8)), draw(BIASES), **blocks)
    if kind == "minifloat":
        exponent_width = draw(st.integers(1, 8))
        width = draw(st.integers(exponent_width + 1, min(32, exponent_width + 24)))
        return formats.BlockMinifloat(width, exponent_width, draw(st.integers(1, 8)), **blocks)
    if kind == "log":
        return formats.BlockLog(draw(st.integers(2, 8)), draw(st.integers(1, 8)), draw(FLAGS), **blocks)
    if kind == "mxint":
        return formats.MXInt(width=draw(st.integers(2, 16)), exponent_width=draw(st.integers(2, 8)), **blocks)
    width, exponent_width = draw(st.sampled_from([(8, 4), (8, 5), (6, 2), (6, 3), (4, 2)]))
    return formats.MXFloat(width=width, exponent_width=exponent_width, **blocks)


following = st.one_of(  # scales and thresholds that follow the data
    auto_integers,
    st.builds(formats.ScaledInteger, st.integers(2, 16), symmetric=FLAGS, signed=FLAGS),
    st.builds(
        formats.ScaledInteger,
        st.integers(2, 16),
        symmetric=FLAGS,
        per=st.just("channel"),
        axis=st.integers(-2, 1),
    ),
    st.builds(
        formats.ScaledInteger,
        st.integers(2, 16),
        symmetric=FLAGS,
        per=st.just("group"),
        group_size=st.sampled_from([-1, 3, 32]),
    ),
    st.builds(
        formats.Binary,
        bipolar=FLAGS,
        scaling_factor=st.just(True),
        axis=st.one_of(st.none(), st.integers(-2, 1)),
    ),
    st.builds(formats.Ternary, scaling_factor=FLAGS, axis=st.one_of(st.none(), st.integers(-2, 1))),
    st.builds(formats.Ternary, scaling_factor=st.just(True), threshold=SCALES),
)
thresholds = st.one_of(
    st.builds(formats.Binary, bipolar=FLAGS, scale=st.one_of(st.none(), SCALES)),
    st.builds(formats.Ternary, threshold=SCALES, scale=st.one_of(st.none(), SCALES)),
)
nearest = st.one_of(
    integers, ieee_minifloats(), denormal_minifloats(), named, fixed_scales()
)  # round to nearest
elementwise = st.one_of(nearest, logs, thresholds)
any_format = st.one_of(elementwise, following, block_formats())

HEIGHTS = st.integers(-40, 40).map(lambda height: 2.0**height)
UNITS = st.floats(-4, 4, width=32)
WHOLE = st.integers(-600, 600).map(lambda n: n / 2)  # ties


def _tensor(numbers: list[float], height: float) -> Tensor:
    return (torch.tensor(numbers, dtype=torch.float64) * height).float()


finite = st.builds(_tensor, st.lists(st.one_of(UNITS, WHOLE), min_size=1, max_size=40), HEIGHTS)
tables = st.builds(
    lambda x, rows: (
        x[: x.numel() // rows * rows].reshape(rows, -1) if x.numel() >= rows else x.reshape(1, -1)
    ),
    finite,
    st.integers(1, 5),
)

"""Formats as people write them."""

from __future__ import annotations

import pytest

from widthwise import formats
from widthwise.core.errors import UserError
from widthwise.formats import BY_NAME, Format, catalogue, parse

WRITTEN: list[tuple[str, Format]] = [
    ("fixed<8,4>", formats.Integer(8, 4)),
    ("ufixed<6,-2>", formats.Integer(6, -2, signed=False)),
    ("fixed<8,auto>", formats.Integer(8, "auto")),
    ("int<8>", formats.ScaledInteger(8)),
    ("uint<8>/channel", formats.ScaledInteger(8, signed=False, per="channel")),
    ("affine<4>/group64@0", formats.ScaledInteger(4, symmetric=False, per="group", group_size=64, axis=0)),
    ("affine<8,scale=0.1,zero=-3>", formats.ScaledInteger(8, symmetric=False, scale=0.1, zero_point=-3)),
    ("binary", formats.Binary()),
    ("binary<01,scaled>@0", formats.Binary(bipolar=False, scaling_factor=True, axis=0)),
    ("ternary<t=0.5,a=2>", formats.Ternary(threshold=0.5, scale=2)),
    ("log<8,zero,bias=3>", formats.Log(8, exponent_bias=3, zero=True)),
    ("minifloat<8,4>", formats.MinifloatIEEE(8, 4)),
    ("minifloat<8,4,inf,overflowing>", formats.MinifloatIEEE(8, 4, infinities=True, saturating=False)),
    ("minifloat_denorm<8,4,bias=9>", formats.MinifloatDenorm(8, 4, exponent_bias=9)),
    ("e4m3", formats.NamedFloat("e4m3")),
    ("e5m2<overflowing>", formats.NamedFloat("e5m2", saturating=False)),
    ("block_fp<12,8>/16", formats.BlockFP()),
    ("block_log<4,8>/allx4-first", formats.BlockLog(block_size=(-1, 4), skip_first_dim=True)),
    ("mxint8/32", formats.MXInt()),
    ("mxint<5,exponent=4>/16@0", formats.MXInt(width=5, exponent_width=4, block_size=16, axis=0)),
    ("mxfp6_e3m2/32", formats.MXFloat(width=6, exponent_width=3)),
]
ALSO_READ: list[tuple[str, Format]] = [
    (" integer<8, 4> ", formats.Integer(8, 4)),
    ("integer<8>", formats.Integer(8, 4)),
    ("minifloat_ieee<8,4>", formats.MinifloatIEEE(8, 4)),
    ("fp8_e4m3", formats.NamedFloat("e4m3")),
    ("named_float<e4m3>", formats.NamedFloat("e4m3")),
    ("block_fp", formats.BlockFP()),
    ("mxint8", formats.MXInt()),
    ("mxfp4/16", formats.MXFloat(width=4, block_size=16)),
    ("fixed<frac_width=3,width=8>", formats.Integer(8, 3)),
    ("int<8>/group", formats.ScaledInteger(8, per="group")),
]


@pytest.mark.parametrize(("text", "fmt"), WRITTEN, ids=str)
def test_formats_are_written_as_the_field_writes_them(text: str, fmt: Format) -> None:
    assert repr(fmt) == text
    assert parse(text) == fmt


@pytest.mark.parametrize(("text", "fmt"), ALSO_READ, ids=str)
def test_names_of_configs_and_defaults_are_read_too(text: str, fmt: Format) -> None:
    assert parse(text) == fmt


def test_every_format_of_the_catalogue_reads_back() -> None:
    for row in catalogue():
        assert parse(repr(row.example)) == row.example


def test_names_that_need_nothing_are_formats_by_themselves() -> None:
    for name, fmt in BY_NAME.items():
        if not any(
            parameter.required
            for row in catalogue()
            if row.name == fmt.names[0]
            for parameter in row.parameters
        ):
            assert isinstance(parse(name), fmt)


BAD = {
    "e4m4": "no format named e4m4; did you mean e4m3?",
    "fixd<8,4>": "did you mean fixed?",
    "fixed<8,4": "written like fixed<8,4>, e4m3, mxint8/32",
    "": "written like fixed<8,4>",
    "fixed<8,4,2>": "'2' has no meaning in fixed<…>; allowed: width, frac_width",
    "e4m3<8>": "'8' has no meaning in e4m3<…>; allowed: overflowing",
    "fixed<40,4>": "width = 40 is no whole number from 1 to 32",
    "fixed<4,4,width=3>": "width is given twice",
    "fixed<x>": "width = 'x'",
    "log<8,zeros>": "'zeros' has no meaning",
    "log<8,base=2>": "no parameter base",
    "fixed<8>/4": "/4 has no meaning here",
    "int<8>/column": "per = 'column'; allowed: tensor, channel, group",
    "mxint8/0": "block_size = 0",
    "mxint8/4x": "block_size",
    "fixed<8,4>@1": "no parameter axis",
    "none": "no format named none",
    "<script>": "written like",
}


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_read_is_named_in_one_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert BAD[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_scales_are_only_counted() -> None:
    fmt = formats.ScaledInteger(8, per="channel", scale=(0.5, 0.25, 1.0))
    assert repr(fmt) == "int<8,scale=[3]>/channel"
    with pytest.raises(UserError, match="scale"):
        parse(repr(fmt))

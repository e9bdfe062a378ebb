"""Configs of formats: the lab's names and keys, and one-line errors that name what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from widthwise import formats
from widthwise.core.errors import UserError
from widthwise.formats import BY_NAME, FORMATS, Format, catalogue, from_config

# name and keys, without data_in_, weight_ and bias_, of the lab's system's quant_parsers and test configs
LAB = [
    ({"name": "integer", "width": 8, "frac_width": 4}, formats.Integer(8, 4)),
    ({"name": "integer", "width": 8, "frac_width": "NA"}, formats.Integer(8, 4)),
    ({"name": "integer", "width": 4, "frac_width": 7}, formats.Integer(4, 7)),
    ({"name": "fixed", "width": 8, "frac_width": 3, "is_signed": False}, formats.Integer(8, 3, signed=False)),
    ({"name": "scale_integer", "width": 8, "is_signed": True}, formats.ScaledInteger(8)),
    ({"name": "binary", "width": 1, "stochastic": 0, "bipolar": 1}, formats.Binary()),
    ({"name": "binary", "width": 1, "stochastic": False, "bipolar": False}, formats.Binary(bipolar=False)),
    (
        {"name": "ternary", "width": 2, "scaling_factor": True, "mean": "NA", "median": "NA", "max": "NA"},
        formats.Ternary(scaling_factor=True),
    ),
    (
        {"name": "ternary", "width": 2, "scaling_factor": 0, "mean": "NA", "median": -0.0097, "max": 6.0},
        formats.Ternary(threshold=0.05 * 6.0),
    ),
    ({"name": "ternary", "mean": 2.0, "max": 6.0}, formats.Ternary(threshold=1.5)),
    ({"name": "ternary", "median": 2.0}, formats.Ternary(threshold=1.5)),
    (
        {"name": "minifloat_ieee", "width": 8, "exponent_width": 4, "exponent_bias": 7},
        formats.MinifloatIEEE(8, 4),
    ),
    (
        {"name": "minifloat_ieee", "width": 8, "exponent_width": 4, "exponent_bias": "None"},
        formats.MinifloatIEEE(8, 4),
    ),
    (
        {"name": "minifloat_denorm", "width": 8, "exponent_width": 4, "exponent_bias": 15},
        formats.MinifloatDenorm(8, 4, exponent_bias=15),
    ),
    ({"name": "log", "width": 8, "exponent_bias": "none"}, formats.Log(8)),
    (
        {"name": "block_fp", "width": 8, "exponent_width": 8, "exponent_bias": 127, "block_size": [1, 16]},
        formats.BlockFP(8, 8, block_size=(1, 16)),
    ),
    ({"name": "block_fp", "block_size": [16]}, formats.BlockFP(12, 8, block_size=16)),
    (
        {
            "name": "block_minifloat",
            "width": 8,
            "exponent_width": 4,
            "exponent_bias_width": 6,
            "block_size": [1, 16],
        },
        formats.BlockMinifloat(8, 4, 6, block_size=(1, 16)),
    ),
    ({"name": "block_log", "width": 8, "exponent_bias_width": 4, "block_size": 16}, formats.BlockLog(8, 4)),
    (
        {"name": "mxint_hardware", "width": 8, "exponent_width": 6, "parallelism": [1, 4]},
        formats.MXInt(width=8, exponent_width=6, block_size=(1, 4)),
    ),
    ({"name": "mxint", "width": 6, "block_size": [1, 32]}, formats.MXInt(width=6, block_size=(1, 32))),
    ({"name": "mxfp", "width": 6, "exponent_width": 3}, formats.MXFloat(width=6, exponent_width=3)),
    ({"name": "fp8_e4m3"}, formats.NamedFloat("e4m3")),
]


@pytest.mark.parametrize(("config", "fmt"), LAB, ids=lambda value: repr(value)[:60])
def test_the_labs_names_and_keys_are_read(config: dict[str, Any], fmt: Format) -> None:
    assert from_config(config) == fmt


@pytest.mark.parametrize("name", [None, "NA", "na", "none", "None"])
def test_no_name_keeps_float(name: str | None) -> None:
    assert from_config({"name": name, "width": 8}) is None
    assert from_config({}) is None


def test_equal_formats_are_equal_however_they_are_given() -> None:
    """Caches hold a tensor once for each format."""
    assert formats.Integer(8) == formats.Integer(8, 4)
    assert formats.MinifloatIEEE(8, 4, exponent_bias=7) == formats.MinifloatIEEE(8, 4)
    assert formats.BlockFP(exponent_bias=127) == formats.BlockFP()
    assert formats.ScaledInteger(8, per="group") == formats.ScaledInteger(
        8, per="group", axis=-1, group_size=32
    )
    assert formats.MXFloat() == formats.MXFloat(width=8, exponent_width=4)
    assert formats.Binary(scaling_factor=True, scale=2) == formats.Binary(scale=(2.0,))
    assert formats.MXInt(block_size=(16,)) == formats.MXInt(block_size=16)
    assert len({formats.Integer(8), formats.Integer(8, 4), formats.Integer(8, 5)}) == 2


# config -> what its error must name: the value found and the range allowed
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "integer"}, "width", "needs"),
    ({"name": "integer", "width": 0}, "width = 0", "1 to 32"),
    ({"name": "integer", "width": 33}, "width = 33", "1 to 32"),
    ({"name": "integer", "width": 8.0}, "width = 8.0", "1 to 32"),
    ({"name": "integer", "width": True}, "width = True", "1 to 32"),
    ({"name": "integer", "width": "8"}, "width = '8'", "1 to 32"),
    ({"name": "integer", "width": 8, "frac_width": 65}, "frac_width = 65", "-64 to 64"),
    ({"name": "integer", "width": 8, "frac_width": "Auto"}, "frac_width = 'Auto'", "auto, auto-mse"),
    ({"name": "integer", "width": 8, "signed": 2}, "signed = 2", "true nor false"),
    ({"name": "integer", "widht": 8}, "widht", "did you mean width?"),
    ({"name": "integer", "width": 8, "is_signed": True, "signed": True}, "signed", "twice"),
    ({"name": "ufixed", "width": 8, "signed": True}, "signed = False", "leave signed out"),
    ({"name": "scaled_integer", "width": 1}, "width = 1", "2 to 32"),
    (
        {"name": "scaled_integer", "width": 8, "per": "chanel"},
        "did you mean channel?",
        "tensor, channel, group",
    ),
    ({"name": "scaled_integer", "width": 8, "axis": 0}, "axis", "leave it out"),
    ({"name": "scaled_integer", "width": 8, "per": "channel", "axis": 8}, "axis = 8", "-8 to 7"),
    ({"name": "scaled_integer", "width": 8, "group_size": 4}, "group_size", "leave it out"),
    ({"name": "scaled_integer", "width": 8, "per": "group", "group_size": 0}, "group_size = 0", "from 1"),
    ({"name": "scaled_integer", "width": 8, "scale": 0}, "scale = 0", "above 0"),
    ({"name": "scaled_integer", "width": 8, "scale": [0.1, -1]}, "scale = -1", "above 0"),
    ({"name": "scaled_integer", "width": 8, "scale": []}, "scale is empty", "a number"),
    ({"name": "scaled_integer", "width": 8, "scale": float("nan")}, "scale = nan", "above 0"),
    ({"name": "scaled_integer", "width": 8, "zero_point": 1}, "zero_point", "leave it out"),
    ({"name": "affine", "width": 4, "scale": 1, "zero_point": 8}, "zero_point = 8", "-8 to 7"),
    ({"name": "affine", "width": 4, "scale": [1, 2], "zero_point": 1}, "1 zero points", "2 scales"),
    ({"name": "binary", "width": 2}, "width = 2", "1 to 1"),
    ({"name": "binary", "stochastic": True}, "stochastic = True", "allowed: False"),
    ({"name": "binary", "scale": "big"}, "scale = 'big'", "above 0"),
    ({"name": "ternary", "width": 3}, "width = 3", "2 to 2"),
    ({"name": "ternary", "threshold": -1}, "threshold = -1", "from 0"),
    ({"name": "ternary", "median": -1}, "median = -1", "from 0"),
    ({"name": "ternary", "mean": 1, "max": "x"}, "max = 'x'", "finite number"),
    ({"name": "log", "width": 9}, "width = 9", "2 to 8"),
    ({"name": "log", "width": 4, "exponent_bias": 256}, "exponent_bias = 256", "0 to 255"),
    ({"name": "minifloat_ieee", "width": 8}, "exponent_width", "needs"),
    ({"name": "minifloat_ieee", "width": 4, "exponent_width": 4}, "exponent_width = 4", "1 to 3"),
    ({"name": "minifloat_ieee", "width": 16, "exponent_width": 9}, "exponent_width = 9", "1 to 8"),
    ({"name": "minifloat_ieee", "width": 8, "exponent_width": 4, "exponent_bias": 384}, "384", "-64 to 383"),
    (
        {"name": "minifloat_ieee", "width": 8, "exponent_width": 4, "saturating": False},
        "saturating",
        "allowed: sat",
    ),
    (
        {"name": "minifloat_ieee", "width": 5, "exponent_width": 4, "infinities": True},
        "infinities",
        "width - 2",
    ),
    ({"name": "minifloat_denorm", "width": 5, "exponent_width": 4}, "exponent_width = 4", "1 to 3"),
    ({"name": "named_float", "kind": "e4m4"}, "kind = 'e4m4'", "did you mean e4m3?"),
    ({"name": "fp4", "saturating": False}, "saturating = False", "allowed: True"),
    ({"name": "block_fp", "width": 25}, "width = 25", "2 to 24"),
    ({"name": "block_fp", "exponent_width": 0}, "exponent_width = 0", "1 to 8"),
    ({"name": "block_fp", "block_size": 0}, "block_size = 0", "from 1"),
    ({"name": "block_fp", "block_size": [16, 0]}, "block_size = (16, 0)", "from 1"),
    ({"name": "block_fp", "block_size": []}, "block_size is empty", "from 1"),
    ({"name": "block_fp", "block_size": 2.5}, "block_size = 2.5", "from 1"),
    ({"name": "block_fp", "axis": 9}, "axis = 9", "-8 to 7"),
    ({"name": "block_fp", "block_size": [2, 2], "axis": 0}, "axis = 0", "single block_size"),
    ({"name": "block_minifloat", "exponent_width": 8}, "exponent_width = 8", "1 to 7"),
    ({"name": "block_minifloat", "exponent_bias_width": 9}, "exponent_bias_width = 9", "1 to 8"),
    ({"name": "block_log", "exponent_bias_width": 0}, "exponent_bias_width = 0", "1 to 8"),
    ({"name": "mxint", "width": 17}, "width = 17", "2 to 16"),
    ({"name": "mxint8", "width": 6}, "width = 8", "leave width out"),
    ({"name": "mxfp", "width": 7}, "width = 7", "8, 6, 4"),
    ({"name": "mxfp6", "exponent_width": 4}, "exponent_width = 4", "2 (e2m3), 3 (e3m2)"),
    ({"name": "minifloat_ieeee"}, "'minifloat_ieeee'", "did you mean minifloat_ieee?"),
    ({"name": 8}, "named 8", "allowed: "),
]


@pytest.mark.parametrize(("config", "found", "allowed"), BAD, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_named_in_one_line(config: dict[str, Any], found: str, allowed: str) -> None:
    with pytest.raises(UserError) as caught:
        from_config(config, where="lab3.toml: weight")
    message = str(caught.value)
    assert message.startswith("lab3.toml: weight: ")
    assert found in message
    assert allowed in message
    assert "\n" not in message


def test_an_axis_that_a_tensor_lacks_is_named_with_its_shape() -> None:
    import torch

    for fmt in (
        formats.MXInt(axis=2),
        formats.ScaledInteger(8, per="channel", axis=2),
        formats.Binary(scaling_factor=True, axis=-3),
    ):
        with pytest.raises(UserError, match=r"axis = -?\d of a tensor with shape \[2, 3\]; allowed: -2 to 1"):
            fmt.quantize(torch.ones(2, 3))
    with pytest.raises(UserError, match=r"fixed for 2 parts, but a tensor of shape \[3, 3\] has 3"):
        formats.ScaledInteger(8, per="channel", scale=(1.0, 2.0)).quantize(torch.ones(3, 3))


def test_the_catalogue_lists_every_format_with_what_it_takes() -> None:
    rows = catalogue()
    assert [row.name for row in rows] == [fmt.names[0] for fmt in FORMATS]
    assert {name for row in rows for name in (row.name, *row.aliases)} == set(BY_NAME)
    for row in rows:
        assert row.bits == row.example.bits
        assert row.summary.endswith(".")
        assert row.parameters
        for parameter in row.parameters:
            assert parameter.meaning
            value = getattr(row.example, parameter.name)
            assert parameter.required or value is None or parameter.default in (None, value)

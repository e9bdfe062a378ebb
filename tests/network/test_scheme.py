"""Schemes: what the lab's keys mean, and that a scheme survives its own config."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.errors import UserError
from widthwise.formats import BlockFP, Integer, MXInt, ScaledInteger, from_config
from widthwise.formats.base import Format
from widthwise.network.scheme import Scheme, tensor_fields, tensor_format

LAB: dict[str, Any] = {
    "name": "integer",
    "data_in_width": 8,
    "data_in_frac_width": 4,
    "weight_width": 6,
    "weight_frac_width": "NA",
    "bias_width": 4,
    "bias_frac_width": 7,
}


def test_the_labs_keys_give_each_tensor_its_format() -> None:
    scheme = Scheme.from_config(LAB)
    assert scheme == Scheme(Integer(8, 4), Integer(6, None), Integer(4, 7))
    assert scheme["weight"] == Integer(6)


@pytest.mark.parametrize("name", [None, "NA", "none"])
def test_no_name_keeps_float_whatever_the_other_keys_say(name: str | None) -> None:
    assert Scheme.from_config(LAB | {"name": name}) == Scheme()
    assert not Scheme.from_config({"name": name})
    assert not Scheme.from_config({})


def test_only_tensors_with_keys_are_quantised() -> None:
    scheme = Scheme.from_config({"name": "integer", "weight_width": 8})
    assert scheme == Scheme(weight=Integer(8))
    assert scheme
    assert str(scheme) == "weight fixed<8,4>"
    assert str(Scheme()) == "float"


def test_a_name_without_any_keys_quantises_all_tensors() -> None:
    fmt = from_config({"name": "bf16"})
    assert Scheme.from_config({"name": "bf16"}) == Scheme(fmt, fmt, fmt)


def test_a_tensor_may_have_a_format_of_its_own() -> None:
    scheme = Scheme.from_config(
        {"name": "integer", "data_in_width": 8, "weight_name": "mxint8", "bias_name": "NA", "bias_width": 3}
    )
    assert scheme.data_in == Integer(8)
    assert isinstance(scheme.weight, MXInt)
    assert scheme.bias is None


def test_the_config_is_left_as_it_is() -> None:
    before = dict(LAB)
    Scheme.from_config(LAB)
    assert before == LAB


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (
            {"name": "integer", "data_in_widht": 8},
            "data_in: integer has no parameter widht; did you mean width",
        ),
        ({"name": "integer", "wieght_width": 8}, "wieght_width: no such key; did you mean weight_width"),
        ({"name": "integr", "weight_width": 8}, "no format named 'integr'; did you mean integer"),
        ({"name": "integer", "weight_width": 0}, "weight: integer: width = 0"),
        ({"name": "integer", "weight_frac_width": 3}, "weight: integer needs width"),
        ({"name": "integer", "weight_width": 8, "weight_frac_width": 1.5}, "frac_width = 1.5"),
    ],
)
def test_a_wrong_key_is_one_line_that_names_it(config: dict[str, Any], found: str) -> None:
    with pytest.raises(UserError) as error:
        Scheme.from_config(config, where="lab3.toml")
    assert str(error.value).startswith("lab3.toml: ")
    assert found in str(error.value)
    assert "\n" not in str(error.value)


FORMATS = st.one_of(
    st.none(),
    st.builds(Integer, st.integers(1, 32), st.one_of(st.none(), st.just("auto"), st.integers(-8, 40))),
    st.builds(ScaledInteger, st.integers(2, 16), per=st.sampled_from(["tensor", "channel"])),
    st.sampled_from([from_config({"name": name}) for name in ("bf16", "fp8_e4m3", "mxfp4", "mxint8")]),
    st.just(BlockFP.from_config({"width": 8, "exponent_width": 8, "block_size": [1, 16]})),
)


@given(FORMATS, FORMATS, FORMATS)
def test_a_scheme_equals_what_is_read_back_from_its_config(
    data_in: Format | None, weight: Format | None, bias: Format | None
) -> None:
    scheme = Scheme(data_in, weight, bias)
    assert Scheme.from_config(scheme.to_config()) == scheme
    assert hash(Scheme.from_config(scheme.to_config())) == hash(scheme)


def test_fields_say_which_keys_decide_a_tensors_format() -> None:
    fields = tensor_fields(LAB)
    assert fields["bias"] == ("name", "bias_width", "bias_frac_width")
    assert tensor_format(LAB, fields["bias"], "bias") == Integer(4, 7)
    # a name that formats nothing here is not among a tensor's keys
    assert tensor_fields({"name": "integer", "weight_width": 4})["bias"] == ()

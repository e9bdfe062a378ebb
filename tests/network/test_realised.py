"""Realised networks: their description survives JSON bit for bit, and gives the same network again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from helpers.formats.strategies import any_format, tables
from helpers.networks import build, inputs, tagged, trained_like
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_weights
from widthwise.formats.base import Format
from widthwise.network.graph import Graph
from widthwise.network.realised import Input, Realised, inputs_of
from widthwise.network.scheme import Scheme
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.resize import resize


def written_and_read(realised: Realised) -> Realised:
    """Through the text of a file."""
    return Realised.from_json(json.loads(json.dumps(realised.as_json())), realised.weights, where="here")


def bits(x: Tensor) -> list[int]:
    """A float32 tensor's bits; those of NaNs are all alike."""
    return torch.where(x.isnan(), torch.nan, x).float().flatten().view(torch.int32).tolist()


def quantised(fmt: Format, x: Tensor) -> list[int] | str:
    """What a format makes of x, or why it can't."""
    try:
        return bits(fmt.quantize(x))
    except UserError as error:
        return str(error)


@given(any_format, any_format, st.none() | any_format, tables)
def test_calibrated_schemes_survive_the_file_bit_for_bit(
    data_in: Format, weight: Format, bias: Format | None, x: Tensor
) -> None:
    scheme = Scheme(data_in, weight, bias)
    for tensor in ("data_in", "weight"):
        try:
            scheme = replace(scheme, **{tensor: scheme[tensor].calibrated(x)})
        except UserError:  # an axis that x has not
            continue
    again = written_and_read(Realised((1, 0), {}, {"layer": scheme})).schemes["layer"]
    assert again == scheme
    assert quantised(again.data_in, x) == quantised(scheme.data_in, x)
    assert quantised(again.weight, x) == quantised(scheme.weight, x)


def test_all_but_the_weights_survives_the_file() -> None:
    realised = Realised(
        (0, 2),
        {"first": 8},
        {},
        {"w": torch.ones(2)},
        3,
        {"weights": "ab"},
        (Input("x", (3, 8), "float32"),),
        "toy",
    )
    again = written_and_read(realised)
    assert again.as_json() == realised.as_json()
    assert again.weights is realised.weights


@pytest.mark.parametrize("name", tagged("groups"))
@pytest.mark.parametrize("factor", [0.5, 2])
def test_a_resized_network_is_made_again_without_data(name: str, factor: float) -> None:
    network, x = trained_like(build(name)), inputs(name)
    groups = find_groups(network, x)
    sizes = {group.name: group.nearest_size(group.size * factor) for group in groups.groups}
    resized = resize(Graph(network), sizes, weights="scratch", groups=groups, example=x, seed=4)
    weights = {key: value.clone() for key, value in resized.model.state_dict().items()}
    marks = {"weights": hash_weights(resized.model)}
    realised = Realised((0,), sizes, {}, weights, marks=marks, inputs=inputs_of(("x",), (x,)))
    before = hash_weights(network)
    again = written_and_read(realised).graph(network).model
    with torch.no_grad():
        assert bits(again(x)) == bits(resized.model.eval()(x))
    assert hash_weights(network) == before


def test_other_weights_than_the_mark_says_are_refused() -> None:
    network = build("three linear")
    realised = Realised((0,), {}, {}, marks={"weights": hash_weights(Graph(network).model)})
    assert realised.graph(network).model(inputs("three linear")).shape == (4, 5)
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1e-6
    with pytest.raises(UserError, match="the weights are not those that were judged"):
        realised.graph(network)
    with pytest.raises(UserError, match="does not fit"):
        replace(realised, weights={"layer.weight": torch.ones(2)}).graph(network)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"candidate": "x"},
        {"sizes": []},
        {"schemes": {"a": 3}},
        {"marks": None},
        {"inputs": [["x", [1]]]},
        {"inputs": [["x", [1], "load"]]},
        {"schemes": {"a": {"name": "integr", "weight_width": 8}}},
    ],
)
def test_a_broken_description_is_one_line(spoilt: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"^here: ") as caught:
        Realised.from_json({**Realised((0,), {}, {}).as_json(), **spoilt}, where="here")
    assert "\n" not in str(caught.value)

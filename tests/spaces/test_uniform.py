"""Uniform schemes: every layer has the same format with the same bits, as far as the space holds it."""

import numpy as np
import pytest

import widthwise as ww
from widthwise.spaces.slots import schemes, slot_choices
from widthwise.spaces.uniform import MOST, as_rows

WIDTHS = {"name": ["integer"], "data_in_width": [4, 8], "weight_width": [2, 4, 8], "bias_width": [2, 4, 8]}


def space_of(
    model: str = "jsc-three-linear", tie: bool = False, **rule: list[object]
) -> ww.QuantisationSpace:
    graph = ww.Graph(ww.load_model(model))
    return ww.QuantisationSpace(graph, by="type", seed={"linear": {"config": {**WIDTHS, **rule}}}, tie=tie)


def test_each_width_of_the_weights_is_one() -> None:
    space = space_of()
    assert [one.bits for one in space.uniform] == [8, 2, 4]  # the ends first, so that few tell most
    for one in space.uniform:
        for name, chosen in space.chosen(one.candidate).items():
            choices = WIDTHS[name.partition("/")[2]]
            assert abs(chosen - one.bits) == min(abs(choice - one.bits) for choice in choices)


@pytest.mark.parametrize(
    "rule",
    [
        {"name": ["integer", "log"]},
        {"weight_frac_width": ["NA", "auto", "auto-mse"]},
        {"weight_frac_width": [*range(1, 8)], "weight_width": [*range(2, 9)]},
        {"weight_name": ["integer", "NA"], "weight_frac_width": ["auto"]},
        {"name": ["block_fp"], "weight_width": [2, 4], "weight_exponent_width": [8]},
    ],
)
@pytest.mark.parametrize("tie", [False, True])
def test_layers_have_the_same_format(rule: dict[str, list[object]], tie: bool) -> None:
    space = space_of(tie=tie, **rule)
    rows = as_rows(space.uniform, len(space.decisions))
    assert 1 < len(rows) == len(np.unique(rows, axis=0)) <= MOST
    assert (rows < space.cardinalities).all()
    for chosen in slot_choices(space.slots, rows):
        layers = {str(scheme) for scheme in schemes(space.slots, chosen).values()}
        assert len(layers) == 1
    found = {(one.family, one.bits) for one in space.uniform}
    weights = [fmt for slot in space.slots if slot.tensor == "weight" for fmt in slot.formats]
    assert found == {("float", 32.0) if f is None else (f.names[0], f.bits) for f in weights}


def test_layers_that_lack_a_width_take_the_nearest() -> None:
    graph = ww.Graph(ww.load_model("jsc-three-linear"))
    first, *others = [layer.name for layer in graph.layers if layer.type == "linear"]
    rules = {name: {"config": {"name": ["integer"], "weight_width": [3, 6]}} for name in others}
    rules[first] = {"config": {"name": ["integer"], "weight_width": [4, 8]}}
    space = ww.QuantisationSpace(graph, by="name", seed=rules)
    chosen = {one.bits: tuple(space.chosen(one.candidate).values()) for one in space.uniform}
    assert chosen == {8: (8, 6, 6), 3: (4, 3, 3)}

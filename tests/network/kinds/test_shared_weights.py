"""A weight that several layers read is stored once: one format, counted once; two where it is untied."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import widthwise as ww
from helpers.emulation import (
    ALL,
    WIDTHS,
    assert_rows_equal,
    config,
    loss_of,
    made_twice,
    rows,
    space_of,
    words,
)
from helpers.networks import shared as networks

LINEAR = {"linear": ("data_in", "weight")}
TIED = LINEAR | {"embedding": ("weight",)}
FEATURES = [
    *(networks.Twice, networks.ThreeTimes, networks.TwoNames, networks.TwoModules, networks.ByFunctionToo),
    *(networks.Transposed, networks.InList),
]
WORDS = {networks.TiedHead: TIED, networks.TiedByFunction: TIED}
STORED = 36, 18  # weights of the networks of features
READERS = {networks.ThreeTimes: 3, networks.InList: 3}


def named(make: type[nn.Module]) -> str:
    return make.__name__


@pytest.mark.parametrize("make", FEATURES, ids=named)
def test_a_search_decides_once_for_a_stored_weight(make):
    assert_rows_equal(make, rows(), LINEAR, weights=2)


@pytest.mark.parametrize("make", WORDS, ids=named)
def test_a_search_decides_once_for_a_tied_embedding(make):
    assert_rows_equal(make, words(), WORDS[make], weights=2)


def test_a_search_decides_once_for_an_embedding_that_a_product_reads():
    assert_rows_equal(networks.TiedByMatmul, words(), TIED | {"matmul": ("data_in", "weight")}, weights=2)


def test_layers_that_share_a_bias_have_weights_of_their_own():
    assert_rows_equal(networks.SharedBias, rows(), {"linear": ALL}, weights=3)


@pytest.mark.parametrize("make", FEATURES, ids=named)
def test_a_stored_weight_is_counted_once(make):
    model, _ = made_twice(make)
    graph = ww.Graph(model)
    space = space_of(graph, {"linear": ("weight",)})
    found = ww.Evaluator(graph, space, rows(), metrics=["model_size", "average_bitwidth"])(space.at(range(4)))
    pairs = [(first, second) for first in WIDTHS for second in WIDTHS]
    bits = [STORED[0] * first + STORED[1] * second for first, second in pairs]
    assert found["model_size"].tolist() == [total / 8 for total in bits]
    assert found["average_bitwidth"].tolist() == pytest.approx([total / sum(STORED) for total in bits])


@pytest.mark.parametrize("make", FEATURES, ids=named)
def test_an_untied_weight_is_stored_for_each_reader(make):
    model, _ = made_twice(make)
    graph, readers = ww.Graph(model), READERS.get(make, 2)
    space = space_of(graph, {"linear": ("weight",)}, untie=True)
    assert len(space.decisions) == readers + 1
    found = ww.Evaluator(graph, space, rows(), metrics=["model_size"])(space.at(range(space.size)))
    expected = []
    for candidate in space.at(range(space.size)):
        widths = [WIDTHS[index] for index in candidate]
        expected.append((STORED[0] * sum(widths[:-1]) + STORED[1] * widths[-1]) / 8)
    assert found["model_size"].tolist() == expected


def test_an_untied_head_has_a_format_of_its_own():
    model, _ = made_twice(networks.TiedHead)
    graph = ww.Graph(model)
    rules = {"embedding": ("weight",), "linear": ("weight",)}
    space = space_of(graph, rules, untie=True)
    assert [decision.name for decision in space.decisions] == [
        f"{n}/weight_width" for n in ("emb", "head", "out")
    ]
    evaluator = ww.Evaluator(graph, space, words(), metrics=["loss", "model_size", "average_bitwidth"])
    found = evaluator(space.at(range(8)))
    assert len(set(found["loss"].tolist())) == 8
    sizes = [60, 60, 30]
    for number, candidate in enumerate(space.at(range(8))):
        bits = sum(size * WIDTHS[index] for size, index in zip(sizes, candidate, strict=True))
        assert found["model_size"][number] == bits / 8
        assert found["average_bitwidth"][number] == pytest.approx(bits / 150)


@pytest.mark.parametrize(("first", "second"), [(2, 8), (8, 2)])
def test_schemes_that_differ_for_one_weight_are_stored_for_each_or_refused(first: int, second: int):
    """36 weights for each of both formats, and 18 float ones; or an error that names a layer."""
    formats = [ww.Scheme(weight=ww.formats.parse(f"fixed<{n},{n // 2}>")) for n in (first, second)]
    model, _ = made_twice(networks.Twice)
    graph = ww.Graph(model)
    readers = [layer.name for layer in graph.layers if layer.type == "linear"][:2]
    try:
        made = graph.quantized(dict(zip(readers, formats, strict=True)))
        size = ww.evaluate(made, rows(), metrics=["model_size"])["model_size"]
    except ww.UserError as error:
        assert readers[0] in str(error)  # noqa: PT017
        return
    assert size == 36 * (2 + 8) / 8 + 18 * 4


def test_a_weight_that_one_reader_needs_in_float_is_counted_in_float_too():
    """The embedding alone has a format: the head reads the 60 numbers as they are."""
    model, _ = made_twice(networks.TiedByFunction)
    graph = ww.Graph(model)
    scheme = ww.Scheme(weight=ww.formats.parse("fixed<2,1>"))
    try:
        found = ww.evaluate(graph.quantized({"emb": scheme}), words(), metrics=["model_size"])
    except ww.UserError as error:
        assert "emb" in str(error)  # noqa: PT017
        return
    assert found["model_size"] >= 60 * 4 + 30 * 4


@pytest.mark.parametrize("make", [networks.Twice, networks.TwoNames, networks.TiedHead], ids=named)
def test_a_rule_for_one_reader_is_a_rule_for_the_weight_or_refused(make):
    """By name, a rule for the first reader alone: no row says fewer bytes than what both readers need."""
    (model, other), data = made_twice(make), words() if make is networks.TiedHead else rows()
    graph = ww.Graph(model)
    name = "emb" if make is networks.TiedHead else "a"
    seed = {name: {"config": config("weight")}}
    try:
        space = ww.QuantisationSpace(graph, by="name", seed=seed)
        evaluator = ww.Evaluator(graph, space, data, metrics=["loss", "model_size"])
        found = evaluator(space.at(range(space.size)))
    except ww.UserError as error:
        assert name in str(error)  # noqa: PT017
        return
    whole = sum(parameter.numel() for parameter in other.parameters())
    shared = 60 if make is networks.TiedHead else STORED[0]
    both = [(shared * width) / 8 + 4 * (whole - shared) for width in WIDTHS]  # every reader in the format
    apart = [size + 4 * shared for size in both]  # the other reader in float
    for size, one, two in zip(found["model_size"], both, apart, strict=True):
        assert size in (one, two)
    for row, loss in zip(space.at(range(space.size)), found["loss"], strict=True):
        assert loss_of(evaluator.network(row).model, data) == pytest.approx(loss, rel=1e-5)


class Mirrored(nn.Module):
    """A decoder that reads the encoder's weight transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 6) * torch.logspace(-2, 1, 8)[:, None])
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        h = nn.functional.linear(x, self.weight).relu()
        return self.out(nn.functional.linear(h, self.weight.t()))


@pytest.mark.parametrize(
    ("fmt", "alike"),
    [
        ({"name": ["scaled_integer"], "weight_width": [3], "weight_per": ["channel"]}, False),
        ({"name": ["mxint"], "weight_width": [4], "weight_block_size": [4]}, False),
        ({"name": ["scaled_integer"], "weight_width": [3]}, True),
        ({"name": ["integer"], "weight_width": [3], "weight_frac_width": ["auto"]}, True),
        ({"name": ["ternary"]}, True),
    ],
)
def test_what_is_read_in_two_layouts_is_stored_once_or_refused(fmt: dict, alike: bool):
    """Scales along an axis would be others for each reader."""
    graph = ww.Graph(Mirrored(), rows().inputs[0])
    fmt = {key: value for key, value in fmt.items() if key != "name"} | {"weight_name": fmt["name"]}
    seed = {"linear": {"config": {"name": ["integer"], **fmt}}}
    if alike:
        ww.QuantisationSpace(graph, by="type", seed=seed)
    else:
        with pytest.raises(ww.UserError, match="linear_1 reads the weight of linear in another layout"):
            ww.QuantisationSpace(graph, by="type", seed=seed)
    ww.QuantisationSpace(graph, by="type", seed=seed, untie=True)

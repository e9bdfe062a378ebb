"""The quantisation pass: which layers its rules select, that it is pure, that it replaces what was there."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from helpers.networks import build, inputs, tagged
from widthwise.core.errors import UserError
from widthwise.formats import Integer
from widthwise.network.built_in import JSC_Three_Linear_Layers
from widthwise.network.graph import Graph
from widthwise.network.passes.quantize import quantize_transform_pass
from widthwise.network.scheme import Scheme

FLOAT = {"config": {"name": None}}


def integer(data: int = 8, weight: int = 8, bias: int = 8) -> dict[str, Any]:
    """A rule for fixed point with half of each width behind the point."""
    return {"config": {"name": "integer", "data_in_width": data, "weight_width": weight, "bias_width": bias}}


def scheme(data: int = 8, weight: int = 8, bias: int = 8) -> Scheme:
    return Scheme(Integer(data), Integer(weight), Integer(bias))


def jets() -> Graph:
    return Graph(JSC_Three_Linear_Layers().eval())


def selected(graph: Graph) -> set[str]:
    return {name for name, found in graph.schemes.items() if found}


LINEAR = {"seq_blocks_2", "seq_blocks_4", "seq_blocks_6"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"by": "type", "default": FLOAT, "linear": integer()}, LINEAR),
        ({"linear": integer()}, LINEAR),  # by type is what the lab does when nothing is said
        ({"by": "name", "seq_blocks_4": integer()}, {"seq_blocks_4"}),
        ({"by": "name", "seq_blocks.4": integer()}, {"seq_blocks_4"}),
        ({"by": "regex", "seq_blocks_[24]": integer()}, {"seq_blocks_2", "seq_blocks_4"}),
        ({"by": "regex_name", ".*_6": integer()}, {"seq_blocks_6"}),
        ({"by": "regex", "seq_blocks_.*": integer()}, {f"seq_blocks_{i}" for i in range(8)}),
        (
            {"by": "name", "default": integer(), "seq_blocks_2": FLOAT},
            {f"seq_blocks_{i}" for i in (0, 1, *range(3, 8))},
        ),
    ],
)
def test_rules_select_layers(config: dict[str, Any], expected: set[str]) -> None:
    graph, schemes = quantize_transform_pass(jets(), config)
    assert selected(graph) == expected
    assert {name for name, found in schemes.items() if found} == expected


def test_a_regular_expression_matches_whole_names() -> None:
    with pytest.raises(UserError, match="seq: matches no layer by regex"):
        quantize_transform_pass(jets(), {"by": "regex", "seq": integer()})


def test_the_first_rule_that_fits_is_taken() -> None:
    config = {"by": "regex", ".*_2": integer(4, 4, 4), ".*": integer()}
    graph, _ = quantize_transform_pass(jets(), config)
    assert graph.scheme("seq_blocks_2") == scheme(4, 4, 4)
    assert graph.scheme("seq_blocks_4") == scheme()


def test_formats_of_tensors_that_a_layer_lacks_are_left_out() -> None:
    graph, schemes = quantize_transform_pass(jets(), {"by": "regex", "seq_blocks_[12]": integer()})
    assert graph.scheme("seq_blocks_1") == Scheme(Integer(8)) == schemes["seq_blocks_1"]
    assert graph.scheme("seq_blocks_2") == scheme()


def test_a_rule_for_all_may_speak_of_what_no_layer_has() -> None:
    graph = Graph(nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU()).eval())
    made, _ = quantize_transform_pass(graph, {"by": "name", "default": integer()})
    assert made.schemes == {"_0": Scheme(Integer(8), Integer(8)), "_1": Scheme(Integer(8))}


def test_float_rules_ask_for_nothing() -> None:
    config = {"name": None, "weight_width": 8, "bias_frac_width": "NA"}
    made, schemes = quantize_transform_pass(jets(), {"by": "type", "relu": {"config": config}})
    assert not any(schemes.values())
    config = {"name": "integer", "data_in_width": 8, "weight_name": "NA", "weight_width": 8}
    made, _ = quantize_transform_pass(jets(), {"by": "type", "relu": {"config": config}})
    assert made.scheme("seq_blocks_1") == Scheme(Integer(8))


BOTH = {"linear": integer(4, 4, 4), "seq_blocks_4": integer()}


@pytest.mark.parametrize(
    ("by", "expected", "left_out"),
    [("type", LINEAR, "seq_blocks_4"), ("name", {"seq_blocks_4"}, "linear")],
)
def test_by_can_be_switched_where_there_are_rules_of_both_ways(
    by: str, expected: set[str], left_out: str, caplog: pytest.LogCaptureFixture
) -> None:
    graph, _ = quantize_transform_pass(jets(), {"by": by, "default": FLOAT, **BOTH})
    assert selected(graph) == expected
    assert [record.getMessage() for record in caplog.records] == [
        f"quantize_transform_pass: by = '{by}' leaves out the rules {left_out}"
    ]


def test_without_default_other_layers_stay_as_they_are() -> None:
    graph, _ = quantize_transform_pass(jets(), {"by": "name", "seq_blocks_2": integer(4, 4, 4)})
    graph, _ = quantize_transform_pass(graph, {"by": "name", "seq_blocks_4": integer()})
    assert graph.scheme("seq_blocks_2") == scheme(4, 4, 4)
    graph, _ = quantize_transform_pass(graph, {"by": "name", "default": FLOAT, "seq_blocks_4": integer()})
    assert selected(graph) == {"seq_blocks_4"}


WIDTHS = st.integers(2, 16)


@given(st.lists(st.tuples(WIDTHS, WIDTHS, WIDTHS), min_size=1, max_size=4))
def test_a_loop_over_configs_means_what_it_says(widths: list[tuple[int, int, int]]) -> None:
    """The graph after the last config is as if it had been the only one."""
    graph = first = jets()
    x = torch.linspace(-3, 3, 64).reshape(4, 16)
    for width in widths:
        graph, _ = quantize_transform_pass(graph, {"by": "type", "default": FLOAT, "linear": integer(*width)})
    once, _ = quantize_transform_pass(first, {"by": "type", "default": FLOAT, "linear": integer(*widths[-1])})
    with torch.no_grad():
        assert torch.equal(graph.model(x), once.model(x))
    float_again, _ = quantize_transform_pass(graph, {"by": "type", "default": FLOAT})
    with torch.no_grad():
        assert torch.equal(float_again.model(x), first.model(x))


@pytest.mark.parametrize("name", tagged("layers"))
def test_graph_and_config_stay_as_they_are(name: str) -> None:
    graph, x = Graph(build(name)), inputs(name)
    config = {"by": "type", "default": integer(4, 4, 4)}
    before, weights = copy.deepcopy(config), copy.deepcopy(graph.model.state_dict())
    with torch.no_grad():
        was = graph.model(x)
        made, _ = quantize_transform_pass(graph, config)
        assert not torch.equal(made.model(x), was)
        assert torch.equal(graph.model(x), was)
    assert config == before
    assert all(torch.equal(weights[key], value) for key, value in graph.model.state_dict().items())
    assert not any(graph.schemes.values())


def test_functions_and_methods_are_layers_too() -> None:
    graph, x = Graph(build("hand_made")), inputs("hand_made")
    types = [layer.type for layer in graph.layers if layer.tensors and layer.module is None]
    assert {"matmul", "div", "softmax", "bmm", "sum", "sub"} <= set(types)
    config = {kind: {"config": {"name": "integer", "data_in_width": 6}} for kind in set(types)}
    made, schemes = quantize_transform_pass(graph, config)
    assert len(schemes) == len(types)
    fmt = Integer(6)
    with torch.no_grad():
        query, key = graph.model.query(x), graph.model.key(x).transpose(1, 2)
        scores = fmt.quantize(torch.matmul(fmt.quantize(query), fmt.quantize(key))) / 6**0.5
        shares = fmt.quantize(torch.softmax(fmt.quantize(scores), dim=-1))
        total = fmt.quantize(torch.bmm(shares, fmt.quantize(x))).sum(1)
        expected = fmt.quantize(total) - fmt.quantize(x[:, 0])
        assert torch.equal(made.model(x), expected)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"by": "type", "linaer": integer()}, "linaer: matches no layer by type; did you mean linear?"),
        (
            {"by": "name", "seq_blocks_9": integer()},
            "seq_blocks_9: matches no layer by name; did you mean seq_blocks_",
        ),
        (
            {"by": "name", "linear": integer()},
            'linear: matches no layer by name, but one by type; set by = "type"',
        ),
        ({"by": "type", "seq_blocks_2": integer()}, 'but one by name; set by = "name"'),
        ({"by": "kind", "linear": integer()}, "no way to select layers .by. named 'kind'"),
        ({"by": "regex", "seq_[": integer()}, "is no regular expression"),
        ({"linear": {}}, 'linear: has no "config"'),
        ({"linear": 8}, "linear: is 8; give"),
        ({"linear": {"config": {"name": None}, "extra": 1}}, "no key named 'extra'"),
        ({"linear": {"config": {"name": "intger", "weight_width": 8}}}, "did you mean integer"),
        ({"linear": {"config": {"name": "integer", "wight_width": 8}}}, "did you mean weight_width"),
        ("linear", "its config is a str"),
        (
            {"relu": integer()},
            "relu.config.weight_width: applies to nothing: no layer that relu selects has a weight; it "
            r"selects seq_blocks_1 \(relu: data_in\), .*; leave it out",
        ),
        (
            {"by": "regex", "seq_blocks_[24]": integer(), "seq_blocks_4": integer(4, 4, 4)},
            r"seq_blocks_4: applies to nothing: each layer that it matches \(seq_blocks_4\) has an earlier",
        ),
        (
            {"by": "type", **BOTH, "linaer": integer()},
            "linaer: matches no layer by type; did you mean linear",
        ),
        ({"by": "name", **BOTH, "seq_blok": integer()}, "seq_blok: matches no layer by name"),
        ({"by": "type", "default": FLOAT, "seq_blocks_2": integer()}, 'but one by name; set by = "name"'),
    ],
)
def test_a_wrong_config_is_one_line_that_says_what_to_do(config: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        quantize_transform_pass(jets(), config)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("quantize_transform_pass")


def test_a_layer_that_cannot_be_quantised_is_named_as_such() -> None:
    with pytest.raises(UserError, match="flatten: can't be quantised; names that can be: "):
        quantize_transform_pass(Graph(build("residual image")), {"by": "name", "flatten": integer()})

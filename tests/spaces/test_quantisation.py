"""The quantisation space: which layers a rule selects, which decisions it gives, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from torch import Tensor, nn

from widthwise.core.errors import UserError
from widthwise.formats import from_config
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.passes.quantize import quantize_transform_pass
from widthwise.network.scheme import Scheme
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.quantisation_kind import KIND
from widthwise.spaces.slots import schemes, slot_choices

LAB = {
    "name": ["integer"],
    "data_in_width": [4, 8],
    "data_in_frac_width": ["NA"],
    "weight_width": [2, 4, 8],
    "weight_frac_width": ["NA"],
    "bias_width": [2, 4, 8],
    "bias_frac_width": ["NA"],
}


@pytest.mark.parametrize(
    ("name", "size"), [("jsc-tiny", 18), ("jsc-three-linear", 5832), ("jsc-mlp", 104976)]
)
def test_the_labs_spaces_have_their_sizes(name: str, size: int):
    graph = Graph(load_model(name))
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": LAB}})
    assert space.size == size


def test_every_layer_decides_for_itself_unless_tied():
    graph = Graph(load_model("jsc-three-linear"))
    free = QuantisationSpace(graph, by="type", seed={"linear": {"config": LAB}})
    tied = QuantisationSpace(graph, by="type", seed={"linear": {"config": LAB}}, tie=True)
    assert [decision.name for decision in free.decisions[:3]] == [
        "seq_blocks_2/data_in_width",
        "seq_blocks_2/weight_width",
        "seq_blocks_2/bias_width",
    ]
    assert tied.size == 18
    chosen = schemes(tied.slots, slot_choices(tied.slots, tied.at([17]))[0])
    assert set(map(str, chosen.values())) == {"data_in fixed<8,4>, weight fixed<8,4>, bias fixed<8,4>"}


@pytest.mark.parametrize(
    ("by", "keys", "layers"),
    [
        ("name", ["seq_blocks_2", "seq_blocks.4"], {"seq_blocks_2", "seq_blocks_4"}),
        ("type", ["relu"], {"seq_blocks_1", "seq_blocks_3", "seq_blocks_5", "seq_blocks_7"}),
        ("regex", [r"seq_blocks_[26]"], {"seq_blocks_2", "seq_blocks_6"}),
        ("regex", [r"seq_blocks_2", r".*_[24]"], {"seq_blocks_2", "seq_blocks_4"}),
    ],
)
def test_rules_select_layers(by: str, keys: list[str], layers: set[str]):
    graph = Graph(load_model("jsc-three-linear"))
    space = QuantisationSpace(
        graph, by=by, seed={key: {"config": {"name": "integer", "data_in_width": 4}} for key in keys}
    )
    assert {slot.layer for slot in space.slots} == layers


def test_the_default_takes_what_is_left_and_a_layers_missing_tensors_are_left_out():
    graph = Graph(load_model("jsc-tiny"))
    space = QuantisationSpace(
        graph,
        by="name",
        seed={
            "seq_blocks_2": {"config": LAB},
            "default": {"config": {"name": "integer", "data_in_width": [4, 8], "weight_width": [4, 8]}},
        },
    )
    names = [decision.name for decision in space.decisions]
    assert "seq_blocks_1/data_in_width" in names
    assert "seq_blocks_1/weight_width" not in names
    assert "seq_blocks_0/weight_width" in names


def test_layers_without_a_rule_keep_their_scheme():
    fixed = from_config({"name": "integer", "width": 8})
    graph = Graph(load_model("jsc-tiny")).quantized({"seq_blocks_2": Scheme(weight=fixed)})
    space = QuantisationSpace(
        graph, by="type", seed={"relu": {"config": {"name": "integer", "data_in_width": [4, 8]}}}
    )
    found = schemes(space.slots, slot_choices(space.slots, space.at([0]))[0])
    assert found["seq_blocks_2"] == Scheme(weight=fixed)


def test_a_candidates_config_is_what_the_pass_takes():
    graph = Graph(load_model("jsc-three-linear"))
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": LAB}})
    for candidate in space.sample(20, np.random.default_rng(0)):
        config = {name: {"config": layer} for name, layer in space.config(candidate).items()}
        quantised, _ = quantize_transform_pass(
            graph, {"by": "name", "default": {"config": {"name": None}}, **config}
        )
        expected = schemes(space.slots, slot_choices(space.slots, candidate[None])[0])
        assert {name: quantised.scheme(name) for name in expected} == expected


class TwoReaders(nn.Module):
    """One tensor that two layers read."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.a(x) + self.b(x))


def test_readers_of_one_tensor_can_share_its_format():
    graph = Graph(TwoReaders())
    seed = {"linear": {"config": {"name": "integer", "data_in_width": [4, 6, 8], "weight_width": [2, 4]}}}
    free = QuantisationSpace(graph, by="type", seed=seed)
    shared = QuantisationSpace(graph, by="type", seed=seed, share_inputs=True)
    assert (free.size, shared.size) == (6**3, 6**3 // 3)
    for candidate in shared.sample(20, np.random.default_rng(0)):
        config = shared.config(candidate)
        assert config["a"]["data_in_width"] == config["b"]["data_in_width"]


def test_a_name_may_be_a_choice_too_and_takes_its_own_parameters():
    graph = Graph(load_model("jsc-tiny"))
    config = {
        "weight_name": ["integer", "minifloat_ieee", "e4m3", "none"],
        "weight_width": [6, 8],
        "weight_frac_width": 2,
        "weight_exponent_width": 3,
    }
    space = QuantisationSpace(graph, by="name", seed={"seq_blocks_2": {"config": config}})
    formats = [repr(fmt) for fmt in space.slots[0].formats]
    assert formats == ["fixed<6,2>", "fixed<8,2>", "minifloat<6,3>", "minifloat<8,3>", "e4m3", "None"]


def test_rules_for_types_are_left_out_by_name_as_in_the_labs_own_files():
    graph = Graph(load_model("jsc-tiny"))
    seed = {"linear": {"config": LAB}, "seq_blocks_2": {"config": LAB}}
    space = QuantisationSpace(graph, by="name", seed=seed)
    assert (space.size, space.unused) == (18, ("linear",))


NAMED = {"config": LAB | {"weight_width": [4, 8]}}
BOTH = {"default": {"config": {"name": ["NA"]}}, "linear": {"config": LAB}, "seq_blocks_4": NAMED}


@pytest.mark.parametrize(
    ("by", "size", "unused", "said"),
    [
        ("type", 5832, "seq_blocks_4", 'by = "type" leaves out the rules for names: {}; set by = "name"'),
        ("name", 12, "linear", 'by = "name" leaves out the rules for types: {}; set by = "type"'),
        ("regex", 12, "linear", 'by = "regex" leaves out the rules for names and types: {}'),
    ],
)
def test_by_can_be_switched_where_a_seed_has_rules_of_both_ways(by, size, unused, said):
    graph = Graph(load_model("jsc-three-linear"))
    space = QuantisationSpace(graph, by=by, seed=BOTH)
    assert (space.size, space.unused) == (size, (unused,))
    assert KIND.warnings(space) == [said.format(unused)]
    alone = {key: rule for key, rule in BOTH.items() if key != unused}
    assert space.decisions == QuantisationSpace(graph, by=by, seed=alone).decisions


@pytest.mark.parametrize("by", ["name", "type", "regex"])
@pytest.mark.parametrize("typo", ["linaer", "seq_block_4", "conv2d"])
def test_a_key_that_is_neither_name_nor_type_is_an_error_whatever_by_is(by: str, typo: str):
    with pytest.raises(UserError, match=f"{typo}: matches no layer by {by}"):
        QuantisationSpace(Graph(load_model("jsc-three-linear")), by=by, seed={**BOTH, typo: NAMED})


def test_a_default_with_choices_may_be_all_that_is_left():
    graph = Graph(load_model("jsc-tiny"))
    default = {"config": {"name": "integer", "data_in_width": [4, 8]}}
    space = QuantisationSpace(graph, by="type", seed={"default": default, "seq_blocks_2": NAMED})
    assert (space.size, space.unused) == (16, ("seq_blocks_2",))
    with pytest.raises(UserError, match=r'seq_blocks_2: .* but one by name; set by = "name"'):
        QuantisationSpace(graph, by="type", seed={"default": BOTH["default"], "seq_blocks_2": NAMED})


class WithoutBias(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Embedding(3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self[2](self[1](self[0](x)).argmax(1))


@pytest.mark.parametrize(
    ("key", "config", "said"),
    [
        (
            "relu",
            {"name": "integer", "weight_width": [2, 4]},
            "relu.config.weight_width: applies to nothing: no layer that relu selects has a weight; it "
            "selects _1 (relu: data_in); leave it out",
        ),
        (
            "relu",
            {"name": "integer", "data_in_width": [2, 4], "weight_name": ["mxint8", "e4m3"]},
            "relu.config.weight_name: applies to nothing: no layer that relu selects has a weight",
        ),
        (
            "linear",
            {"name": "integer", "weight_width": 4, "bias_width": [4, 8]},
            "linear.config.bias_width: applies to nothing: no layer that linear selects has a bias; it "
            "selects _0 (linear: data_in, weight)",
        ),
        (
            "embedding",
            {"name": "integer", "weight_width": 4, "data_in_width": 4},
            "embedding.config.data_in_width: applies to nothing: no layer that embedding selects has a "
            "data_in",
        ),
    ],
)
def test_a_key_that_applies_to_nothing_is_an_error(key: str, config: dict, said: str):
    with pytest.raises(UserError) as caught:
        QuantisationSpace(Graph(WithoutBias()), by="type", seed={key: {"config": config}})
    assert str(caught.value).startswith(f"search.search_space.seed.{said}")


def test_keys_that_some_layer_of_the_rule_has_and_keys_that_ask_for_nothing_stay():
    seed = {
        "_[01]": {"config": {"name": "integer", "data_in_width": [4, 8], "weight_width": 4}},
        "_2": {"config": {"name": "NA", "bias_width": [4, 8]}},
        "default": {"config": {"name": "integer", "bias_width": 4}},
    }
    space = QuantisationSpace(Graph(WithoutBias()), by="regex", seed=seed)
    assert space.size == 4
    asks_nothing = {"name": "integer", "data_in_width": [4, 8], "bias_width": "NA", "bias_frac_width": ["NA"]}
    assert (
        QuantisationSpace(Graph(WithoutBias()), by="type", seed={"relu": {"config": asks_nothing}}).size == 2
    )


def test_a_rule_whose_layers_all_have_an_earlier_one_is_an_error():
    rule = {"config": {"name": "integer", "data_in_width": [4, 8]}}
    with pytest.raises(UserError, match=r"_1: applies to nothing: .* \(_1\) has an earlier rule \(_\[01\]\)"):
        QuantisationSpace(Graph(WithoutBias()), by="regex", seed={"_[01]": rule, "_1": rule})


def test_a_space_of_a_single_candidate_is_said():
    seed = {"linear": {"config": {"name": "integer", "weight_width": 4}}}
    space = QuantisationSpace(Graph(WithoutBias()), by="type", seed=seed)
    assert space.size == 1
    assert KIND.warnings(space) == [
        "there is nothing to choose, the space has a single candidate: one choice for each key in "
        "the rules linear"
    ]


BAD = {
    "unknown layer": (
        "name",
        {"seq_block_2": LAB},
        "seq_block_2: matches no layer by name; did you mean seq_blocks_2?",
    ),
    "unknown type": ("type", {"linaer": LAB}, "linaer: matches no layer by type; did you mean linear?"),
    "a name by type": ("type", {"seq_blocks_2": LAB}, 'no layer by type, but one by name; set by = "name"'),
    "a layer that can't be": ("regex", {"output": LAB}, "output: matches no layer by regex"),
    "no choices": (
        "type",
        {"linear": {"name": ["integer"], "data_in_width": []}},
        "data_in_width: has no choices",
    ),
    "unknown key": (
        "type",
        {"linear": {"name": "integer", "wieght_width": [4]}},
        "did you mean weight_width?",
    ),
    "unknown parameter": (
        "type",
        {"linear": {"name": "integer", "weight_widht": [4]}},
        "did you mean width?",
    ),
    "width 0": (
        "type",
        {"linear": {"name": "integer", "weight_width": [4, 0]}},
        "width = 0 is no whole number",
    ),
    "unknown format": (
        "type",
        {"linear": {"name": "interger", "weight_width": [4]}},
        "did you mean integer?",
    ),
}


@pytest.mark.parametrize(("by", "seed", "says"), BAD.values(), ids=BAD.keys())
def test_bad_rules_are_refused_in_one_line(by: str, seed: dict, says: str):
    graph = Graph(load_model("jsc-three-linear"))
    with pytest.raises(UserError) as caught:
        QuantisationSpace(graph, by=by, seed={key: {"config": config} for key, config in seed.items()})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("search.search_space.seed.")

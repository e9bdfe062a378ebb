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

"""Width spaces: decisions, sizes, rounding and bounds, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.config.load import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.widths.finding import find_groups
from widthwise.spaces.settings import SeedRule, WidthSearch
from widthwise.spaces.width import WidthSpace
from widthwise.spaces.width_kind import KIND
from widthwise.spaces.width_rules import width_space

GRAPH = Graph(load_model("jsc-three-linear"))
GROUPS = find_groups(GRAPH)
RESNET = Graph(load_model("resnet8"))
RESNET_GROUPS = find_groups(RESNET)


def space(**options) -> WidthSpace:
    return WidthSpace(GRAPH, groups=GROUPS, **options)


def test_one_decision_for_all_groups():
    made = space(by="all", multipliers=[1, 2, 3, 4])
    assert [(d.name, d.choices) for d in made.decisions] == [("all/channel_multiplier", (1, 2, 3, 4))]
    assert made.sizes([2]) == {"seq_blocks.2": 48, "seq_blocks.4": 48}
    assert made.config([1])["seq_blocks_4"] == {"channels": 32, "channel_multiplier": 2.0}


def test_one_decision_for_each_group_in_the_order_of_execution():
    made = space(multipliers=[1, 2, 3])
    assert [d.name for d in made.decisions] == [
        "seq_blocks_2/channel_multiplier",
        "seq_blocks_4/channel_multiplier",
    ]
    assert made.size == 9
    assert made.sizes([1, 2]) == {"seq_blocks.2": 32, "seq_blocks.4": 48}


def test_the_lab_network_16_32_64_5_is_reached():
    made = space(multipliers=[1, 2, 3, 4])
    sizes = [tuple(made.sizes(candidate).values()) for candidate in next(made.enumerate())]
    assert (32, 64) in sizes


def test_groups_are_selected_by_name_type_and_regex():
    by_name = space(multipliers={"seq_blocks_4": [1, 2]})
    assert by_name.sizes([1]) == {"seq_blocks.4": 32}
    by_type = WidthSpace(RESNET, by="type", sizes={"conv2d": [8, 16]}, groups=RESNET_GROUPS)
    assert len(by_type.decisions) == 6
    by_regex = WidthSpace(RESNET, by="regex", multipliers={"block[23]_conv1": [0.5, 1]}, groups=RESNET_GROUPS)
    assert [d.name for d in by_regex.decisions] == [
        "block2_conv1/channel_multiplier",
        "block3_conv1/channel_multiplier",
    ]
    mixed = space(multipliers={"default": [1, 2]}, sizes={"seq_blocks_4": [10, 20]})
    assert mixed.sizes([1, 0]) == {"seq_blocks.2": 32, "seq_blocks.4": 10}


@given(
    multipliers=st.lists(st.floats(0.1, 8), min_size=1, max_size=6),
    round_to=st.integers(1, 16),
    bounds=st.tuples(st.integers(1, 20), st.integers(20, 200)),
)
def test_rounded_sizes_are_multiples_within_the_bounds(multipliers, round_to: int, bounds):
    low, high = -(-bounds[0] // round_to) * round_to, bounds[1] // round_to * round_to
    if high < low:
        return
    made = space(multipliers=multipliers, round_to=round_to, minimum=low, maximum=high)
    for choice in made.choices:
        assert all(size % round_to == 0 and low <= size <= high for size in choice.sizes)
        assert len(set(choice.sizes)) == len(choice.sizes)


def test_choices_of_the_same_size_are_one():
    made = space(multipliers=[0.5, 0.51, 1], round_to=8)
    assert made.decisions[0].choices == (0.5, 1)


def test_size_table_equals_sizes_one_by_one():
    made = WidthSpace(RESNET, multipliers=[0.25, 1, 2], groups=RESNET_GROUPS)
    candidates = made.sample(20, np.random.default_rng(0))
    table = made.size_table(candidates)
    assert [list(made.sizes(candidate).values()) for candidate in candidates] == table.tolist()
    assert made.smallest["stem.0"] == 4
    assert made.largest["stem.0"] == 32


BAD = {
    "zero": ({"multipliers": [0]}, "channel_multiplier = 0 is no number above 0"),
    "negative": ({"multipliers": [1, -2]}, "channel_multiplier = -2 is no number above 0"),
    "nan": ({"multipliers": [float("nan")]}, "channel_multiplier = nan is no number above 0"),
    "none left": (
        {"multipliers": [0.01]},
        "channel_multiplier = 0.01 leaves none of its 16 channels; take at least 0.0625",
    ),
    "no channels": ({"sizes": [0]}, "channels = 0 is no number above 0"),
    "part of a channel": ({"sizes": [2.5]}, "channels = 2.5 is no whole number"),
    "unknown group": (
        {"multipliers": {"seq_blocks_9": [1, 2]}},
        "no group named 'seq_blocks_9'; did you mean seq_blocks.",
    ),
    "outputs": (
        {"multipliers": {"seq_blocks_6": [1, 2]}},
        "can't be resized: they are outputs of the network",
    ),
    "unknown type": ({"by": "type", "multipliers": {"conv2d": [1, 2]}}, "no layer type with groups named"),
    "no match": ({"by": "regex", "multipliers": {"layer.*": [1]}}, "no group that matches named 'layer.*'"),
    "by": ({"by": "kind", "multipliers": {"linear": [1]}}, "no way to select groups named 'kind'"),
    "nothing": ({}, "needs multipliers or sizes"),
    "empty": ({"multipliers": []}, "has no channel_multipliers to choose from"),
    "bounds": ({"sizes": [4], "minimum": 8}, "4 channels (channels = 4) are not from 8"),
    "crossed": ({"sizes": [4], "minimum": 8, "maximum": 4}, "maximum = 4 is below minimum = 8"),
    "round_to": ({"sizes": [4], "round_to": 0}, "round_to = 0 is no whole number from 1"),
    "two lists": (
        {"by": "all", "multipliers": [1], "sizes": {"seq_blocks_2": [4]}},
        'by = "all" takes one list of choices',
    ),
}


@pytest.mark.parametrize(("options", "says"), BAD.values(), ids=BAD.keys())
def test_bad_spaces_are_refused_in_one_line(options: dict, says: str):
    with pytest.raises(UserError) as caught:
        space(**options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_without_free_channels_says_why():
    with pytest.raises(
        UserError, match=r"no group of channels can be resized: seq_blocks.2: they are outputs"
    ):
        WidthSpace(Graph(load_model("jsc-tiny")), multipliers=[1, 2])


# ---- the lab's rules, as a config has them


def rule(key: str, **fields) -> SeedRule:
    return SeedRule(key, tuple((name, tuple(choices)) for name, choices in fields.items()))


def search(*rules: SeedRule, by="name", default: SeedRule | None = None, **options) -> WidthSearch:
    return WidthSearch(by=by, rules=rules, default=default, **options)


def test_rules_of_both_sides_of_a_group_are_one_decision():
    made = width_space(
        GRAPH,
        search(
            rule("seq_blocks_2", name=["output_only"], channel_multiplier_output=[1, 2]),
            rule(
                "seq_blocks_4",
                name=["both"],
                channel_multiplier_input=[1, 2],
                channel_multiplier_output=[1, 3, 4],
            ),
            rule("seq_blocks_6", name=["input_only"], channel_multiplier_input=[1, 3, 4]),
            default=rule("default", name=["NA"]),
        ),
        groups=GROUPS,
    )
    assert made.cardinalities.tolist() == [2, 3]
    assert made.sizes([1, 2]) == {"seq_blocks.2": 32, "seq_blocks.4": 64}


def test_rules_by_type_leave_out_what_is_fixed_and_all_is_one_decision():
    by_type = width_space(GRAPH, search(rule("linear", channel_multiplier=[1, 2]), by="type"), groups=GROUPS)
    assert len(by_type.decisions) == 2
    one = width_space(
        GRAPH, search(by="all", default=rule("default", channel_multiplier=[1, 2, 3, 4])), groups=GROUPS
    )
    assert one.size == 4
    rest = width_space(GRAPH, search(default=rule("default", channels=[8, 16])), groups=GROUPS)
    assert rest.sizes([0, 1]) == {"seq_blocks.2": 8, "seq_blocks.4": 16}


BAD_RULES = {
    "disagree": (
        (
            rule("seq_blocks_2", channel_multiplier=[1, 2]),
            rule("seq_blocks_4", name=["input_only"], channel_multiplier=[1, 3]),
        ),
        "seq_blocks_2 and seq_blocks_4 share channels, but seq_blocks_2 gives channel_multiplier [1, 2] and "
        "seq_blocks_4 takes channel_multiplier [1, 3]",
    ),
    "no producer": (
        (rule("seq_blocks_4", name=["input_only"], channel_multiplier=[1, 2]),),
        "seq_blocks_2, which gives them, has no rule",
    ),
    "network input": (
        (rule("seq_blocks_2", name=["both"], channel_multiplier=[1, 2]),),
        "the inputs of seq_blocks_2 can't change",
    ),
    "network output": (
        (rule("seq_blocks_6", channel_multiplier=[1, 2]),),
        "the outputs of seq_blocks_6 can't change: they are outputs of the network",
    ),
    "unknown": ((rule("seq_blocks_9", channel_multiplier=[1, 2]),), "no layer with channels named"),
    "nothing": (
        (rule("seq_blocks_2", name=["NA"], channel_multiplier=[1, 2]),),
        "no rule changes the channels",
    ),
}


@pytest.mark.parametrize(("rules", "says"), BAD_RULES.values(), ids=BAD_RULES.keys())
def test_rules_that_contradict_each_other_are_refused(rules, says: str):
    with pytest.raises(UserError) as caught:
        width_space(GRAPH, search(*rules), groups=GROUPS)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- rules for another `by`, and rules that apply to nothing

TWO = rule("seq_blocks_2", channel_multiplier=[1, 2])
LINEAR = rule("linear", channel_multiplier=[1, 2, 3])
ALL = rule("default", channel_multiplier=[1, 2, 3, 4])
FLOAT = rule("default", name=["NA"])


@pytest.mark.parametrize(
    ("by", "default", "size", "unused"),
    [
        ("name", FLOAT, 2, ("linear",)),
        ("type", FLOAT, 9, ("seq_blocks_2",)),
        ("regex", FLOAT, 2, ("linear",)),
        ("all", ALL, 4, ("linear", "seq_blocks_2")),
        ("name", None, 2, ("linear",)),
    ],
)
def test_by_can_be_switched_where_there_are_rules_of_both_ways(by, default, size, unused):
    made = width_space(GRAPH, search(LINEAR, TWO, by=by, default=default), groups=GROUPS)
    assert (made.size, made.unused, made.by) == (size, unused, by)
    (line,) = KIND.warnings(made)
    assert line.startswith(f'by = "{by}" leaves out the rules for ')
    assert ", ".join(unused) in line


@pytest.mark.parametrize(
    ("by", "size", "unused"), [("name", 2, "linear"), ("type", 9, "seq_blocks_2"), ("regex", 2, "linear")]
)
def test_by_can_be_switched_from_python(by: str, size: int, unused: str):
    made = space(by=by, multipliers={"linear": [1, 2, 3], "seq_blocks_2": [1, 2]})
    assert (made.size, made.unused) == (size, (unused,))
    mixed = space(by=by, multipliers={"linear": [1, 2, 3]}, sizes={"seq_blocks_2": [8, 16]})
    assert (mixed.size, mixed.unused) == (size, (unused,))


@pytest.mark.parametrize("by", ["name", "type", "regex", "all"])
def test_a_key_that_is_neither_name_nor_type_is_an_error_whatever_by_is(by: str):
    typo = rule("lienar", channel_multiplier=[1, 2])
    with pytest.raises(UserError, match="'lienar'"):
        width_space(GRAPH, search(LINEAR, TWO, typo, by=by, default=ALL), groups=GROUPS)
    if by != "all":
        with pytest.raises(UserError, match="'lienar'"):
            space(by=by, multipliers={"linear": [1, 2], "seq_blocks_2": [1, 2], "lienar": [1, 2]})


def test_a_rule_that_is_alone_says_which_by_it_is_for():
    with pytest.raises(UserError, match=r'seq_blocks_2: matches no layer by type.*set by = "name"'):
        width_space(GRAPH, search(TWO, by="type", default=FLOAT), groups=GROUPS)


def test_a_file_with_rules_of_every_way_is_read_with_each():
    for by, size in {"name": 2, "type": 9, "all": 4}.items():
        config = {
            "model": "jsc-three-linear",
            "dataset": "jsc",
            "search": {
                "search_space": {
                    "name": "graph/width",
                    "setup": {"by": by},
                    "seed": {
                        "all": {"config": {"channel_multiplier": [1, 2, 3, 4]}},
                        "linear": {"config": {"channel_multiplier": [1, 2, 3]}},
                        "seq_blocks_2": {"config": {"channel_multiplier": [1, 2]}},
                    },
                },
                "strategy": {
                    "name": "grid",
                    "metrics": {"accuracy": {"direction": "maximize"}, "macs": {"direction": "minimize"}},
                },
            },
        }
        read = load_config(config)
        assert load_config(tables_of(read)).search.space == read.search.space
        assert width_space(GRAPH, read.search.space, groups=GROUPS).size == size


@pytest.mark.parametrize(
    ("rules", "by", "says"),
    [
        (
            (TWO, rule("seq_blocks_4", name=["output_only"], channel_multiplier_input=[1, 2])),
            "name",
            'seq_blocks_4.config.channel_multiplier_input: applies to nothing: name = "output_only"',
        ),
        (
            (TWO, rule("seq_blocks_4", name=["input_only"], channels=[8, 16])),
            "name",
            'seq_blocks_4.config.channels: applies to nothing: name = "input_only"',
        ),
        (
            (rule("seq_blocks_2", channels=[8, 16]), rule("seq_blocks_6", channels=[8, 16])),
            "regex",
            "seq_blocks_6: applies to nothing: the channels of seq_blocks_6 (they are outputs of the "
            "network) can't change; leave the rule out",
        ),
    ],
)
def test_a_rule_or_key_that_applies_to_nothing_is_an_error(rules, by: str, says: str):
    with pytest.raises(UserError) as caught:
        width_space(GRAPH, search(*rules, by=by), groups=GROUPS)
    assert says in str(caught.value)


def test_a_space_of_a_single_candidate_is_said():
    made = width_space(GRAPH, search(rule("seq_blocks_2", channel_multiplier=[1])), groups=GROUPS)
    assert KIND.warnings(made) == [
        "there is nothing to choose, the space has a single candidate: seq_blocks.2 can have 16 channels"
    ]

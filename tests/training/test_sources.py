"""Networks of other widths: the same for the same sizes and seed, whatever was made in between."""

from __future__ import annotations

import pytest

from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_weights
from widthwise.data.modules import load_data
from widthwise.metrics.quality.classification import Classification
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings
from widthwise.training.sources import MODES, NetworkSource, Widths, network_source

DATA = load_data("jsc")
GRAPH = Graph(load_model("jsc-three-linear"))
SPACE = WidthSpace(GRAPH, by="all", multipliers=[0.5, 1, 2])
WIDTHS = Widths(SPACE.smallest, SPACE.largest, lambda rng: SPACE.sizes(SPACE.sample(1, rng)[0]))
SHORT = Settings(epochs=2, learning_rate=1e-2)


def source(mode) -> NetworkSource:
    return network_source(mode, GRAPH, SPACE.groups, DATA, SHORT, WIDTHS, task=Classification())


@pytest.mark.parametrize("mode", MODES)
def test_sizes_and_seed_say_which_network_it_is(mode):
    before, made = hash_weights(GRAPH.model), source(mode)
    narrow = made.network(SPACE.smallest, 0)
    wide = made.network(SPACE.largest, 0)
    again = made.network(SPACE.smallest, 0)
    assert hash_weights(narrow.model) == hash_weights(again.model)
    assert hash_weights(source(mode).network(SPACE.smallest, 0).model) == hash_weights(narrow.model)
    assert hash_weights(made.network(SPACE.smallest, 1).model) != hash_weights(narrow.model)
    for graph, sizes in ((narrow, SPACE.smallest), (wide, SPACE.largest)):
        for name, size in sizes.items():
            assert graph.model.get_submodule(name).out_features == size
    assert hash_weights(GRAPH.model) == before


@pytest.mark.parametrize("mode", ["scratch", "inherit"])
def test_less_training_gives_another_network(mode):
    made = source(mode)
    less = made.network(SPACE.smallest, 0, Settings(epochs=1, learning_rate=1e-2))
    assert hash_weights(less.model) != hash_weights(made.network(SPACE.smallest, 0).model)


def test_no_other_ways_are_known():
    with pytest.raises(UserError, match="no way to train candidates named 'scrach'; did you mean scratch"):
        source("scrach")

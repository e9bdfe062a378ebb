"""From Python, networks, data and configs are given as objects or by name; the rest is told in a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

import widthwise as ww
from widthwise.config.template import example_text
from widthwise.core.toml import parse_toml

DATA = ww.load_data("jsc")
CONFIG = parse_toml(example_text("jsc-tiny"), label="jsc-tiny")


def test_network_is_evaluated_as_module_graph_or_name_alike():
    network = ww.load_model("jsc-tiny")
    floats = ww.evaluate(network, DATA)
    assert list(floats) == ["accuracy", "loss", "precision", "recall", "f1"]  # the task's usual ones
    assert floats == ww.evaluate(ww.Graph(network), "jsc") == ww.evaluate("jsc-tiny", DATA)


def test_graph_is_made_of_a_name():
    assert [layer.type for layer in ww.Graph("jsc-tiny").layers if layer.tensors] == [
        layer.type for layer in ww.Graph(ww.load_model("jsc-tiny")).layers if layer.tensors
    ]


def test_graph_is_searched_as_its_network_is(tmp_path: Path):
    network = ww.load_model("jsc-tiny")
    found = [
        ww.search(given, DATA, CONFIG, out=tmp_path / str(number), page=False).front
        for number, given in enumerate((network, ww.Graph(network)))
    ]
    assert [trial.metrics for trial in found[0]] == [trial.metrics for trial in found[1]]


def test_graph_with_schemes_is_not_searched():
    graph = ww.Graph("jsc-tiny")
    (layer,) = [layer.name for layer in graph.layers if layer.type == "linear"]
    scheme = ww.Scheme(weight=ww.formats.Integer(4, 2))
    with pytest.raises(ww.UserError, match="a graph with schemes; a search begins in float"):
        ww.search(graph.quantized({layer: scheme}), DATA, CONFIG, page=False)


def test_comparison_takes_a_config():
    found = ww.compare(CONFIG, "random", seeds=2, budget=4)
    assert [outcome.entrant.name for outcome in found.outcomes] == ["random"]


@pytest.mark.parametrize("wrong", [7, [nn.Linear(2, 2)], {"a": 1}])
def test_what_is_no_network_is_told_in_a_line(wrong: object):
    for use in (ww.Graph, lambda given: ww.evaluate(given, DATA)):
        with pytest.raises(ww.UserError, match=f"network: is a {type(wrong).__name__}; give a torch"):
            use(wrong)  # type: ignore[operator]


def test_nothing_to_pick_from_is_told_by_what_left_nothing(tmp_path: Path):
    config = {**CONFIG, "search": {**CONFIG["search"], "constraints": {"accuracy": ">= 0.999"}}}
    study = ww.search("jsc-tiny", DATA, config, out=tmp_path / "run", page=False)
    with pytest.raises(ww.UserError, match=r"no trial succeeded within the bounds$"):
        study.pick("best accuracy")

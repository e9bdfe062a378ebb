"""Names of users' parts that are those of ours, of Python or of each other: every layer stays itself."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import widthwise as ww
from helpers.emulation import ALL, assert_rows_equal, loss_of, made_twice, rows
from helpers.networks.named import CLASHES, KEYWORDS, ODD, PATHS, RESERVED, Called, Clash, Keyed

LINEAR = {"linear": ALL}
FINE = ww.formats.parse("fixed<32,16>")  # outputs stay as they are


def stays_itself(made: ww.Graph, name: str, kind: type[nn.Module]) -> bool:
    """Whether the user's part is what it was, under a wrapper or not."""
    part = made.model.get_submodule(name)
    return isinstance(getattr(part, "layer", part), kind)


@pytest.mark.parametrize(("function", "name"), CLASHES.items())
def test_a_format_for_a_function_leaves_the_layer_of_a_like_name(function: str, name: str):
    (model, other), data = made_twice(lambda: Clash(function, name)), rows()
    graph = ww.Graph(model)
    found = [layer.name for layer in graph.layers if layer.type == function and layer.tensors]
    assert found
    made = graph.quantized(dict.fromkeys(found, ww.Scheme(data_in=FINE)))
    assert loss_of(made.model, data) == pytest.approx(loss_of(other, data), rel=1e-4)
    assert all(made.scheme(layer) for layer in found)
    again = made.quantized(dict.fromkeys(found, ww.Scheme()))
    assert loss_of(again.model, data) == pytest.approx(loss_of(other, data), rel=1e-6)
    evaluated = ww.evaluate(made, data, metrics=["loss"])["loss"]
    assert evaluated == pytest.approx(loss_of(other, data), rel=1e-4)


@pytest.mark.parametrize(("function", "name"), CLASHES.items())
def test_layers_with_names_of_functions_are_searched(function: str, name: str):
    assert_rows_equal(lambda: Clash(function, name), rows(), LINEAR, weights=2)


@pytest.mark.parametrize(("function", "name"), CLASHES.items())
def test_a_copy_keeps_the_layer_of_a_like_name(function: str, name: str):
    model, other = made_twice(lambda: Clash(function, name))
    graph = ww.Graph(model)
    found = [layer.name for layer in graph.layers if layer.type == function and layer.tensors]
    made = graph.quantized(dict.fromkeys(found, ww.Scheme(data_in=FINE))).copy()
    assert stays_itself(made, name, nn.Linear)
    assert torch.equal(made.model.state_dict()[f"{name}.weight"], other.state_dict()[f"{name}.weight"])


@pytest.mark.parametrize("name", RESERVED)
def test_a_layer_may_have_a_word_of_ours_as_its_name(name: str):
    assert_rows_equal(lambda: Called(name), rows(), LINEAR, weights=2)


@pytest.mark.parametrize("name", KEYWORDS)
def test_a_layer_may_have_a_word_of_pythons_as_its_name(name: str):
    assert_rows_equal(lambda: Called(name), rows(), LINEAR, weights=2)


@pytest.mark.parametrize("key", [*ODD, *KEYWORDS, "x", "layer"])
def test_a_part_may_have_any_key_that_torch_takes(key: str):
    assert_rows_equal(lambda: Keyed(key), rows(), LINEAR, weights=2)


@pytest.mark.parametrize("name", PATHS)
def test_paths_that_are_alike_stay_apart(name: str):
    model, _ = made_twice(PATHS[name])
    weights = sum(1 for parameter in model.parameters() if parameter.dim() > 1)
    assert_rows_equal(PATHS[name], rows(), LINEAR, weights=weights)


@pytest.mark.parametrize("name", PATHS)
def test_layers_have_names_of_their_own(name: str):
    model, _ = made_twice(PATHS[name])
    names = [layer.name for layer in ww.Graph(model).layers]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", PATHS)
def test_each_layer_takes_the_scheme_that_its_own_name_is_given(name: str):
    """A rule by a module's path is for that module alone, or an error that says it could be two."""
    model, _ = made_twice(PATHS[name])
    graph = ww.Graph(model)
    paths = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    for path in paths:
        seed = {path: {"config": {"name": ["integer"], "weight_width": [2, 8]}}}
        try:
            space = ww.QuantisationSpace(graph, by="name", seed=seed)
        except ww.UserError as error:
            assert path in str(error)  # noqa: PT017
            continue
        quantised = [layer.module for layer in graph.layers if layer.name in space.fields]
        assert {id(module) for module in quantised} == {id(graph.model.get_submodule(path))}, path

"""Networks of other widths: `resize` cuts, copies or starts the weights anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, fx, nn

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error
from widthwise.data.facts import part
from widthwise.data.modules import Data
from widthwise.network.built_in import RELU_OUTPUT_START
from widthwise.network.calling import called
from widthwise.network.graph import Graph
from widthwise.network.undisturbed import run_in_eval_mode
from widthwise.network.widths.changes import Change, check_size, grown, keeps_statistics, must_split, shrunk
from widthwise.network.widths.example import example_input
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.groups import Group, Groups
from widthwise.network.widths.rebuild import rebuilt, reset
from widthwise.network.widths.statistics import reestimate_norms
from widthwise.network.widths.unit_scores import Importance, unit_scores

Weights = Literal["inherit", "scratch"]
WEIGHTS = get_args(Weights)


def resize(
    graph: Graph,
    sizes: Mapping[str, int],
    *,
    weights: Weights = "inherit",
    importance: Importance = "magnitude",
    data: Data | None = None,
    seed: int = 0,
    groups: Groups | None = None,
    example: Tensor | Sequence[Any] | None = None,
) -> Graph:
    """A graph in which the named groups have these sizes; the graph given stays as it is.

    inherit: a smaller group keeps its units of highest importance; a larger one keeps the function: the
    outputs are as before, until training. Its new units are not read yet, or are copies that share what reads
    them where new ones would disturb the others. With `data`, batch norms are measured anew in what has
    shrunk.
    scratch: every layer starts anew from the seed. `groups` saves finding them again; `example` is an input.
    Raises UserError for unknown groups and for sizes that a group can't have.
    """
    found = groups or find_groups(graph, example if example is not None else data)
    network = resized(
        graph.network, found, sizes, weights=weights, importance=importance, data=data, seed=seed
    )
    if weights == "inherit" and data is not None and _shrinks(found, sizes):
        reestimate_norms(network, part(data, "train"))
    _check_runs(network, example_input(graph.network, example if example is not None else data), sizes)
    return recaptured(graph, network)


def recaptured(graph: Graph, network: nn.Module) -> Graph:
    """A resized network captured as the graph was, its layers with the same schemes."""
    made = graph.like(network)
    schemes = {name: scheme for name, scheme in graph.schemes.items() if scheme}
    return made.quantized(schemes) if schemes else made


def resized(
    model: nn.Module,
    groups: Groups,
    sizes: Mapping[str, int],
    *,
    weights: Weights = "inherit",
    importance: Importance = "magnitude",
    data: Data | None = None,
    seed: int = 0,
    scores: Mapping[str, FloatArray] | None = None,
) -> nn.Module:
    """As `resize`, for a module whose groups are known and, if given, the scores of their units."""
    if weights not in WEIGHTS:
        raise unknown("way to take weights", weights, WEIGHTS)
    for name, size in sizes.items():
        check_size(groups[name], size)
    wanted = {groups[name].name: int(size) for name, size in sizes.items()}
    changed = {name: size for name, size in wanted.items() if size != groups[name].size}
    if weights == "scratch":
        made = at_sizes(model, groups, changed, seed=seed)
        initialise(made, seed=seed)
        return made
    if scores is None and changed:
        scores = unit_scores(model, groups, how=importance, data=data)
    return rebuilt(model, groups, plan(model, groups, changed, scores or {}), seed=seed)


def at_sizes(model: nn.Module, groups: Groups, sizes: Mapping[str, int], *, seed: int = 0) -> nn.Module:
    """A copy in which groups have these sizes, whatever becomes of what it computes."""
    zeros = {group.name: np.zeros(group.size) for group in groups.groups}
    return rebuilt(model, groups, plan(model, groups, sizes, zeros, exact=False), seed=seed)


def plan(
    model: nn.Module,
    groups: Groups,
    sizes: Mapping[str, int],
    scores: Mapping[str, FloatArray],
    *,
    exact: bool = True,
) -> dict[str, Change]:
    """What becomes of each named group; if `exact`, UserError where growing can't keep the function."""
    changes = {}
    for name, size in sizes.items():
        group = groups[name]
        if size <= group.size:
            changes[name] = shrunk(group, size, scores[name])
            continue
        if exact and not keeps_statistics(model, groups, group, size):
            raise _inexact(group, size)
        split = not exact or must_split(model, groups, group)
        changes[name] = grown(group, size, scores[name], split=split)
    return changes


def initialise(model: nn.Module, *, seed: int) -> None:
    """Starts every layer anew from the seed, by its own rule.

    Where a linear layer's outputs go through a ReLU and out of the network, their biases start above 0: an
    output below 0 for every sample would never learn.
    """
    captured = Graph(model).model  # of the same layers, in the order in which they run
    reset(captured, seed=seed)
    _reset_others(model, captured, seed=seed)
    last = _rectified_output(captured)
    if last is not None and last.bias is not None:
        nn.init.constant_(last.bias, RELU_OUTPUT_START)


def _reset_others(model: nn.Module, captured: nn.Module, *, seed: int) -> None:
    """Modules that hold parameters and that capture looks into, or does not reach."""
    known = set(captured.modules())
    for module in model.modules():
        if module not in known and any(True for _ in module.parameters(recurse=False)):
            reset(module, seed=seed)


def _rectified_output(model: nn.Module) -> nn.Linear | None:
    if not isinstance(model, fx.GraphModule):
        return None
    output = next(node for node in model.graph.nodes if node.op == "output")
    last = output.args[0]
    if not isinstance(last, fx.Node) or not _is_relu(model, last):
        return None
    before = last.args[0]
    if not isinstance(before, fx.Node) or before.op != "call_module":
        return None
    module = model.get_submodule(str(before.target))
    return module if isinstance(module, nn.Linear) else None


def _is_relu(model: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(model.get_submodule(str(node.target)), nn.ReLU)
    return node.target in (torch.relu, nn.functional.relu, "relu")


def _shrinks(groups: Groups, sizes: Mapping[str, int]) -> bool:
    return any(size < groups[name].size for name, size in sizes.items())


def _inexact(group: Group, size: int) -> UserError:
    near = max(2, round(size / group.size)) * group.size
    return UserError(
        f"{group.name}: growing from {group.size} to {size} channels would change what its norms over the "
        f"channels see; the nearest size that keeps the function is {near}, or take weights = scratch"
    )


def _check_runs(model: nn.Module, inputs: Sequence[Any], sizes: Mapping[str, int]) -> None:
    try:
        run_in_eval_mode(model, run=lambda: called(model, inputs))
    except Exception as error:
        wanted = ", ".join(f"{name} = {size}" for name, size in sizes.items())
        raise UserError(
            f"the network doesn't run with {wanted}: {describe_error(error)}; take other sizes"
        ) from error

"""The groups of a network: found by following its channels through one run, then checked on the network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.modules import Data
from widthwise.network.calling import called
from widthwise.network.graph import Graph
from widthwise.network.reading import as_plain
from widthwise.network.widths.changes import Change, grown, shrunk
from widthwise.network.widths.coupling import couple
from widthwise.network.widths.example import example_input
from widthwise.network.widths.groups import Group, Groups, group_channels
from widthwise.network.widths.rebuild import rebuilt

HALVES = (torch.float16, torch.bfloat16)
TOLERANCE = 1e-4  # of the largest output, in single precision


def find_groups(graph: Graph | nn.Module, example: Data | Tensor | Sequence[Any] | None = None) -> Groups:
    """The groups of channels of a network, each of which can be resized alone.

    A group is taken only if changing the order of its channels leaves what the network computes as it is,
    which is what coupled means, and if the network runs with fewer of them; else it is listed as fixed, with
    the reason. Inputs and outputs of the network are fixed. `example` is an input, or data to take one from;
    without it one is guessed. Raises UserError where the network does not run.
    """
    model = graph.network if isinstance(graph, Graph) else graph
    probe = _probe(model)
    inputs = _as_the_probe(probe, example_input(model, example))
    return _checked(probe, group_channels(probe, couple(probe, inputs)), inputs)


def _probe(model: nn.Module) -> nn.Module:
    """A copy with random weights: a special value, such as a dead unit, could hide a wrong group.

    It is on the CPU, and of single precision where the network's is half.
    """
    try:
        probe = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    except Exception as error:  # a module may hold anything
        raise UserError(
            f"{type(model).__name__} can't be copied: {describe_error(error)}; its widths can't be changed "
            "or searched, but formats can be"
        ) from error
    if any(parameter.dtype in HALVES for parameter in probe.parameters()):
        probe = probe.float()
    generator = torch.Generator().manual_seed(0)

    def drawn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like)

    with torch.no_grad():
        for parameter in probe.parameters():
            width = max(1, parameter[0].numel()) if parameter.ndim > 1 else 4
            parameter.copy_(drawn(parameter) / width**0.5)
        for name, buffer in probe.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * drawn(buffer))
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + drawn(buffer).abs())
    return probe


def _as_the_probe(probe: nn.Module, inputs: Sequence[Any]) -> tuple[Any, ...]:
    def moved(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return x.cpu().float() if x.dtype in HALVES else x.cpu()

    return tuple(tree_map(moved, x) for x in inputs)


def _checked(probe: nn.Module, groups: Groups, inputs: Sequence[Any]) -> Groups:
    """The groups without those that fail; raises UserError where some only fail together."""
    expected = _outputs(probe, inputs)
    refused: dict[str, str] = {}
    parts = [list(groups.groups)]
    while parts:  # by halves: most networks have few that fail
        part = parts.pop()
        complaint = _complaint(probe, groups, part, inputs, expected) if part else None
        if complaint is not None and len(part) == 1:
            refused[part[0].name] = complaint
        elif complaint is not None:
            parts += [part[: len(part) // 2], part[len(part) // 2 :]]
    if not refused:
        return groups
    left = groups.without(refused)
    if (complaint := _complaint(probe, left, left.groups, inputs, expected)) is not None:
        raise UserError(f"the groups of channels can't be told apart: {complaint}; search formats instead")
    return left


def _complaint(
    probe: nn.Module,
    groups: Groups,
    chosen: Sequence[Group],
    inputs: Sequence[Any],
    expected: Sequence[Tensor],
) -> str | None:
    """What is wrong with these groups, if anything is."""
    generator = np.random.default_rng(0)
    try:
        shuffled = rebuilt(probe, groups, {group.name: _shuffled(group, generator) for group in chosen})
        if not _same(expected, _outputs(shuffled, inputs)):
            return "changing their order changes what the network computes, so they aren't free to change"
    except Exception as error:
        return f"their layers can't be rebuilt: {describe_error(error)}"
    try:
        _outputs(rebuilt(probe, groups, _halved(chosen)), inputs)
    except Exception as error:
        return f"the network doesn't run with fewer of them: {describe_error(error)}"
    return _complaint_of_more(probe, groups, _doubled(groups, chosen), inputs, expected)


def _complaint_of_more(
    probe: nn.Module,
    groups: Groups,
    doubled: Mapping[str, Change],
    inputs: Sequence[Any],
    expected: Sequence[Tensor],
) -> str | None:
    try:
        if doubled and not _same(expected, _outputs(rebuilt(probe, groups, doubled), inputs)):
            return "numbers that the code reads don't follow them"
    except UserError:  # two layers of one weight, which can't grow
        return None
    except Exception as error:
        return f"the network doesn't run with more of them: {describe_error(error)}"
    return None


def _doubled(groups: Groups, chosen: Sequence[Group]) -> Mapping[str, Change]:
    """Two copies of each unit, which keep the function, where attributes were matched by their values."""
    matched = {known.group for known in groups.attributes}
    return {
        group.name: grown(group, 2 * group.size, np.zeros(group.size), split=True)
        for group in chosen
        if group.name in matched
    }


def _shuffled(group: Group, generator: np.random.Generator) -> Change:
    """Another order within each block."""
    each = group.size // group.blocks
    order = [block * each + generator.permutation(each) for block in range(group.blocks)]
    return Change(np.concatenate(order))


def _halved(chosen: Sequence[Group]) -> Mapping[str, Change]:
    sizes = {group.name: group.nearest_size(group.size / 2) for group in chosen}
    return {
        group.name: shrunk(group, sizes[group.name], np.zeros(group.size))
        for group in chosen
        if sizes[group.name] < group.size
    }


def _outputs(model: nn.Module, inputs: Sequence[Any]) -> list[Tensor]:
    with torch.no_grad():
        return [
            leaf for leaf in tree_leaves(as_plain(called(model.eval(), inputs))) if isinstance(leaf, Tensor)
        ]


def _same(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    return len(first) == len(second) and all(
        a.shape == b.shape and bool((a - b).abs().max() <= TOLERANCE * (1e-6 + float(a.abs().max())))
        for a, b in zip(first, second, strict=True)
    )

"""A network with changed groups: every layer gets its new sizes and the tensors that go with them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from widthwise.core.errors import UserError
from widthwise.network.stored import attribute
from widthwise.network.widths.changes import Change, side_channels
from widthwise.network.widths.channels import Channels
from widthwise.network.widths.groups import Groups, Member
from widthwise.network.widths.kinds import (
    axes,
    channel_count,
    is_transposed_linear,
    reset_transposed_linear,
    set_sizes,
)
from widthwise.network.widths.slicing import sliced


def rebuilt(model: nn.Module, groups: Groups, changes: Mapping[str, Change], *, seed: int = 0) -> nn.Module:
    """A copy of the network in which these groups are changed, its weights cut and copied; see `Change`."""
    generator = torch.Generator().manual_seed(seed)
    made = copy.deepcopy(model)
    tied = _tied(made)
    sides = changed_sides(groups, changes)
    modules = dict(made.named_modules())
    for owner in dict.fromkeys(member.owner for member in sides):
        inputs, outputs = sides.get(Member(owner, "in")), sides.get(Member(owner, "out"))
        if owner in modules:
            with torch.no_grad():
                tensors = sliced(modules[owner], inputs, outputs, generator)
            _set_layer(modules[owner], tensors, inputs, outputs, generator)
        else:
            old = attribute(made, owner)
            tensor = sliced_parameter(old.detach(), owner, sides, groups, generator)
            made_anew = nn.Parameter(tensor.clone(), requires_grad=old.requires_grad)
            for known in next((names for names in tied if owner in names), [owner]):
                parent, _, name = known.rpartition(".")
                setattr(made.get_submodule(parent), name, made_anew)
    set_attributes(modules, groups, {name: len(change.sources) for name, change in changes.items()})
    _tie(made, tied)
    return made


def set_attributes(modules: Mapping[str, nn.Module], groups: Groups, sizes: Mapping[str, int]) -> None:
    """Gives modules the numbers that their code reads, for the groups of these sizes."""
    by_name = {groups[name].name: size for name, size in sizes.items()}
    for known in groups.attributes:
        if known.group in by_name:
            setattr(modules[known.module], known.name, known.each * by_name[known.group])


def sliced_parameter(
    tensor: Tensor,
    owner: str,
    sides: Mapping[Member, Channels],
    groups: Groups,
    generator: torch.Generator,
) -> Tensor:
    """A parameter that belongs to no layer, its axes cut to their new channels."""
    for member, place in groups.parameter_axes.items():
        if member.owner != owner or member not in sides:
            continue
        side = sides[member]
        tensor = side.take(tensor, place.axis)
        if side.split and place.reads:
            shares = side.shares(1, generator)[0].to(tensor)
            tensor = tensor * shares.reshape(-1, *[1] * (tensor.ndim - 1 - place.axis))
    return tensor


def changed_sides(groups: Groups, changes: Mapping[str, Change]) -> dict[Member, Channels]:
    """The sides that the changes touch, with their new channels."""
    by_number = {groups.index(groups[name]): change for name, change in changes.items()}
    sides = {member: side_channels(layout, by_number) for member, layout in groups.layouts.items()}
    return {member: channels for member, channels in sides.items() if channels is not None}


def resize_attributes(
    module: nn.Module, inputs: Channels | None, outputs: Channels | None, *, like: nn.Module
) -> None:
    """Gives a layer the sizes of its new sides; its tensors stay as they are. For `like` see set_sizes."""
    new_in = inputs.size if inputs is not None else channel_count(like, "in") or 0
    new_out = outputs.size if outputs is not None else channel_count(like, "out") or 0
    set_sizes(module, new_in, new_out, like=like)


def _set_layer(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    inputs: Channels | None,
    outputs: Channels | None,
    generator: torch.Generator,
) -> None:
    resize_attributes(module, inputs, outputs, like=copy.copy(module))
    for name, tensor in tensors.items():
        holder = module.get_submodule(name.rpartition(".")[0])
        short = name.rpartition(".")[2]
        old = getattr(holder, short)
        if isinstance(old, nn.Parameter):
            setattr(holder, short, nn.Parameter(tensor.detach().clone(), requires_grad=old.requires_grad))
        else:
            setattr(holder, short, tensor.detach().clone())
    if any(side is not None and bool(side.fresh.any()) for side in (inputs, outputs)):
        _fill_fresh(module, inputs, outputs, generator)


def _fill_fresh(
    module: nn.Module, inputs: Channels | None, outputs: Channels | None, generator: torch.Generator
) -> None:
    """New units get initial weights; what was there before reads them with weight 0."""
    initial = copy.deepcopy(module)
    reset(initial, seed=int(torch.randint(2**31, (1,), generator=generator)))
    with torch.no_grad():
        for name, axis in axes(module).items():
            tensor = getattr(module, name, None)
            if not isinstance(tensor, Tensor):
                continue
            if inputs is not None and axis.inputs is not None:
                tensor.index_fill_(axis.inputs, _places(inputs, tensor), 0.0)
            if outputs is not None and axis.out is not None:
                rows = _places(outputs, tensor)
                tensor.index_copy_(axis.out, rows, getattr(initial, name).index_select(axis.out, rows))


def _places(channels: Channels, like: Tensor) -> Tensor:
    return channels.fresh.nonzero()[:, 0].to(like.device)


def reset(module: nn.Module, *, seed: int) -> None:
    """Initial values for a layer and what it holds, by the layer's own rule; the random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in module.modules():
            for method in ("reset_parameters", "_reset_parameters"):
                if callable(start := getattr(layer, method, None)):
                    start()
                    break
            else:
                if is_transposed_linear(layer):
                    reset_transposed_linear(layer)


def _tied(model: nn.Module) -> list[list[str]]:
    """Names of each parameter that has several."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [known for known in names.values() if len(known) > 1]


def _tie(model: nn.Module, tied: Sequence[Sequence[str]]) -> None:
    for first, *others in tied:
        kept = attribute(model, first)
        for name in others:
            if attribute(model, name) is kept:
                continue  # one layer under two names
            if not torch.equal(attribute(model, name), kept):
                raise UserError(
                    f"{first} and {name} are one weight, which the new sizes would make two; shrink only"
                )
            parent, _, short = name.rpartition(".")
            setattr(model.get_submodule(parent), short, kept)

"""Networks of narrower widths inside the widest one: where their tensors lie in its own, zero elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.rebuild import rebuilt
from widthwise.network.widths.resize import at_sizes
from widthwise.training.supernet import leading

if TYPE_CHECKING:
    from widthwise.data.modules import Data
    from widthwise.network.widths.groups import Groups

    Sizes = Mapping[str, int]


class Widest:
    """A network at the largest sizes of its groups, as a place for networks of smaller ones.

    model: of these sizes; its weights say nothing.
    """

    def __init__(self, network: nn.Module, groups: Groups, largest: Sizes, data: Data) -> None:
        self.model = at_sizes(network, groups, largest)
        self._groups, self._data = groups, data

    def places(self, sizes: Sizes) -> dict[str, Tensor]:
        """Of each tensor of a network of these sizes, by name, which elements of the widest one's it holds.

        Tensors of indices into the flat tensor, in the shape of the narrow one.
        """
        changes = {name: leading(self._own, name, size) for name, size in sizes.items()}
        cut = rebuilt(self._numbered, self._own, changes)
        return {name: tensor.detach().long() for name, tensor in tensors_of(cut).items()}

    @cached_property
    def _own(self) -> Groups:
        """The groups of the widest network, by the same names."""
        return find_groups(self.model, self._data)

    @cached_property
    def _numbered(self) -> nn.Module:
        """The widest network, each element of its tensors its own number in them: cut, they say where they
        are from."""
        made = copy.deepcopy(self.model).double()
        with torch.no_grad():
            for tensor in tensors_of(made).values():
                tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
        return made


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Its parameters and buffers, those that are tied once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def padded(
    models: Sequence[nn.Module], places: Sequence[Mapping[str, Tensor]], like: nn.Module
) -> dict[str, Tensor]:
    """By name the tensors [K, ...] of K networks in the shapes of the widest, `like`; zero elsewhere."""
    own, found = [tensors_of(model) for model in models], {}
    for name, wide in tensors_of(like).items():
        flat = torch.zeros(len(models), wide.numel(), dtype=wide.dtype)
        for row, (tensors, place) in enumerate(zip(own, places, strict=True)):
            flat[row, place[name].flatten()] = tensors[name].detach().cpu().flatten()
        found[name] = flat.reshape(len(models), *wide.shape)
    return found


def fill(model: nn.Module, wide: Mapping[str, Tensor], places: Mapping[str, Tensor]) -> None:
    """Gives a network its part of tensors of the widest one."""
    with torch.no_grad():
        for name, tensor in tensors_of(model).items():
            tensor.copy_(wide[name].cpu().flatten()[places[name]])

"""A realised network without the channels of which no bit reaches an output: the same outputs, fewer of them
computed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_weights
from widthwise.formats.hull import hull_of
from widthwise.formats.integer_each import IntegerEach
from widthwise.network.calling import positional
from widthwise.network.pruning.flow import Flow, flow
from widthwise.network.pruning.unused import Reader, bias_fraction, kept_units, readers
from widthwise.network.scheme import TENSORS, Scheme
from widthwise.network.widths.changes import Change
from widthwise.network.widths.channels import Channels
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.groups import Groups, Layout, Member
from widthwise.network.widths.rebuild import changed_sides
from widthwise.network.widths.slicing import sliced

if TYPE_CHECKING:
    from widthwise.formats.base import Format
    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised


@dataclass(frozen=True, eq=False)
class Pruned:
    """A realised network, and of each group of channels that lost some how many it had and has.

    folded: channels that went although they had bits, as they are the same for every input: what they add is
    in the biases of the layers that read them.
    """

    realised: Realised
    channels: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    folded: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What went, a sentence."""
        if not self.channels:
            return ()
        gone = sum(before - after for before, after in self.channels.values())
        listed = ", ".join(f"{name} {b} to {a}" for name, (b, a) in self.channels.items())
        into = f"; {self.folded} of them never change, and went into biases" if self.folded else ""
        channels = "channels that add no bit" if gone > 1 else "channel that adds no bit"
        return (f"without {gone} {channels} to any output: {listed}{into}",)


def pruned(realised: Realised) -> Pruned:
    """The same network without channels that no output needs, each output as it was, bit for bit.

    They go from networks with widths by part, of linear layers, convolutions, sums and what passes channels
    on; any other network stays as it is. A channel goes where no layer that reads it has bits of it or
    multiplies it by other than zero; one that is the same for every input goes into the biases of what reads
    it where that is exact. Inputs and outputs of the network stay, and of each group of channels one.
    realised: complete, with its weights (see `Realised.complete`).
    """
    if not _has_parts(realised.schemes):
        return Pruned(realised)
    graph = realised.graph()
    given = positional(graph.model, realised.example())
    if graph.capture != "fx" or not given or not _is_fixed(graph):
        return Pruned(realised)
    before = replace(realised, weights=None, schemes={}, marks={}, folded=False).graph()
    try:
        groups = find_groups(before, given)
    except UserError:  # channels that can't be followed stay
        return Pruned(realised)
    found = flow(graph, groups, given)
    if found is None or any(
        (known is None or known.layout is None) and _parts(graph.schemes[name].data_in) > 1
        for name, known in found.sums.items()
    ):
        return Pruned(realised)
    return _Pruning(realised, groups, found).made()


def _has_parts(schemes: Mapping[str, Scheme]) -> bool:
    """Whether some numbers have no bits."""
    formats = [scheme[tensor] for scheme in schemes.values() for tensor in TENSORS]
    return any(isinstance(fmt, IntegerEach) and not fmt.table[0].all() for fmt in formats)


def _is_fixed(graph: Graph) -> bool:
    """Whether every layer that computes with formats has fixed point alone."""
    for layer in graph.layers:
        scheme = graph.schemes[layer.name]
        if scheme and any(hull_of(scheme[tensor]) is None for tensor in layer.tensors):
            return False
        if layer.stored and not scheme:
            return False
    return True


def _parts(fmt: Format | None) -> int:
    return fmt.table[0].size if isinstance(fmt, IntegerEach) else 1


class _Pruning:
    """The tensors and formats of each layer, cut to the channels that stay."""

    def __init__(self, realised: Realised, groups: Groups, found: Flow) -> None:
        self.realised, self.groups, self.flow = realised, groups, found
        self.readers = readers(found, groups, realised.schemes)
        self.kept = kept_units(groups, self.readers)
        self.sides = changed_sides(groups, {name: Change(units) for name, units in self.kept.items()})

    def made(self) -> Pruned:
        """The network, and what went."""
        if not self.kept:
            return Pruned(self.realised)
        weights, schemes = dict(self.realised.weights or {}), dict(self.realised.schemes)
        for name, reader in self.readers.items():
            tensors, schemes[name] = self._cut(reader, schemes[name])
            weights |= {f"{reader.layer.owner}.{key}": x for key, x in tensors.items()}
        for name, known in self.flow.sums.items():
            if known is not None and known.layout is not None and name in schemes:
                data = taken(schemes[name].data_in, self._staying(known.layout), known.axis)
                schemes[name] = replace(schemes[name], data_in=data)
        sizes = {**self.realised.sizes, **{name: len(units) for name, units in self.kept.items()}}
        bare = replace(self.realised, sizes=sizes, weights=weights, schemes={}, marks={})
        marks = {**self.realised.marks, "weights": hash_weights(bare.graph().model)}
        channels = {name: (self.groups[name].size, len(units)) for name, units in self.kept.items()}
        return Pruned(replace(bare, schemes=schemes, marks=marks), channels, self._folded())

    def _cut(self, reader: Reader, scheme: Scheme) -> tuple[dict[str, Tensor], Scheme]:
        """A layer's tensors that change, and its scheme."""
        layer, module = reader.layer, reader.layer.module
        inputs, outputs = (self.sides.get(Member(layer.owner, side)) for side in ("in", "out"))
        of_data = outputs if reader.alike and Member(layer.owner, "in") not in self.groups.layouts else inputs
        gone = layer.shares[:, self._gone(reader)].sum(1)
        if gone.any():
            module, bias = _with_bias(module, layer.bias + gone)
            scheme = replace(scheme, bias=bias)
        made = Scheme(
            taken(scheme.data_in, _index(of_data), layer.axis),
            _of_weight(scheme.weight, module, inputs, outputs),
            taken(scheme.bias, _index(outputs), -1),
        )
        with torch.no_grad():
            return sliced(module, inputs, outputs, torch.Generator()), made

    def _staying(self, layout: Layout) -> IntArray | None:
        """Which channels of a tensor stay; None: all."""
        names = {self.groups.index(self.groups[name]): units for name, units in self.kept.items()}
        stays = np.ones(len(layout.group), dtype=bool)
        for number, units in names.items():
            stays &= (layout.group != number) | np.isin(layout.unit, units)
        return None if stays.all() else np.flatnonzero(stays)

    def _gone(self, reader: Reader) -> NDArray[np.bool_]:
        """Which channels a layer reads no more, [inputs]."""
        gone = np.zeros(len(reader.inputs.group), dtype=bool)
        if (
            not reader.alike
            and (index := _index(self.sides.get(Member(reader.layer.owner, "in")))) is not None
        ):
            gone[:] = True
            gone[index] = False
        return gone

    def _folded(self) -> int:
        """How many channels went that were not zero where they are read."""
        found: set[tuple[int, int]] = set()
        for reader in self.readers.values():
            rows = self._staying(reader.outputs)
            shares = reader.layer.shares if rows is None else reader.layer.shares[rows]
            at = (shares != 0).any(0) & self._gone(reader)
            found.update(zip(reader.inputs.group[at].tolist(), reader.inputs.unit[at].tolist(), strict=True))
        return len(found)


def taken(fmt: Format | None, index: IntArray | None, axis: int) -> Format | None:
    """A format of what is left of a tensor along an axis, counted from the last (-1), as channels have it."""
    if not isinstance(fmt, IntegerEach) or index is None or len(fmt.shape) < -axis or fmt.shape[axis] == 1:
        return fmt
    return _format(*(np.take(table, index, axis) for table in fmt.table), signed=fmt.signed)


def _format(widths: IntArray, fractions: IntArray, *, signed: bool) -> IntegerEach:
    return IntegerEach(
        tuple(map(int, widths.ravel())), tuple(map(int, fractions.ravel())), tuple(widths.shape), signed
    )


def _index(channels: Channels | None) -> IntArray | None:
    return None if channels is None else channels.index.numpy()


def _of_weight(
    fmt: Format | None, module: nn.Module, inputs: Channels | None, outputs: Channels | None
) -> Format | None:
    """The format of what is left of a weight."""
    weight = cast(Tensor, module.weight)
    if not isinstance(fmt, IntegerEach) or fmt.table[0].size == 1:
        return fmt
    if fmt.shape == (len(weight), *[1] * (weight.ndim - 1)):
        return taken(fmt, _index(outputs), -weight.ndim)
    tables = []
    for table in fmt.spread(weight.shape):
        holder = _holding(module, weight=torch.from_numpy(table.astype(np.float64)))
        left = sliced(holder, inputs, outputs, torch.Generator()).get("weight", holder.weight)
        tables.append(cast(Tensor, left).detach().numpy().astype(np.int64))
    return _format(tables[0], tables[1], signed=fmt.signed)


def _with_bias(module: nn.Module, values: FloatArray) -> tuple[nn.Module, IntegerEach]:
    """A copy of a layer with another bias, and the format that has just its values."""
    fraction = bias_fraction(values[:, None])
    assert fraction is not None
    codes = np.rint(values * 2.0**fraction).astype(np.int64)
    even = np.where(codes == 0, 1, codes & -codes)  # the power of two that divides each
    codes, fractions = codes // even, fraction - np.log2(even).astype(np.int64)
    magnitudes = np.where(codes < 0, -codes - 1, codes)
    widths = np.where(codes == 0, 0, np.frexp(magnitudes.astype(np.float64))[1] + 1)
    bias = torch.from_numpy(values).to(cast(Tensor, module.bias).dtype)
    return _holding(module, bias=bias), _format(widths, fractions, signed=True)


def _holding(module: nn.Module, **tensors: Tensor) -> nn.Module:
    """A layer of the same kind and settings with other tensors."""
    made = copy.copy(module)
    given = {name: nn.Parameter(x, requires_grad=False) for name, x in tensors.items()}
    made._parameters = {**module._parameters, **given}
    return made

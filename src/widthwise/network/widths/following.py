"""A network run once, with the channels of every tensor followed through what it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.network.calling import called
from widthwise.network.widths.call import Call, UnfollowedError
from widthwise.network.widths.facets import Facets, Joins, varying
from widthwise.network.widths.rules import follow
from widthwise.network.widths.whole import WHOLE, LayerSides, Whole

OUTPUTS = "they are outputs of the network"
SHAPED = ("view", "_unsafe_view", "split", "split_with_sizes", "expand", "slice")  # by sizes that code gives
STATES = ("past_key_values",)  # what a network returns for its own next call


@dataclass(frozen=True, eq=False)
class Reading:
    """Shapes that a module's code asked for: the channels that lay along a dimension of this size."""

    module: str
    size: int
    channels: Tensor  # [size, those at each place]


@dataclass(eq=False)
class Followed:
    """What a run tells: channels that change together, are fixed, are averaged over; sizes that were read."""

    joins: Joins
    fixed: list[tuple[Tensor, str]] = field(default_factory=list)
    averaged: list[Tensor] = field(default_factory=list)
    read: list[Tensor] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    other_sizes: dict[str, set[int]] = field(default_factory=dict)  # by module, where no channels lay


def run_followed(
    model: nn.Module,
    inputs: Sequence[Any],
    layers: Mapping[str, LayerSides],
    tensors: Mapping[Tensor, Facets],
    joins: Joins,
) -> Followed:
    """Runs the network in the mode it is in; layers: by module name; tensors: facets of what it holds.

    Raises UserError where the network does not run.
    """
    followed = Followed(joins)
    mode = _Following(followed, {name: layers[name] for name in layers}, tensors, model)
    entered: list[str] = []
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(_without_shortcuts())
            stack.enter_context(_hooks(model, mode, entered))
            stack.enter_context(mode)
            outputs = called(model, inputs)
    except UserError:
        raise
    except Exception as error:  # the network may raise anything
        place = f" in {entered[-1]}" if entered else ""
        raise UserError(
            f"the channels of {type(model).__name__} can't be followed{place}: {describe_error(error)}; "
            "its widths can't be changed or searched, but formats can be"
        ) from error
    for tensor in _results(outputs):
        for facet in mode.facets(tensor):
            followed.fixed.append((facet, OUTPUTS))
    return followed


def _results(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Mapping):
        outputs = [value for name, value in outputs.items() if name not in STATES]
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]


@contextmanager
def _without_shortcuts() -> Iterator[None]:
    """Attention as the products that it is made of, where torch has one operation for all."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Following(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows channels through each basic operation while it is entered."""

    def __init__(
        self,
        followed: Followed,
        layers: Mapping[str, LayerSides],
        tensors: Mapping[Tensor, Facets],
        model: nn.Module,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.followed, self.layers = followed, layers
        self.known: MutableMapping[Tensor, Facets] = WeakIdKeyDictionary()
        self.own: MutableMapping[Tensor, bool] = WeakIdKeyDictionary()
        for tensor, facets in tensors.items():
            self.known[tensor] = facets
            if not any(followed.joins.is_of_layers(facet) for facet in facets):
                self.own[tensor] = True
        self.weights: MutableMapping[Tensor, LayerSides] = WeakIdKeyDictionary()
        for name, module in model.named_modules():
            if name in layers and isinstance(weight := getattr(module, "weight", None), Tensor):
                self.weights[weight] = layers[name]
        self.modules: list[str] = []  # whose code is running
        self.inside = 0  # layers that are followed as a whole

    def facets(self, tensor: Any) -> Facets:
        """The facets of a tensor; none of anything else."""
        return self.known[tensor] if isinstance(tensor, Tensor) and tensor in self.known else ()

    def sides(self, weight: Any) -> tuple[Tensor | None, Tensor | None]:
        """The sides of the layer whose weight this is."""
        if not isinstance(weight, Tensor) or weight not in self.weights:
            return None, None
        layer = self.weights[weight]
        return layer.inputs, layer.outputs

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.inside:
            outputs = tuple(_tensors_of(result))
            if outputs:
                self._follow(func, _bound(func, args, kwargs or {}), outputs)
        return result

    def _follow(self, func: Any, args: dict[str, Any], outputs: tuple[Tensor, ...]) -> None:
        name = func.overloadpacket.__name__
        call = Call(
            name,
            func,
            args,
            outputs,
            self.facets,
            self.sides,
            self.followed.joins,
            self.fix,
            self.followed.averaged.append,
            self.read,
        )
        try:
            kept = follow(call)
        except UnfollowedError:
            for tensor in tree_leaves(list(args.values())):
                for facet in self.facets(tensor):
                    self.fix(facet, f"they go through {name}, which can't be followed")
            kept = tuple(() for _ in outputs)
        for tensor, facets in zip(outputs, kept, strict=True):
            if along_any := tuple(facet for facet in facets if varying(facet)):
                self.known[tensor] = along_any
                self._note_sizes(name, tensor, along_any)
            elif tensor in self.known:
                del self.known[tensor]

    def fix(self, facet: Tensor, reason: str) -> None:
        """The channels of a facet can't change."""
        self.followed.fixed.append((facet, reason))

    def read(self, tensor: Any, facet: Tensor) -> None:
        """A parameter of the network's own, or a view of one, reads these channels."""
        if any(x is not None and x in self.own for x in (tensor, tensor._base)):
            self.followed.read.append(facet)

    def _note_sizes(self, name: str, tensor: Tensor, facets: Facets) -> None:
        if name not in SHAPED:
            return
        module = self.modules[-1]
        lying = set()
        for facet in facets:
            for dim in varying(facet):
                lying.add(dim)
                channels = facet.movedim(dim, 0).flatten(1)
                self.followed.readings.append(Reading(module, facet.shape[dim], channels))
        others = {size for dim, size in enumerate(tensor.shape) if dim not in lying}
        self.followed.other_sizes.setdefault(module, set()).update(others)


def _tensors_of(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    return [x for x in result if isinstance(x, Tensor)] if isinstance(result, list | tuple) else []


def _bound(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by the names of the schema."""
    found = {}
    for place, argument in enumerate(func._schema.arguments):
        if place < len(args):
            found[argument.name] = args[place]
        elif argument.name in kwargs:
            found[argument.name] = kwargs[argument.name]
        elif argument.has_default_value():
            found[argument.name] = argument.default_value
    return found


@contextmanager
def _hooks(model: nn.Module, mode: _Following, entered: list[str]) -> Iterator[None]:
    """Tells the mode which module's code runs, and follows some layers as a whole."""
    handles = []
    for name, module in model.named_modules():
        whole = WHOLE.get(type(module)) if name in mode.layers else None
        handles += [
            module.register_forward_pre_hook(_enter(name, mode, entered, whole=whole is not None)),
            module.register_forward_hook(_leave(name, mode, entered, whole), with_kwargs=True),
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _enter(name: str, mode: _Following, entered: list[str], *, whole: bool) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        entered.append(f"{name or 'the network'} ({type(module).__name__})")
        mode.modules.append(name)
        mode.inside += whole

    return hook


def _leave(name: str, mode: _Following, entered: list[str], whole: Whole | None) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        entered.pop()
        mode.modules.pop()
        if whole is not None:
            mode.inside -= 1
            given = [*args, *kwargs.values()]
            found = whole(mode.facets, mode.followed.joins, mode.layers[name], module, given, output)
            for tensor, facets in found:
                mode.known[tensor] = facets

    return hook

"""Which channels are one unit: torch-pruning's dependency graph, followed channel by channel."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.network.reading import as_plain

Side = Literal["in", "out"]


class Channel(NamedTuple):
    """One channel of a side of a module, of a parameter outside them, or of an operation (a number)."""

    owner: str | int
    side: Side
    place: int


@dataclass
class Coupling:
    """Channels that must change together: a disjoint-set forest over all that was reached.

    outputs: operations whose channels are the network's outputs. producers: names of what makes new channels
    (linear layers, convolutions, embeddings, parameters), with their numbers of channels, in the order of
    execution.
    """

    parent: dict[Channel, Channel] = field(default_factory=dict)
    outputs: set[int] = field(default_factory=set)
    producers: dict[str, int] = field(default_factory=dict)
    parameter_axes: dict[str, int] = field(default_factory=dict)

    def find(self, channel: Channel) -> Channel:
        """The channel that stands for all that are coupled with this one."""
        root = channel
        while (above := self.parent.setdefault(root, root)) != root:
            root = above
        while channel != root:
            self.parent[channel], channel = root, self.parent[channel]
        return root

    def join(self, first: Channel, second: Channel) -> None:
        """Records that the two change together."""
        self.parent[self.find(first)] = self.find(second)


def couple(model: nn.Module, example: Sequence[Any]) -> Coupling:
    """The coupling of all channels that the producers' outputs reach.

    `model` is a copy that may be used up: all its parameters must require gradients, for torch-pruning
    follows those. Raises UserError where it can't: which module, and what still works.
    """
    graph = _dependency_graph(model, example)
    # the nodes are found from the output backwards, so the reverse is near the order of execution
    producers = {_name(graph, node): node for node in graph.module2node.values() if _is_producer(node)}
    names = [name for name, _ in model.named_modules()] + [name for name, _ in model.named_parameters()]
    coupling = Coupling()
    for name in sorted(producers, key=names.index):
        node = producers[name]
        count = graph.get_out_channels(node)
        coupling.producers[name] = count
        if isinstance(node.module, nn.Parameter):
            coupling.parameter_axes[name] = node.pruning_dim % node.module.ndim
        _follow(graph, node, count, coupling)
    _join_depthwise(model, coupling)
    return coupling


def _is_producer(node: Any) -> bool:
    from torch_pruning.ops import OPTYPE

    kinds = (OPTYPE.CONV, OPTYPE.LINEAR, OPTYPE.EMBED, OPTYPE.PARAMETER, OPTYPE.MHA, OPTYPE.LSTM)
    return node.type in kinds


def _name(graph: Any, node: Any) -> str:
    if isinstance(node.module, nn.Parameter):
        return str(graph._param_to_name[node.module])
    return str(graph._module2name[node.module])


def _follow(graph: Any, root: Any, count: int, coupling: Coupling) -> None:
    """Joins what the dependencies say, edge by edge, from the root's output channels on."""
    from torch_pruning.ops import OPTYPE

    start = graph.get_pruner_of_module(root.module).prune_out_channels
    todo = [(root, start, list(range(count)))]
    side = _side(graph, root, start)
    seen = {Channel(*side, index) for index in range(count)}
    while todo:
        node, function, indices = todo.pop()
        if node.type == OPTYPE.OUTPUT:
            coupling.outputs.add(node.module.id)
        source = _side(graph, node, function)
        for edge in node.dependencies:
            if not edge.is_triggered_by(function):
                continue
            fresh = []
            target = _side(graph, edge.target, edge.handler)
            for index, reached in _mapped(edge, indices):
                channel = Channel(*target, reached)
                coupling.join(Channel(*source, index), channel)
                if channel not in seen:
                    seen.add(channel)
                    fresh.append(reached)
            if fresh:
                todo.append((edge.target, edge.handler, fresh))


def _mapped(edge: Any, indices: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of a channel index at the edge's source and at its target."""
    from torch_pruning._helpers import _HybridIndex

    pairs = [_HybridIndex(idx=index, root_idx=index) for index in indices]
    for mapping in edge.index_mapping:
        if mapping is not None:
            pairs = mapping(pairs)
    for pair in pairs:
        if pair.root_idx is not None:
            yield pair.root_idx, pair.idx


def _side(graph: Any, node: Any, function: Callable[..., Any]) -> tuple[str | int, Side]:
    """The owner and the side of the channels that a pruning function of a node is about."""
    pruner = graph.get_pruner_of_module(node.module)
    two_sided = pruner.prune_in_channels != pruner.prune_out_channels
    owner = node.module.id if hasattr(node.module, "id") else _name(graph, node)
    return owner, "in" if two_sided and function == pruner.prune_in_channels else "out"


def _join_depthwise(model: nn.Module, coupling: Coupling) -> None:
    """Convolutions that make several outputs of each input channel: those change with their input.

    torch-pruning knows them only where each input gives one output.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.conv._ConvNd) and _makes_several(module):
            each = module.out_channels // module.in_channels
            for index in range(module.out_channels):
                coupling.join(Channel(name, "out", index), Channel(name, "in", index // each))


def _makes_several(module: nn.modules.conv._ConvNd) -> bool:
    return 1 < module.groups == module.in_channels < module.out_channels


def _dependency_graph(model: nn.Module, example: Sequence[Any]) -> Any:
    import torch_pruning

    entered: list[str] = []
    hooks = _watch(model, entered)
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # about parameters and operations: both are checked afterwards
            graph = torch_pruning.DependencyGraph()
            return graph.build_dependency(
                model,
                example_inputs=tuple(example),
                # its own tries twice and hides errors, and looks into no dataclass
                forward_fn=lambda network, inputs: as_plain(network(*inputs)),
                verbose=False,
            )
    except Exception as error:
        place = f" in {entered[-1]}" if entered else ""
        raise UserError(
            f"torch-pruning can't follow the channels of {type(model).__name__}{place}: "
            f"{describe_error(error)}; its widths can't be changed or searched, but formats can be"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def _watch(model: nn.Module, entered: list[str]) -> list[Any]:
    """Hooks that keep in `entered` the modules now at work, and refuse one that cuts the gradient."""

    def enter(name: str) -> Callable[..., None]:
        return lambda module, inputs: entered.append(f"{name or 'the network'} ({type(module).__name__})")

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        followed = any(isinstance(x, Tensor) and x.requires_grad for x in inputs)
        floating = isinstance(output, Tensor) and output.is_floating_point()
        if followed and floating and not output.requires_grad:
            raise RuntimeError("its output has no gradient, by which torch-pruning follows channels")
        entered.pop()

    return [
        hook
        for name, module in model.named_modules()
        for hook in (module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave))
    ]

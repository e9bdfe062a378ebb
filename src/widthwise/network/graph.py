"""Graphs: a captured network, its layers, and the schemes that they compute with."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal, cast

from torch import fx, nn

from widthwise.core.errors import UserError
from widthwise.core.screen import html_table, one_screen
from widthwise.network.asked import note_asked
from widthwise.network.called import layer_of_node
from widthwise.network.capture import Captured, Example, as_call, capture, difference
from widthwise.network.course import Course, out_of_reach
from widthwise.network.layer import Layer
from widthwise.network.named import load_model
from widthwise.network.operands import Call, Operand
from widthwise.network.output_channels import for_layer
from widthwise.network.placed import Placed
from widthwise.network.quantized import Quantized
from widthwise.network.reach import Unreached, unreached
from widthwise.network.recording import PLACE, named_arguments, recorded
from widthwise.network.scheme import Scheme
from widthwise.network.stored import StoredNodes
from widthwise.network.tracing import inputs_of_graph, traced
from widthwise.network.undisturbed import copied, uncompiled, unwrapped
from widthwise.network.wrapping import wrap_layer

Capture = Literal["fx", "running"]
HOW = "Graph(network, example)"
META = "widthwise"  # the key of our metadata in node.meta


class Graph:
    """A captured network: the module that runs, and the fx graph of its calls.

    Capture is by torch.fx where its graph does what the network does on the example; else the calls of a run
    are recorded, and the network itself runs, with schemes applied to its calls (see docs/networks.md).

    Args:
        model: the network, or the name of one; it stays as it is, and its float weights are shared. One that
            was compiled is taken as it was before.
        example: an input [samples, …], several of them, or names to inputs; None: one is guessed, and a
            network that no guess runs on is taken as torch.fx sees it until there is data (see `proved`).

    Every pass works on a copy. Raises UserError where the network can neither be traced nor run.
    """

    def __init__(self, model: nn.Module | str, example: Example | None = None) -> None:
        self.network = unwrapped(load_model(model))
        self.folded: Mapping[
            str, str
        ] = {}  # batch norms to the layers that they went into, "" where they stay
        self.equalised: Mapping[str, str] = {}  # layers to those with which their channels are equalised
        self.unfolded: Graph | None = None  # where some were folded, or equalised: the graph before
        self._schemes: dict[str, Scheme] = {}  # of a network that runs as it is
        self._trusted = False  # captured like a graph that was proved
        if isinstance(self.network, fx.GraphModule):
            call = None if example is None else as_call(self.network, example)
            self._captured = Captured(self.network, self.network.graph, None, call)
        else:
            self._captured = capture(self.network, example)
        self.model = self._captured.model

    def __repr__(self) -> str:
        return one_screen([f"{self._title()}:", *(f"  {name}: {words}" for name, words in self._shown())])

    def _repr_html_(self) -> str:
        return html_table(
            self._title(), ["layer", "type, and the formats that it computes with"], self._shown()
        )

    def _title(self) -> str:
        count = sum(parameter.numel() for parameter in self.network.parameters())
        how = "torch.fx" if self.capture == "fx" else "running it"
        return f"Graph of {type(self.network).__name__}, captured by {how}, {count:,} parameters"

    def _shown(self) -> list[tuple[str, str]]:
        """Layers with their type and scheme."""
        schemes = self.schemes
        return [
            (layer.name, f"{layer.type} {schemes[layer.name]}" if schemes[layer.name] else str(layer.type))
            for layer in self.layers
        ]

    @property
    def capture(self) -> Capture:
        """How the network was captured; where it runs as it is `capture_error` says why not by torch.fx."""
        return "fx" if isinstance(self.model, fx.GraphModule) else "running"

    @property
    def capture_error(self) -> str | None:
        """Why not by torch.fx."""
        return self._captured.why_not_fx

    @property
    def captured_on(self) -> Call | None:
        """The arguments by which it was captured; None: by none."""
        return self._captured.call

    @property
    def fx_graph(self) -> fx.Graph:
        """The nodes in execution order; of a recorded network a description, which nothing executes."""
        return self.model.graph if isinstance(self.model, fx.GraphModule) else self._captured.graph

    @property
    def modules(self) -> dict[str, nn.Module]:
        """All modules by the names that nodes target."""
        with uncompiled(self.model):
            return dict(self.model.named_modules(remove_duplicate=False))

    @cached_property
    def unreached(self) -> tuple[Unreached, ...]:
        """Layers with weights that formats do not reach."""
        return unreached(self.network, self._captured.graph)

    @property
    def layers(self) -> list[Layer]:
        """The nodes that compute on data, in execution order: not those that only make weights of weights."""
        modules, stored = self.modules, StoredNodes(self.fx_graph, self.model)
        calls = [node for node in self.fx_graph.nodes if node.op.startswith("call_")]
        traced, nodes = self.capture == "fx", [node for node in calls if node not in stored.constant]
        return [layer_of_node(node, modules, stored, traced=traced) for node in nodes]

    @property
    def schemes(self) -> dict[str, Scheme]:
        """The scheme of every layer by its name, in execution order."""
        modules = self.modules
        found = {}
        for node in self.fx_graph.nodes:
            if node.op.startswith("call_"):
                module = modules.get(str(node.target)) if node.op == "call_module" else None
                own = module.scheme if isinstance(module, Quantized) else Scheme()
                found[node.name] = self._schemes.get(node.name, own)
        return found

    def scheme(self, name: str) -> Scheme:
        """The scheme that the node of this name computes with."""
        return self.schemes.get(self.node(name).name, Scheme())

    def node(self, name: str) -> fx.Node:
        """The node of this name; raises UserError where there is none."""
        for node in self.fx_graph.nodes:
            if node.name == name:
                return cast(fx.Node, node)
        raise UserError(f"{name}: no such node in the graph; `widthwise inspect` lists them")

    def proved(self, example: Example) -> Graph:
        """The graph, if it does what the network does on the example; or one captured anew on it.

        Raises UserError where a layer that has a scheme is then none of the graph's.
        """
        if self._trusted or (self.network is self.model and self.capture == "fx"):  # given as a graph
            return self
        call = as_call(self.network, example)
        why = None if self.capture == "running" else self._unproved(call)
        if self.capture == "fx" and why is None:
            return self
        made = Graph(self.network, example)
        if not any(self.schemes.values()):
            return made
        if missing := self.schemes.keys() - made.schemes.keys():
            if self.capture == "running":  # it tells when it runs another way
                return self
            raise UserError(f"{', '.join(sorted(missing))}: {why}; capture the network on such inputs: {HOW}")
        return made.quantized(self.schemes)

    def _unproved(self, call: Call) -> str | None:
        """What makes the traced graph another network on a call; None where nothing does."""
        try:
            given = named_arguments(self.network, call)
        except TypeError:  # told by whoever runs the network on it
            return None
        if others := given.keys() - set(inputs_of_graph(self.fx_graph)):
            return f"{', '.join(sorted(others))} had its default when the network was captured"
        if any(self.schemes.values()):
            return None
        try:
            return difference(self.network, self.model, call)
        except UserError:  # the network can't be run on it, as it will tell in more detail
            return None

    def like(self, network: nn.Module) -> Graph:
        """Another network of the same forward, captured as this one was, without proving it again."""
        made = self._view()
        made.network, made._schemes, made._trusted = network, {}, True
        why, call = self.capture_error, self._captured.call
        if isinstance(network, fx.GraphModule):
            made._captured = Captured(network, network.graph, None, call)
        elif self.capture == "fx":
            model = traced(network, inputs_of_graph(self.fx_graph))
            if call is not None:
                note_asked(model, network, named_arguments(network, call))
            made._captured = Captured(model, model.graph, None, call)
        else:
            assert call is not None
            made._captured = Captured(network, recorded(network, call), why, call)
        made.model = made._captured.model
        return made

    def copy(self) -> Graph:
        """An independent graph: changing one, weights included, leaves the other as it is.

        Raises UserError for a network whose copy would still run layers of the original.
        """
        made = self._view()
        if self.capture == "fx":
            made.model, made.network = copied(self.model, self.network)  # which share their weights
            return made
        (made.network,) = copied(self.network)
        made._captured = replace(self._captured, model=made.network, graph=_copied(self.fx_graph))
        made._check_places(self)
        made._set_placed()
        return made

    def copy_or_view(self) -> Graph:
        """A copy, or the same network where a copy of it would still run layers of the original."""
        return self.copy() if self.capture == "fx" or self._can_be_copied else self._view()

    def _view(self) -> Graph:
        made = copy.copy(self)
        made.__dict__.pop("unreached", None)
        made._schemes = dict(self._schemes)
        return made

    @cached_property
    def _can_be_copied(self) -> bool:
        try:
            self.copy()
        except UserError:
            return False
        return True

    def _check_places(self, original: Graph) -> None:
        """Raises UserError where a copy does not come to the places of the original."""
        call = self._captured.call
        assert call is not None
        found = {node.meta.get(PLACE): _held_by(node) for node in recorded(self.network, call).nodes}
        nodes = [node for node in original.fx_graph.nodes if PLACE in node.meta]
        missing = [
            node.name
            for node in nodes
            if node.meta[PLACE] not in found or not _held_by(node) <= found[node.meta[PLACE]]
        ]
        if missing:
            raise UserError(out_of_reach(missing))

    def quantized(self, schemes: Mapping[str, Scheme]) -> Graph:
        """A copy in which the named nodes compute with these schemes; an empty one is float again."""
        made = self.copy_or_view()
        if self.capture == "running":
            made._schemes = {
                name: scheme for name, scheme in (self._schemes | dict(schemes)).items() if scheme
            }
            made._set_placed()
            return made
        layers, model = {layer.name: layer for layer in made.layers}, cast(fx.GraphModule, made.model)
        for name, scheme in schemes.items():
            if made.node(name).name in layers:
                wrap_layer(model, layers[name], scheme, made._wrapped)
        model.delete_all_unused_submodules()
        model.recompile()
        return made

    def _set_placed(self) -> None:
        """The model that runs the network with its schemes."""
        for name in self._schemes:
            self.node(name)  # raises where there is none
        layers = [layer for layer in self.layers if layer.name in self._schemes] if self._schemes else []
        schemes = {layer.name: for_layer(self._schemes[layer.name], layer) for layer in layers}
        course = Course(self.fx_graph, layers)
        self.model = Placed(self.network, course, schemes) if layers else self.network

    def _wrapped(self, layer: nn.Module, scheme: Scheme, of: Sequence[Operand] | None) -> Quantized:
        """A layer with a scheme."""
        return Quantized(layer, scheme, of)


def _held_by(node: fx.Node) -> set[str]:
    """What a node reads of the network, by name."""
    return {str(read.target) for read in node.all_input_nodes if read.op == "get_attr"}


def _copied(graph: fx.Graph) -> fx.Graph:
    made = fx.Graph()
    made.output(made.graph_copy(graph, {}))
    return made

"""Graphs: a captured network, its layers, and the schemes that they compute with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import fx, nn

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.network.layers import QUANTISABLE, layer_type
from widthwise.network.quantized import FunctionLayer, Quantized, parameter_role
from widthwise.network.scheme import TENSORS, Scheme, TensorName
from widthwise.network.stand_in import StandIn

Capture = Literal["fx", "module"]
META = "widthwise"  # the key of our metadata in node.meta


@dataclass(frozen=True)
class Layer:
    """A node that computes: a module, a function or a method in the graph."""

    node: fx.Node
    type: str  # linear, batch_norm1d, add …
    module: nn.Module | None  # without its wrapper; None where the node calls a function or a method
    tensors: tuple[TensorName, ...]  # what a scheme can quantise in it; empty: nothing

    @property
    def name(self) -> str:
        """The node's name, as configs select it: seq_blocks_2."""
        return self.node.name


class Graph:
    """A captured network: the module that runs, and the fx graph of its layers.

    Capture is by torch.fx; a network that can't be traced is captured at module level: its layers are the
    leaf modules, formats apply to these alone, and what lies between them runs as it is. The float weights
    are always kept, shared with the network given; every pass works on a `copy`.
    """

    def __init__(self, model: nn.Module) -> None:
        self.network = model  # as it was given
        self.capture_error: str | None = None
        if isinstance(model, fx.GraphModule):
            self.model: nn.Module = model
            return
        try:
            traced = _Tracer().trace(model)
        except Exception as error:  # tracing runs the user's forward on proxies, which may raise anything
            self.capture_error = describe_error(error)
            self.model = model
            self._leaf_graph = _leaf_modules(model)
            return
        self.model = fx.GraphModule(model, traced, type(model).__name__)

    @property
    def capture(self) -> Capture:
        """How the network was captured; at module level `capture_error` says why fx could not."""
        return "fx" if isinstance(self.model, fx.GraphModule) else "module"

    @property
    def fx_graph(self) -> fx.Graph:
        """The nodes in execution order; at module level one node for each leaf module, without data flow."""
        return self.model.graph if isinstance(self.model, fx.GraphModule) else self._leaf_graph

    @property
    def modules(self) -> dict[str, nn.Module]:
        """All modules by the names that nodes target."""
        return dict(self.model.named_modules())

    @property
    def layers(self) -> list[Layer]:
        """The nodes that compute, in execution order."""
        modules = self.modules
        return [_layer(node, modules) for node in self.fx_graph.nodes if node.op.startswith("call_")]

    @property
    def schemes(self) -> dict[str, Scheme]:
        """The scheme of every layer by its name, in execution order."""
        modules = self.modules
        found = {}
        for node in self.fx_graph.nodes:
            if node.op.startswith("call_"):
                module = modules.get(str(node.target)) if node.op == "call_module" else None
                found[node.name] = module.scheme if isinstance(module, Quantized) else Scheme()
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

    def copy(self) -> Graph:
        """An independent graph: changing one, weights included, leaves the other as it is."""
        made = copy.copy(self)
        made.model, made.network = copy.deepcopy((self.model, self.network))  # they share their weights
        if self.capture == "module":
            made._leaf_graph = _copied(self._leaf_graph)
        return made

    def quantized(self, schemes: Mapping[str, Scheme]) -> Graph:
        """A copy in which the named nodes compute with these schemes; an empty one is float again."""
        made = self.copy()
        for name, scheme in schemes.items():
            made._set_scheme(made.node(name), scheme)
        if isinstance(made.model, fx.GraphModule):
            made.model.delete_all_unused_submodules()
            made.model.recompile()
        return made

    def _set_scheme(self, node: fx.Node, scheme: Scheme) -> None:
        module = self.model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, Quantized):
            layer: nn.Module = module.layer
        elif module is not None:
            layer = module
        else:
            layer = FunctionLayer(called_function(node))
        if module is None and not scheme:
            return
        wrapper = StandIn if self._layers_are_looked_at else Quantized
        wrapped = wrapper(layer, scheme) if scheme or isinstance(layer, FunctionLayer) else layer
        target = self._own_target(node)
        _set_submodule(self.model, target, wrapped)
        if node.op != "call_module":
            node.op = "call_module"
        node.target = target

    @property
    def _layers_are_looked_at(self) -> bool:
        """Whether code that knows no wrappers looks at the layers: the network's own, if fx can't follow."""
        return self.capture == "module"

    def _own_target(self, node: fx.Node) -> str:
        """Where the node's module lies: a module that several nodes share gets a place for each of them."""
        if node.op != "call_module":
            return f"{node.name}_layer"
        target = str(node.target)
        readers = [other for other in self.fx_graph.nodes if other.target == node.target]
        return target if len(readers) == 1 else f"{target.replace('.', '_')}_of_{node.name}"


class _Tracer(fx.Tracer):
    """Records what a network computes, down to torch's own layers and ours."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, Quantized | FunctionLayer):
            return True
        # torch's own transformers and the like hold layers that would otherwise be out of reach
        opens = layer_type(m) not in QUANTISABLE and any(True for _ in m.children())
        return super().is_leaf_module(m, module_qualified_name) and not opens


def _layer(node: fx.Node, modules: Mapping[str, nn.Module]) -> Layer:
    if node.op != "call_module":
        kind = layer_type(cast(Any, node.target))
        return Layer(node, kind, None, ("data_in",) if kind in QUANTISABLE else ())
    module = modules[str(node.target)]
    inner = module.layer if isinstance(module, Quantized) else module
    kind = layer_type(inner)
    if isinstance(inner, FunctionLayer):
        return Layer(node, kind, None, ("data_in",))
    return Layer(node, kind, inner, layer_tensors(inner, kind))


def layer_tensors(module: nn.Module, kind: str) -> tuple[TensorName, ...]:
    """Which tensors of the module a scheme can quantise."""
    if kind not in QUANTISABLE:
        return ()
    roles = {parameter_role(name) for name, _ in module.named_parameters()}
    if kind not in ("embedding", "embedding_bag"):
        roles.add("data_in")
    return tuple(tensor for tensor in TENSORS if tensor in roles)


@dataclass(frozen=True)
class MethodCall:
    """A method of the first argument as a function of it."""

    __name__: str

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, self.__name__)(*args, **kwargs)


def called_function(node: fx.Node) -> Callable[..., Any]:
    """The function or method that a node calls."""
    return MethodCall(str(node.target)) if node.op == "call_method" else cast(Callable[..., Any], node.target)


def attribute(model: nn.Module, path: str) -> Any:
    """What a network holds under a dotted path: a module, a parameter or anything else."""
    parent, _, name = path.rpartition(".")
    return getattr(model.get_submodule(parent), name)


def _leaf_modules(model: nn.Module) -> fx.Graph:
    graph = fx.Graph()
    graph.placeholder("x")
    names = list(_leaves(model, ""))
    held = {id(parameter) for name in names for parameter in model.get_submodule(name).parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) not in held:  # read by the network's own code
            graph.get_attr(name)
    for name in names:
        graph.call_module(name)
    return graph


def _leaves(module: nn.Module, prefix: str) -> Iterator[str]:
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if layer_type(child) in QUANTISABLE or not any(True for _ in child.children()):
            yield path
        else:
            yield from _leaves(child, f"{path}.")


def _copied(graph: fx.Graph) -> fx.Graph:
    made = fx.Graph()
    made.graph_copy(graph, {})
    return made


def _set_submodule(model: nn.Module, target: str, module: nn.Module) -> None:
    parent, _, name = target.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def run_in_eval_mode(
    model: nn.Module, *args: Any, run: Callable[..., Any] | None = None, **kwargs: Any
) -> Any:
    """What the model (or `run` in its place) returns in eval mode without gradients; modes are kept."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            return (run or model)(*args, **kwargs)
    finally:
        for module in training:
            module.training = True

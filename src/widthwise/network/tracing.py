"""Tracing: a network's forward run on stand-ins by torch.fx, down to torch's own layers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import torch
from torch import fx, nn

from widthwise.core.errors import UserError
from widthwise.network.attention import attention_weights, open_multihead
from widthwise.network.layers import QUANTISABLE, FunctionLayer, is_torchs, layer_type, registered
from widthwise.network.quantized import Quantized, same_kind
from widthwise.network.recording import KIND
from widthwise.network.undisturbed import undisturbed

FIXED = "fixed"  # a key of a placeholder's meta: it keeps its default
_PLAIN = (type(None), bool, int, float, str)


def traced(network: nn.Module, given: Collection[str] | None = None) -> fx.GraphModule:
    """The network as torch.fx sees it in eval mode; Python's decisions are those of this one run.

    given: the names of the arguments that it is called with; others keep their defaults, as all that have one
    do where nothing is known. Torch's own layers are nodes, but attention is opened. What else calls a
    function of its own kind, as subclasses with a forward of their own do, gives that call its name and its
    type. Raises whatever tracing raises.
    """
    with undisturbed(network), torch.no_grad():
        try:
            graph = _Tracer(given).trace(network)
        except Exception:
            if (found := _with_buffers(network, given)) is None:
                raise
            graph = found
        _drop_unread_weights(graph)
        _name_own_calls(graph, dict(network.named_modules()))
        made = fx.GraphModule(network, graph, type(network).__name__)
    made.training = network.training
    return made


def _with_buffers(network: nn.Module, given: Collection[str] | None) -> fx.Graph | None:
    """Traced with stand-ins for buffers too, as where their part is taken that has the data's length.

    None where that fails as well.
    """
    tracer = _Tracer(given)
    tracer.proxy_buffer_attributes = True
    with suppress(Exception):  # the first error is the one to tell
        return tracer.trace(network)
    return None


def expected(given: Any, fixed: Any, name: str) -> None:
    """Raises UserError where an argument has another value than when the network was captured."""
    if given is not fixed and not (type(given) is type(fixed) and given == fixed):
        raise UserError(
            f"{name} = {given!r}: the network was captured with its default, {fixed!r}; capture it with what "
            "it is given: Graph(network, example)"
        )


def inputs_of_graph(graph: fx.Graph) -> list[str]:
    """The names of a graph's inputs, but for arguments that keep their defaults."""
    return [str(n.target) for n in graph.nodes if n.op == "placeholder" and FIXED not in n.meta]


class _Tracer(fx.Tracer):
    """Goes down to torch's own layers and ours; arguments that are not given keep their defaults."""

    def __init__(self, given: Collection[str] | None) -> None:
        super().__init__()
        self.given = given

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """The forward as a function of the network alone, its inputs stand-ins."""
        positional, named, fixed = [], {}, []
        for parameter in list(inspect.signature(root_fn).parameters.values())[1:]:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            is_fixed = self._is_fixed(parameter)
            if is_fixed and not isinstance(parameter.default, _PLAIN):
                continue
            default = () if parameter.default is parameter.empty else (parameter.default,)
            written = getattr(root_fn, "__annotations__", {}).get(parameter.name)
            stand_in = self.create_proxy("placeholder", parameter.name, default, {}, type_expr=written)
            if is_fixed:
                fixed.append((stand_in, parameter))
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(stand_in)
            else:
                named[parameter.name] = stand_in
        for stand_in, parameter in fixed:
            stand_in.node.meta[FIXED] = True
            self.create_proxy("call_function", expected, (stand_in, parameter.default, parameter.name), {})

        def forward(root: nn.Module) -> Any:
            return root_fn(root, *positional, **named)

        return forward, [self.root]

    def _is_fixed(self, parameter: inspect.Parameter) -> bool:
        """Whether nobody gives it, so that it has its default."""
        if self.given is not None:
            return parameter.name not in self.given
        return parameter.default is not parameter.empty and not isinstance(parameter.default, torch.Tensor)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, Quantized | FunctionLayer) or registered(m):
            return True
        if isinstance(m, torch.jit.ScriptModule):
            return True
        kind = layer_type(m)
        if kind in QUANTISABLE:
            return _forward_is_torchs(m)
        # torch's own transformers and the like hold layers that would otherwise be out of reach
        return super().is_leaf_module(m, module_qualified_name) and not any(True for _ in m.children())

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if type(m) is nn.MultiheadAttention:
            return super().call_module(m, lambda *a, **k: open_multihead(m, *a, **k), args, kwargs)
        return super().call_module(m, forward, args, kwargs)


def _forward_is_torchs(module: nn.Module) -> bool:
    """Whether the class that defines the module's forward is one of torch's."""
    owner = next(cls for cls in type(module).__mro__ if "forward" in vars(cls))
    return is_torchs(owner) and "forward" not in vars(module)


def _drop_unread_weights(graph: fx.Graph) -> None:
    """Attention gives its weights by default, which most networks leave."""
    for node in list(graph.nodes):
        if node.target is attention_weights and not node.users:
            graph.erase_node(node)


def _name_own_calls(graph: fx.Graph, modules: dict[str, nn.Module]) -> None:
    """Calls of a module's own kind within it take its name and its type, as the module itself would."""
    for node in graph.nodes:
        stack = node.meta.get("nn_module_stack")
        if node.op not in ("call_function", "call_method") or not stack:
            continue
        path = str(next(reversed(stack.values()))[0])
        module, kind = modules.get(path), layer_type(node.target)
        if module is None or not path:
            continue
        within, plain = layer_type(module), path.replace(".", "_")
        if within in QUANTISABLE and same_kind(kind, within):
            node.meta[KIND] = within
            node.name = graph._graph_namespace.create_name(plain, None)
        elif isinstance(module, nn.MultiheadAttention) and kind in QUANTISABLE:
            node.name = graph._graph_namespace.create_name(f"{plain}_{kind}", None)

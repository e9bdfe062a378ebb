"""A traced network as JSON: its calls of torch's layers and functions, which make it again without its code.

Weights are kept apart, as a state dict. Nothing but torch's layers, functions of tensors and arithmetic can
be named, so that what is read runs no other code.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import fx, nn

from widthwise.core.errors import UserError
from widthwise.network.tracing import FIXED, expected

VERSION = 1
PLAIN = (type(None), bool, int, float, str)
ARITHMETIC = (
    "add sub mul truediv floordiv mod pow neg pos abs matmul getitem eq ne lt le gt ge and_ or_ xor invert "
    "not_ iadd isub imul itruediv ifloordiv imod ipow imatmul"
)
READ = ("shape", "dtype", "device", "ndim", "T", "mT", "real", "imag")  # by getattr, of a tensor
OF_TORCH = ("dtype", "memory_format", "layout")  # kinds of constants that are written by name
LEFT_OUT = ("device", "dtype")  # of layers: weights say them
UNSAFE = ("numpy", "tolist", "share_memory_", "register_hook", "backward", "set_", "map_", "apply_", "map2_")


class NotWrittenError(Exception):
    """Why a network can't be written."""


def written(model: fx.GraphModule) -> dict[str, Any]:
    """What `built` makes the network of again, as JSON has it; raises NotWrittenError where it can't."""
    modules = dict(model.named_modules(remove_duplicate=False))
    names = {node.target for node in model.graph.nodes if node.op == "call_module"}
    layers = {str(name): _layer(modules[str(name)], str(name)) for name in sorted(map(str, names))}
    tensors = {
        str(node.target): _tensor(model, str(node.target))
        for node in model.graph.nodes
        if node.op == "get_attr"
    }
    return {
        "version": VERSION,
        "name": type(model).__name__,
        "layers": layers,
        "tensors": tensors,
        "calls": [_call(node) for node in model.graph.nodes],
    }


def built(stored: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, where: str) -> fx.GraphModule:
    """The network with these weights, in eval mode; raises UserError, after `where`, where it is broken.

    Takes no memory for what the weights don't hold, however large its layers claim to be.
    """
    try:
        if stored["version"] != VERSION:
            raise UserError(f"{where}: is of version {stored['version']!r}; this one reads {VERSION}")
        with torch.device("meta"):
            made = _built(stored)
        made.load_state_dict({name: weights[name] for name in made.state_dict()}, assign=True)
        if any(x.is_meta for x in (*made.parameters(), *made.buffers())):
            raise ValueError("a tensor that is not among the weights")
        return made
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
        raise UserError(f"{where}: is broken, or no description of this network; delete it") from error


def _built(stored: Mapping[str, Any]) -> fx.GraphModule:
    root = nn.Module()
    for name, layer in stored["layers"].items():
        _put(root, name, _built_layer(layer))
    for name, tensor in stored["tensors"].items():
        _put(root, name, _built_tensor(tensor))
    graph = fx.Graph()
    known: dict[str, fx.Node] = {}
    for call in stored["calls"]:
        known[call["name"]] = _built_call(graph, call, known)
    graph.lint()
    return fx.GraphModule(root, graph, str(stored["name"])).eval()


def _layer(module: nn.Module, name: str) -> dict[str, Any]:
    """Its class and the arguments by which it is made; what they make has to be the same layer."""
    kind = type(module)
    if getattr(nn, kind.__name__, None) is not kind:
        raise NotWrittenError(f"{name} is a {kind.__name__}, which is none of torch.nn's layers")
    maker = nn.RNNBase if isinstance(module, nn.RNNBase) else kind  # these take their arguments unseen
    arguments = {
        key: _argument(module, key)
        for key, parameter in inspect.signature(maker.__init__).parameters.items()
        if key not in ("self", *LEFT_OUT)
        and (hasattr(module, key) or parameter.default is parameter.empty)
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }
    if maker is nn.RNNBase:
        del arguments["mode"]
        if not arguments["proj_size"]:  # which only one of them may be given
            del arguments["proj_size"]
    made = {"kind": kind.__name__, "arguments": {k: _value(v, name) for k, v in arguments.items()}}
    try:
        with torch.device("meta"):
            again = _built_layer(made)
    except Exception as error:  # an argument that the layer keeps in another form
        raise NotWrittenError(f"{name}: a {kind.__name__} does not say how it was made") from error
    if repr(again) != repr(module) or _shapes(again) != _shapes(module):
        raise NotWrittenError(f"{name}: a {kind.__name__} does not say how it was made")
    return made


def _argument(module: nn.Module, key: str) -> Any:
    if not hasattr(module, key):
        raise NotWrittenError(f"a {type(module).__name__} does not keep its {key}")
    found = getattr(module, key)
    if key == "bias":
        return found if isinstance(found, bool) else found is not None
    return found


def _built_layer(layer: Mapping[str, Any]) -> nn.Module:
    kind = getattr(nn, layer["kind"])
    if not (
        isinstance(kind, type) and issubclass(kind, nn.Module) and kind.__module__.startswith("torch.nn.")
    ):
        raise TypeError(f"{layer['kind']} is no layer of torch.nn")
    made: nn.Module = kind(**{key: _built_value(value, {}) for key, value in layer["arguments"].items()})
    return made


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(x.shape) for name, x in module.state_dict().items()}


def _tensor(model: nn.Module, name: str) -> dict[str, Any]:
    path, _, last = name.rpartition(".")
    found = getattr(model.get_submodule(path), last)
    if not isinstance(found, torch.Tensor) or name not in model.state_dict():
        raise NotWrittenError(f"{name} is no weight or buffer that is kept")
    kind = "parameter" if isinstance(found, nn.Parameter) else "buffer"
    return {"kind": kind, "shape": list(found.shape), "dtype": str(found.dtype).removeprefix("torch.")}


def _built_tensor(tensor: Mapping[str, Any]) -> torch.Tensor:
    dtype = getattr(torch, tensor["dtype"])
    if not isinstance(dtype, torch.dtype):
        raise TypeError("no dtype")
    made = torch.zeros([int(size) for size in tensor["shape"]], dtype=dtype)
    return (
        nn.Parameter(made, requires_grad=dtype.is_floating_point) if tensor["kind"] == "parameter" else made
    )


def _put(root: nn.Module, name: str, value: nn.Module | torch.Tensor) -> None:
    """A layer or a tensor at its place, in modules that are made on the way."""
    *path, last = name.split(".")
    holder = root
    for part in path:
        if part not in dict(holder.named_children()):
            holder.add_module(part, nn.Module())
        holder = holder.get_submodule(part)
    if isinstance(value, nn.Module):
        holder.add_module(last, value)
    elif isinstance(value, nn.Parameter):
        holder.register_parameter(last, value)
    else:
        holder.register_buffer(last, value)


def _call(node: fx.Node) -> dict[str, Any]:
    target: Any = node.target
    if node.op == "call_function":
        target = _names_of_functions().get(target)
        if target is None:
            raise NotWrittenError(
                f"{node.name} calls {getattr(node.target, '__name__', node.target)}, which is "
                "no function of torch's"
            )
    elif node.op == "call_method" and target not in _methods():
        raise NotWrittenError(f"{node.name} calls the method {target}")
    args = [_value(value, node.name) for value in node.args]
    kwargs = {key: _value(value, node.name) for key, value in node.kwargs.items()}
    made = {"op": node.op, "name": node.name, "target": target, "args": args, "kwargs": kwargs}
    return made | ({FIXED: True} if FIXED in node.meta else {})


def _built_call(graph: fx.Graph, call: Mapping[str, Any], known: Mapping[str, fx.Node]) -> fx.Node:
    operation, target = call["op"], call["target"]
    args = tuple(_built_value(value, known) for value in call["args"])
    kwargs = {key: _built_value(value, known) for key, value in call["kwargs"].items()}
    if operation == "call_function":
        target = _functions()[target]
        if target is getattr and not (len(args) == 2 and args[1] in READ):
            raise ValueError("an attribute that may not be read")
    elif operation == "call_method" and target not in _methods():
        raise ValueError(f"{target} is no method that may be called")
    elif operation not in ("placeholder", "get_attr", "call_module", "call_method", "output"):
        raise ValueError(f"{operation} is no kind of call")
    node = graph.create_node(operation, target, args, kwargs, name=call["name"])
    if node.name != call["name"]:
        raise ValueError("two calls of one name")
    if call.get(FIXED):
        node.meta[FIXED] = True
    return node


def _value(value: Any, where: str) -> Any:
    """A constant, a call's result or a collection of them, as JSON has it."""
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, tuple | list):
        return {"list" if isinstance(value, list) else "tuple": [_value(each, where) for each in value]}
    if isinstance(value, slice):
        return {"slice": [_value(each, where) for each in (value.start, value.stop, value.step)]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _value(each, where) for key, each in value.items()}}
    return _named(value, where)


def _named(value: Any, where: str) -> dict[str, Any]:
    if value is Ellipsis:
        return {"ellipsis": True}
    for kind in OF_TORCH:
        if isinstance(value, getattr(torch, kind)):
            return {kind: str(value).removeprefix("torch.")}
    raise NotWrittenError(f"{where} has a {type(value).__name__} among its arguments")


def _built_value(value: Any, known: Mapping[str, fx.Node]) -> Any:
    if isinstance(value, PLAIN):
        return value
    ((kind, held),) = value.items()
    if kind == "node":
        return known[held]
    if kind in OF_TORCH:
        found = getattr(torch, held)
        if not isinstance(found, getattr(torch, kind)):
            raise TypeError(f"{held} is no {kind}")
        return found
    if kind == "dict":
        return {key: _built_value(each, known) for key, each in held.items()}
    makers: dict[str, Callable[[list[Any]], Any]] = {
        "list": list,
        "tuple": tuple,
        "slice": lambda parts: slice(*parts),
    }
    return Ellipsis if kind == "ellipsis" else makers[kind]([_built_value(each, known) for each in held])


@cache
def _functions() -> dict[str, Callable[..., Any]]:
    """The functions that may be called, by name: of tensors, of torch and torch.nn.functional, arithmetic."""
    found: dict[str, Callable[..., Any]] = {"getattr": getattr, "expected": expected}
    found |= {f"operator.{name}": getattr(operator, name) for name in ARITHMETIC.split()}
    by_place = torch.overrides.get_overridable_functions()
    for place in (torch, nn.functional):
        of_tensors = by_place[place]
        for name in dir(place):
            function = getattr(place, name)
            if not name.startswith("_") and callable(function) and function in of_tensors:
                found[f"{place.__name__}.{name}"] = function
    return found


@cache
def _names_of_functions() -> dict[Callable[..., Any], str]:
    return {function: name for name, function in _functions().items()}


@cache
def _methods() -> frozenset[str]:
    """The methods of tensors that may be called."""
    of_tensors = torch.overrides.get_overridable_functions()[torch.Tensor]
    names = {getattr(function, "__name__", "_") for function in of_tensors}
    return frozenset(name for name in names if not name.startswith("_") and name not in UNSAFE)

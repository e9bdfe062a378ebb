"""Running a network once while watching what each of its nodes reads and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error
from widthwise.network.graph import Graph, run_in_eval_mode

Example = Tensor | Sequence[Any] | Mapping[str, Any]
Note = Callable[[str, tuple[Tensor, ...]], None]  # a node's name and tensors


def watch(
    graph: Graph,
    example: Example,
    *,
    before: Note | None = None,
    after: Note | None = None,
    masks: bool = True,
) -> tuple[Tensor, ...]:
    """Runs the network in eval mode without gradients, watching each node; returns the inputs.

    `before` is called with what a node reads (without `masks`: but for those given by that name) before it
    runs, `after` with what it gives. Either must copy what it keeps: a later layer may change it in place.
    `example` is the network's input [samples, …], several of them in a sequence, or names to inputs, and
    stays as it is. A graph captured at module level is watched at its leaf modules, each time that one runs.
    Raises UserError where the network can't be run on the example, naming the node where it knows it.
    """
    given, named = _arguments(graph, example)
    args, kwargs = tree_map_only(Tensor, torch.clone, (given, named))
    watcher = _Watcher(before or _nothing, after or _nothing, masks)
    if graph.capture == "fx":
        model = cast(fx.GraphModule, graph.model)
        run_in_eval_mode(model, *_positional(model, args, kwargs), run=_Watched(model, watcher).run)
    else:
        _run_hooked(graph, args, kwargs, watcher)
    return tensors_in((given, named))


def tensors_in(values: Any) -> tuple[Tensor, ...]:
    """The tensors in nested lists, tuples and dicts, in their order."""
    return tuple(leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


def _arguments(graph: Graph, example: Example) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments; raises UserError for a name that the network doesn't have."""
    if isinstance(example, Tensor):
        return (example,), {}
    if not isinstance(example, Mapping):
        return tuple(example), {}
    if graph.capture == "fx":
        names = [str(node.target) for node in graph.fx_graph.nodes if node.op == "placeholder"]
        for name in example:
            if name not in names:
                raise unknown("input", name, names, where=type(graph.model).__name__)
    return (), dict(example)


def _positional(model: fx.GraphModule, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments in the order of the graph's placeholders, defaults filled in."""
    placeholders = [node for node in model.graph.nodes if node.op == "placeholder"]
    if not kwargs and len(args) >= len([node for node in placeholders if not node.args]):
        return args
    given = dict(zip((str(node.target) for node in placeholders), args, strict=False)) | dict(kwargs)
    for node in placeholders:
        if str(node.target) not in given and not node.args:
            raise UserError(f"{type(model).__name__}: its input {node.target} has no value; give it one")
    return tuple(
        given[str(node.target)] if str(node.target) in given else node.args[0] for node in placeholders
    )


@dataclass(frozen=True)
class _Watcher:
    before: Note
    after: Note
    masks: bool

    def called(self, name: str, args: Any, kwargs: Mapping[str, Any]) -> None:
        """Tell what a node reads."""
        kept = {key: value for key, value in kwargs.items() if self.masks or "mask" not in key}
        self.before(name, tensors_in((args, kept)))


def _nothing(name: str, values: tuple[Tensor, ...]) -> None:
    """A note that is not taken."""


class _Watched(fx.Interpreter):
    """Runs a graph node by node."""

    def __init__(self, model: fx.GraphModule, watcher: _Watcher) -> None:
        super().__init__(model)
        self.extra_traceback = False
        self.watcher = watcher

    def run_node(self, n: fx.Node) -> Any:
        """The node's value; raises UserError that names the node and the shapes it was given."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        self.watcher.called(n.name, args, kwargs)
        try:
            value = super().run_node(n)
        except UserError:
            raise
        except Exception as error:  # whatever the user's layer raises
            raise _cannot_run(n.name, tensors_in((args, kwargs)), error) from error
        self.watcher.after(n.name, tensors_in(value))
        return value


def _run_hooked(graph: Graph, args: tuple[Any, ...], kwargs: Mapping[str, Any], watcher: _Watcher) -> None:
    modules = graph.modules
    with ExitStack() as hooks:
        for node in graph.fx_graph.nodes:
            if node.op == "call_module":
                module = modules[str(node.target)]
                before, after = _hooks(node.name, watcher)
                hooks.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
                hooks.callback(module.register_forward_hook(after).remove)
        try:
            run_in_eval_mode(graph.model, *args, **kwargs)
        except UserError:
            raise
        except Exception as error:  # whatever the user's network raises
            raise _cannot_run(type(graph.model).__name__, tensors_in((args, kwargs)), error) from error


def _hooks(
    name: str, watcher: _Watcher
) -> tuple[Callable[[nn.Module, Any, Any], None], Callable[[nn.Module, Any, Any], None]]:
    """What to call before and after a module runs."""

    def before(_: nn.Module, args: Any, kwargs: Any) -> None:
        watcher.called(name, args, kwargs)

    def after(_: nn.Module, args: Any, value: Any) -> None:
        watcher.after(name, tensors_in(value))

    return before, after


def _cannot_run(name: str, read: Sequence[Tensor], error: Exception) -> UserError:
    shapes = ", ".join(str(list(x.shape)) for x in read) or "nothing"
    return UserError(
        f"{name}: can't be run on {shapes}: {describe_error(error)}; check the shape of the input"
    )

"""Running, tracing or copying somebody's network, and leaving no trace in it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn

from widthwise.core.errors import UserError

_HELD = ("_parameters", "_buffers", "_modules")
_OF_TORCH = frozenset(nn.Module().__dict__)


@dataclass(frozen=True, eq=False)
class Inside:
    """What a network consists of, found once for many runs of it.

    parts: modules that torch.compile made, each with who holds it and under which name.
    """

    modules: tuple[nn.Module, ...]
    buffers: tuple[torch.Tensor, ...]
    parts: tuple[tuple[nn.Module, str, nn.Module], ...]
    paths: Mapping[int, str]  # of modules by identity, without what torch.compile puts between

    @classmethod
    def of(cls, network: nn.Module) -> Inside:
        """Of a network as it is now."""
        named = dict(network.named_modules())
        parts = [
            (module, name, child)
            for module in named.values()
            for name, child in module._modules.items()
            if child is not None and "_orig_mod" in child._modules
        ]
        paths = {
            id(module): ".".join(part for part in path.split(".") if part != "_orig_mod")
            for path, module in named.items()
        }
        return cls(tuple(named.values()), tuple(network.buffers()), tuple(parts), paths)


@contextmanager
def undisturbed(network: nn.Module, inside: Inside | None = None) -> Iterator[None]:
    """Eval mode inside, and nothing compiled; afterwards modes, attributes and buffers are as they were.

    Networks count their runs, keep what they have seen in attributes, dicts and lists, or are
    traced with stand-ins for tensors: nothing of it may stay.
    """
    inside = inside or Inside.of(network)
    modules = inside.modules
    plain = [module for module in modules if not isinstance(module, torch.jit.ScriptModule)]
    saved = [(module, _shallow(module.__dict__)) for module in plain]
    holders = [(value, value.copy()) for module in plain for value in _holders(module)]
    buffers = [(buffer, buffer._version, buffer.detach().clone()) for buffer in inside.buffers]
    trained = [module for module in modules if module.training]
    for module in trained:
        module.training = False
    try:
        with uncompiled(network, inside):
            yield
    finally:
        for module, was in saved:
            _restore(module.__dict__, was)
        for holder, held in holders:
            _refill(holder, held)
        for module in trained:  # also those of torch.jit, whose attributes are their own affair
            module.training = True
        with torch.no_grad():
            for buffer, version, value in buffers:
                if buffer._version != version:
                    buffer.copy_(value)


def run_in_eval_mode(
    model: nn.Module, *args: Any, run: Callable[..., Any] | None = None, **kwargs: Any
) -> Any:
    """What the model (or `run` in its place) returns in eval mode without gradients; it stays as it is."""
    with undisturbed(model), torch.no_grad():
        return (run or model)(*args, **kwargs)


@contextmanager
def uncompiled(network: nn.Module, inside: Inside | None = None) -> Iterator[None]:
    """Inside, what torch.compile made of parts of a network is what it was made from."""
    inside = inside or Inside.of(network)
    parts = [(module, name, child) for module, name, child in inside.parts if module._modules[name] is child]
    calls = [m for m in inside.modules if m.__dict__.get("_compiled_call_impl") is not None]
    compiled = [module.__dict__.pop("_compiled_call_impl") for module in calls]
    for module, name, child in parts:
        module._modules[name] = child._modules["_orig_mod"]
    try:
        yield
    finally:
        for module, name, child in parts:
            module._modules[name] = child
        for module, call in zip(calls, compiled, strict=True):
            module.__dict__["_compiled_call_impl"] = call


def unwrapped(model: nn.Module) -> nn.Module:
    """The network itself, without torch.compile and the wrappers for several devices around it.

    Raises UserError for one of torch.jit.
    """
    while True:
        if isinstance(model, torch.jit.ScriptModule):
            raise UserError(
                f"{type(model).__name__}: a network of torch.jit can't be looked into, so nothing in it is "
                "counted or quantised; give the module that it was scripted or traced from"
            )
        if (inside := model._modules.get("_orig_mod")) is not None:
            model = inside
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


def copied(*networks: nn.Module) -> tuple[nn.Module, ...]:
    """Deep copies, which share what the networks share.

    Of networks too that hold results of their parameters, as weight_norm and pruning leave them. Raises
    whatever the modules raise that can't be copied.
    """
    made = {}
    for module in chain.from_iterable(network.modules() for network in networks):
        for value in vars(module).values():
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                made[id(value)] = value.detach().clone()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit, about gradients of what it traced
        return copy.deepcopy(networks, made)


def _holders(module: nn.Module) -> list[Any]:
    """The dicts, lists and sets that are attributes of a module's own."""
    own = (value for key, value in module.__dict__.items() if key not in _OF_TORCH)
    return [value for value in own if isinstance(value, dict | list | set)]


def _refill(holder: Any, held: Any) -> None:
    """Lets a dict, list or set hold what it held; one that does is left alone, as it may be frozen."""
    if _identities(holder) == _identities(held):
        return
    holder.clear()
    if isinstance(holder, list):
        holder.extend(held)
    else:
        holder.update(held)


def _identities(holder: Any) -> list[int]:
    items = chain(holder, holder.values()) if isinstance(holder, dict) else holder
    return [id(item) for item in items]


def _shallow(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: dict(value) if key in _HELD else value for key, value in attributes.items()}


def _restore(attributes: dict[str, Any], was: Mapping[str, Any]) -> None:
    for key in [key for key in attributes if key not in was]:
        del attributes[key]
    for key, value in was.items():
        if key in _HELD:
            _restore(attributes[key], value)
        elif attributes.get(key) is not value:
            attributes[key] = value

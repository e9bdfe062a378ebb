"""Calling a network with its inputs by name, whatever its forward allows."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from widthwise.data.batches import Takes


def takes_of(model: nn.Module) -> Takes:
    """What a network takes, as its forward says it; of a wrapper of torch's or ours, what is inside takes."""
    if isinstance(inside := vars(model).get("network"), nn.Module):  # whose calls compute with schemes
        return takes_of(inside)
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return takes_of(model.module)
    if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):  # of torch.compile
        return takes_of(inner)
    if isinstance(model, torch.jit.ScriptModule):
        return _scripted(model)
    parameters = inspect.signature(model.forward).parameters.values()
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return Takes(
        names=tuple(p.name for p in named),
        needed=frozenset(p.name for p in named if p.default is p.empty),
        keyword=frozenset(p.name for p in named if p.kind is p.KEYWORD_ONLY),
        more=next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None),
        anything=any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


def arguments(takes: Takes, inputs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Inputs as arguments: by position up to the first that is left out, and by name from there on."""
    args: list[Any] = []
    left = dict(inputs)
    while (name := takes.name(len(args))) in left and name not in takes.keyword:
        args.append(left.pop(str(name)))
    return tuple(args), left


def as_example(takes: Takes, inputs: Mapping[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
    """Inputs by position where none before them is left out, else by name."""
    args, named = arguments(takes, inputs)
    return dict(inputs) if named else args


def call(model: nn.Module, inputs: Mapping[str, Any], takes: Takes | None = None) -> Any:
    """What a network returns for inputs by name."""
    args, kwargs = arguments(takes or takes_of(model), inputs)
    return model(*args, **kwargs)


def called(model: nn.Module, values: Sequence[Any]) -> Any:
    """What a network returns for values in the order of its inputs, those that go by name alone by it."""
    takes = takes_of(model)
    names = (*takes.names, *(f"{takes.more}_{at}" for at in range(len(values))))
    if not takes.keyword:
        return model(*values)
    return call(model, dict(zip(names, values, strict=False)), takes)


def cloned(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies, for a network that may change its inputs."""
    return {name: x.clone() for name, x in inputs.items()}


def positional(model: nn.Module, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Inputs by position alone, with the defaults of those between them."""
    args, named = arguments(takes_of(model), inputs)
    if not named:
        return args
    bound = inspect.signature(model.forward).bind(*args, **named)
    bound.apply_defaults()
    values = list(bound.arguments.values())
    last = max(position for position, name in enumerate(bound.arguments) if name in inputs)
    return tuple(values[: last + 1])


def _scripted(model: torch.jit.ScriptModule) -> Takes:
    """Of a network of torch.jit, which has a schema in place of a signature."""
    forward: Any = model.forward
    arguments = forward.schema.arguments[1:]
    return Takes(
        tuple(argument.name for argument in arguments),
        frozenset(argument.name for argument in arguments if not argument.has_default_value()),
    )

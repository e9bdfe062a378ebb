"""A network described by its calls, where what is read back is proved to give the same bits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from widthwise.network.calling import arguments, cloned, takes_of
from widthwise.network.undisturbed import undisturbed
from widthwise.network.written import NotWrittenError, built, written

if TYPE_CHECKING:
    from torch import nn


def described(model: nn.Module, example: Mapping[str, Tensor]) -> dict[str, Any]:
    """What `built` makes a captured network of again, with its weights, as JSON has it.

    example: inputs by name, for which the network that is read back has to give the same bits. Raises
    NotWrittenError, which says why there is no such description.
    """
    if not isinstance(model, fx.GraphModule):
        raise NotWrittenError("torch.fx can't trace it")
    if not example:
        raise NotWrittenError("what it takes is not known")
    try:
        stored: dict[str, Any] = json.loads(json.dumps(written(model), allow_nan=False))
    except ValueError as error:  # a number that JSON has not
        raise NotWrittenError(str(error)) from error
    if not _same(model, built(stored, model.state_dict(), where="what was written"), example):
        raise NotWrittenError("what was written gives other outputs")
    return stored


def _same(one: nn.Module, other: nn.Module, example: Mapping[str, Tensor]) -> bool:
    """Whether two networks give the same bits."""
    found = [_outputs(network, example) for network in (one, other)]
    return len(found[0]) == len(found[1]) and all(
        torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(*found, strict=True)
    )


def _outputs(network: nn.Module, example: Mapping[str, Tensor]) -> list[Any]:
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    args, named = arguments(takes_of(network), cloned({k: x.to(device) for k, x in example.items()}))
    with undisturbed(network), torch.no_grad():
        return [x for x in tree_leaves(network(*args, **named)) if isinstance(x, Tensor)]

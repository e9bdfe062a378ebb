"""Keeping a network that was given from Python beside its trials, so that its run can be opened again."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from widthwise.core.files import write_atomically
from widthwise.network.calling import arguments, cloned, takes_of
from widthwise.network.undisturbed import undisturbed
from widthwise.network.written import NotWrittenError, built, written

if TYPE_CHECKING:
    from torch import nn

    from widthwise.search.problem import Problem

logger = logging.getLogger(__name__)


def keep_network(problem: Problem, path: Path) -> None:
    """Writes the network's calls, where nothing else makes it again and what is read gives the same bits.

    Why it can't be kept is in the run's log.
    """
    if problem.named or path.exists():
        return
    model = (problem.graph.unfolded or problem.graph).model
    try:
        if not isinstance(model, fx.GraphModule):
            raise NotWrittenError("torch.fx can't trace it")
        stored = json.loads(json.dumps(written(model), allow_nan=False))
        again = built(stored, model.state_dict(), where=path.name)
        if not _same(model, again, problem.base.example()):
            raise NotWrittenError("what was written gives other outputs")
    except (NotWrittenError, ValueError) as why:
        logger.info("the network was given from Python and is not kept: %s", why)
        return
    write_atomically(path, json.dumps(stored, ensure_ascii=False).encode() + b"\n")


def _same(one: nn.Module, other: nn.Module, example: dict[str, Tensor]) -> bool:
    """Whether two networks give the same bits."""
    found = [_outputs(network, example) for network in (one, other)]
    return len(found[0]) == len(found[1]) and all(
        torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(*found, strict=True)
    )


def _outputs(network: nn.Module, example: dict[str, Tensor]) -> list[Any]:
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    args, named = arguments(takes_of(network), cloned({k: x.to(device) for k, x in example.items()}))
    with undisturbed(network), torch.no_grad():
        return [x for x in tree_leaves(network(*args, **named)) if isinstance(x, Tensor)]

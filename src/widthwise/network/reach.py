"""Layers that compute in a network and yet can't be given formats, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from widthwise.network.layers import QUANTISABLE, WEIGHTED, layer_type
from widthwise.network.recording import KIND, PLACE, Foreign

SCRIPTED = "is compiled by torch.jit; put the module that it was made from in its place"
STRAY = (
    "is none of the network's modules, or reads a weight that is none of its parameters; keep it as an "
    "attribute or in a ModuleList, and build the network anew in place of copying it"
)


@dataclass(frozen=True)
class Unreached:
    """A layer out of reach: where it lies, as far as that is known, its type, and the reason."""

    name: str
    type: str
    reason: str
    node: str = ""  # of the call that computes it
    parameters: int = 0  # that it reads and the network doesn't hold


def unreached(network: nn.Module, graph: fx.Graph) -> tuple[Unreached, ...]:
    """The layers with weights that formats do not reach in a captured network."""
    return (*_scripted(network), *_strays(network, graph))


def _scripted(network: nn.Module) -> Iterator[Unreached]:
    for path, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            name = str(getattr(module, "original_name", ""))
            made = getattr(nn, name, None)
            kind = layer_type(object.__new__(made)) if isinstance(made, type) else ""
            if kind in QUANTISABLE:
                yield Unreached(path, kind, SCRIPTED)


def _strays(network: nn.Module, graph: fx.Graph) -> Iterator[Unreached]:
    """Calls that read parameters which the network doesn't hold."""
    calls = [node for node in graph.nodes if node.meta.get(KIND) in WEIGHTED and _reads_foreign(node)]
    if not calls:
        return
    homes = dict(_homes(network))
    met = {node.meta[PLACE].module for node in graph.nodes if PLACE in node.meta}
    idle = [
        path
        for path, module in network.named_modules()
        if path not in met and layer_type(module) in {node.meta[KIND] for node in calls}
    ]
    seen: set[int] = set()
    for number, node in enumerate(calls):
        read = {leaf.identity: leaf for leaf in _foreign(node)}
        name = next((homes[identity] for identity in read if identity in homes), None)
        if name is None:
            name = idle[number] if number < len(idle) else node.name
        own = sum(leaf.elements for leaf in read.values() if leaf.trained and leaf.identity not in seen)
        seen |= read.keys()
        yield Unreached(name, node.meta[KIND], STRAY, node.name, own)


def _reads_foreign(node: fx.Node) -> bool:
    return any(leaf.trained for leaf in _foreign(node))


def _foreign(node: fx.Node) -> list[Foreign]:
    return [leaf for leaf in tree_leaves((node.args, dict(node.kwargs))) if isinstance(leaf, Foreign)]


def _homes(network: nn.Module) -> Iterator[tuple[int, str]]:
    """Identities of parameters that lie in modules which modules hold in other ways than torch knows."""
    for path, module in network.named_modules():
        for holder in (vars(type(module)), vars(module)):
            for name, value in holder.items():
                if name in ("_modules", "_parameters", "_buffers"):
                    continue
                for found in _modules_in(value):
                    home = f"{path}.{name}" if path else name
                    yield from ((id(parameter), home) for parameter in found.parameters())


def _modules_in(value: Any) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _modules_in(item)
    elif isinstance(value, dict):
        yield from _modules_in(list(value.values()))

"""Capture: by torch.fx where that is proved to be the network, else by recording a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.network.asked import note_asked
from widthwise.network.calling import arguments, takes_of
from widthwise.network.guessing import guessed_call
from widthwise.network.operands import Call
from widthwise.network.reading import precision, short
from widthwise.network.recording import named_arguments, plain, recorded
from widthwise.network.stored import attribute
from widthwise.network.tracing import traced
from widthwise.network.undisturbed import undisturbed

Example = Tensor | Sequence[Any] | Mapping[str, Any]
CLOSE = 1e-5  # of the greatest output: as far as the order of sums may take two runs of one network apart


@dataclass(frozen=True, eq=False)
class Captured:
    """What was captured of a network.

    model: what runs: a GraphModule, or the network itself where a run was recorded. graph: its calls.
    why_not_fx: why it was recorded. call: the arguments by which it was proved or recorded; None: by none.
    """

    model: nn.Module
    graph: fx.Graph
    why_not_fx: str | None
    call: Call | None


def capture(network: nn.Module, example: Example | None = None) -> Captured:
    """The network as torch.fx traces it, if it does the same on the example, or else its recorded calls.

    example: inputs [samples, …]; None: some are guessed, and what no guess runs on stays unproved. Raises
    UserError where the network can be neither traced nor run.
    """
    call = as_call(network, example) if example is not None else guessed_call(network)
    given = None if call is None else named_arguments(network, call).keys()
    try:
        made = traced(network, given)
    except Exception as error:  # tracing runs the user's forward on stand-ins, which may raise anything
        why: str | None = describe_error(error)
    else:
        why = None if call is None else difference(network, made, call)
    if why is None:
        if call is not None:
            note_asked(made, network, named_arguments(network, call))
        return Captured(made, made.graph, None, call)
    if call is None:
        raise UserError(
            f"{type(network).__name__}: torch.fx can't trace it ({why}), so a run of it is recorded, and no "
            "input that it takes could be guessed; give one: Graph(network, example)"
        )
    try:
        return Captured(network, recorded(network, call), why, call)
    except UserError:
        raise
    except Exception as error:  # whatever the user's network raises
        raise cannot_run(type(network).__name__, call, error, network) from error


def as_call(network: nn.Module, example: Example) -> Call:
    """Positional and named arguments of a network from an input, several of them, or names to them."""
    if isinstance(example, Tensor):
        return (example,), {}
    if isinstance(example, Mapping):
        return arguments(takes_of(network), example)
    return tuple(example), {}


def difference(network: nn.Module, made: nn.Module, call: Call) -> str | None:
    """How what was made of a network differs from it on a call, in words; None where it doesn't.

    By what it gives, or by parameters that hooks of its layers read unseen.
    """
    wanted = _outputs(network, call)
    named = named_arguments(network, call)
    try:
        found = _outputs(made, ((), named))
    except UserError as error:
        return f"what torch.fx traced fails where the network runs: {error}"
    if len(found) != len(wanted):
        return f"what torch.fx traced returns {len(found)} tensors, the network {len(wanted)}"
    for one, other in zip(found, wanted, strict=True):
        if one.shape != other.shape or one.dtype != other.dtype:
            return f"what torch.fx traced returns {_shown(one)}, the network {_shown(other)}"
        apart = _apart(one, other)
        if apart > CLOSE:
            return f"what torch.fx traced computes something else ({apart:.2g} of the greatest output off)"
    return _read_in_hooks(network, made, call) if isinstance(made, fx.GraphModule) else None


def _read_in_hooks(network: nn.Module, made: fx.GraphModule, call: Call) -> str | None:
    """Which parameters hooks read that what was traced doesn't see, in words; None where there are none."""
    if not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules()):
        return None
    seen: set[int] = set()
    for node in made.graph.nodes:
        if node.op == "call_module":
            seen |= {id(parameter) for parameter in made.get_submodule(str(node.target)).parameters()}
        elif node.op == "get_attr":
            seen.add(id(attribute(made, str(node.target))))
    own = dict(network.named_parameters())
    read = [str(node.target) for node in recorded(network, call).nodes if node.op == "get_attr"]
    unseen = [name for name in read if name in own and id(own[name]) not in seen]
    return f"hooks read {', '.join(unseen)}, which torch.fx doesn't see" if unseen else None


def _outputs(network: nn.Module, call: Call) -> list[Tensor]:
    """The tensors that a network returns in eval mode."""
    args, kwargs = tree_map_only(Tensor, torch.clone, call)  # the network may change its inputs
    run = network.forward if isinstance(network, fx.GraphModule) else network  # which prints what it raises
    try:
        with undisturbed(network), torch.no_grad():
            result = run(*args, **kwargs)
    except UserError:
        raise
    except Exception as error:  # whatever the user's network raises
        raise cannot_run(type(network).__name__, call, error, network) from error
    return [leaf for leaf in tree_leaves(plain(result)) if isinstance(leaf, Tensor)]


def cannot_run(name: str, read: Any, error: Exception, network: nn.Module | None = None) -> UserError:
    """What to say where a network, or a layer of it, fails on what it reads."""
    tensors = [leaf for leaf in tree_leaves(read) if isinstance(leaf, Tensor)]
    shapes = ", ".join(str(list(x.shape)) for x in tensors) or "nothing"
    advice = "check the shape of the input"
    wanted = None if network is None else precision(network)
    given = next((x.dtype for x in tensors if x.is_floating_point() and x.dtype != wanted), None)
    if wanted is not None and given is not None:
        advice = f"the network takes {short(wanted)}, the input is {short(given)}; convert it"
    return UserError(f"{name}: can't be run on {shapes}: {describe_error(error)}; {advice}")


def _apart(one: Tensor, other: Tensor) -> float:
    """The greatest difference, as a share of the greatest value; infinite where one is no number."""
    if torch.equal(one, other) or one.numel() == 0:
        return 0.0
    one, other = one.double(), other.double()
    same = (one == other) | (one.isnan() & other.isnan())
    if not (one.isfinite() == other.isfinite()).all() or not (same | one.isfinite()).all():
        return float("inf")
    apart = torch.where(same, 0.0, (one - other).abs()).max()
    greatest = other[other.isfinite()].abs().max() if other.isfinite().any() else torch.tensor(1.0)
    return float(apart / greatest.clamp_min(1e-30))


def _shown(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"

"""Layers of one's own, as `register_layer` names them: each is one call of a network that is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from widthwise.network.layers import CELLS, RECURRENT, layer_type, registered
from widthwise.network.operands import OWN
from widthwise.network.quantized import parameter_role
from widthwise.network.undisturbed import Inside


@dataclass(frozen=True)
class OwnCall:
    """What a module of one's own computes, as a function of what it is called with and its parameters.

    path: of the module. forward: its own, bound to it.
    """

    path: str
    module: nn.Module
    forward: Callable[..., Any]

    @property
    def __name__(self) -> str:
        return layer_type(self.module)

    @property
    def parameters(self) -> dict[str, dict[str, Tensor]]:
        """The arguments beside those that the module is called with."""
        named = list(self.module.named_parameters())
        return {key: {name: p for name, p in named if parameter_role(name) == OWN[key]} for key in OWN}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module returns with the parameters among the arguments in the place of its own."""
        given = {name: p for key in OWN for name, p in kwargs.pop(key).items()}
        if all(given[name] is p for name, p in self.module.named_parameters()):
            return self.forward(*args, **kwargs)
        inside = {f"module.{name}": p for name, p in given.items()}
        return functional_call(_Forward(self.module, self.forward), inside, args, kwargs)


class _Forward(nn.Module):
    """Calls a forward, whose module's parameters can so be others meanwhile; no hook runs twice."""

    def __init__(self, module: nn.Module, forward: Callable[..., Any]) -> None:
        super().__init__()
        self.module = module
        self.__dict__["run"] = forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["run"](*args, **kwargs)


@contextmanager
def own_layers_called(
    inside: Inside, take: Callable[[OwnCall, tuple[Any, ...], Mapping[str, Any]], Any]
) -> Iterator[None]:
    """While this is open, `take` stands in the place of the forwards of a network's own layers.

    Recurrent ones compute step by step inside, so they are looked into; the network itself is no layer.
    """
    found = [module for module in inside.modules if registered(module) and inside.paths[id(module)]]
    taken = [module for module in found if layer_type(module) not in RECURRENT | CELLS]
    before = [module.__dict__.get("forward") for module in taken]
    for module in taken:
        call = OwnCall(inside.paths[id(module)], module, module.forward)
        module.__dict__["forward"] = _instead(call, take)
    try:
        yield
    finally:
        for module, was in zip(taken, before, strict=True):
            del module.__dict__["forward"]
            if was is not None:
                module.__dict__["forward"] = was


def _instead(
    call: OwnCall, take: Callable[[OwnCall, tuple[Any, ...], Mapping[str, Any]], Any]
) -> Callable[..., Any]:
    @wraps(call.forward)
    def forward(*args: Any, **kwargs: Any) -> Any:
        return take(call, args, kwargs)

    return forward

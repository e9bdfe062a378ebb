"""Places: where in a network's own code a call is made, and a way to take over every call while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn
from torch.nn.functional import multi_head_attention_forward
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from widthwise.network.attention import open_attention_forward
from widthwise.network.own_layers import OwnCall, own_layers_called
from widthwise.network.undisturbed import Inside, uncompiled

UNKNOWN = "?"  # in the place of a module that is none of the network's
EVERY = -1  # all calls of a function that a module makes


ASKING = {  # about a tensor, for what is no tensor and the same in all candidates
    *(
        "shape",
        "dtype",
        "device",
        "ndim",
        "size",
        "dim",
        "ndimension",
        "numel",
        "nelement",
        "stride",
        "layout",
    ),
    *("requires_grad", "is_floating_point", "is_complex", "is_contiguous", "element_size", "storage_offset"),
    *("is_nested", "is_sparse", "is_cuda", "is_cpu", "is_meta", "is_mps", "is_xpu", "is_leaf", "grad_fn"),
    *("get_device", "is_inference", "is_quantized", "names", "itemsize", "nbytes", "__len__"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """The n-th call of a function (from 0) that a module of the network makes in one run."""

    module: str  # its path; "" for the network itself
    function: str
    occurrence: int

    @property
    def every(self) -> Place:
        """All calls of the function by the module."""
        return Place(self.module, self.function, EVERY)


class Handle(Protocol):
    """What takes over a call: it gives what the call shall give."""

    def __call__(
        self, place: Place, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any: ...


def plainly(place: Place, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
    """What the call gives by itself."""
    return function(*args, **kwargs)


@contextmanager
def followed(network: nn.Module, handle: Handle, inside: Inside | None = None) -> Iterator[None]:
    """While this is open, `handle` takes over every torch function that the network calls.

    Attention (torch.nn.functional.multi_head_attention_forward) is opened: it is seen as the calls that it
    consists of. A layer of one's own is one call. Compiled parts run as they were before they were compiled.
    """
    inside = inside or Inside.of(network)
    paths, mode = inside.paths, _Following(handle)

    def enter(module: nn.Module, args: Any) -> None:
        mode.modules.append(paths.get(id(module), UNKNOWN))

    def leave(module: nn.Module, args: Any, result: Any) -> None:
        mode.modules.pop()

    with ExitStack() as stack:
        stack.callback(register_module_forward_pre_hook(enter).remove)
        stack.callback(register_module_forward_hook(leave, always_call=True).remove)
        stack.enter_context(uncompiled(network, inside))
        stack.enter_context(own_layers_called(inside, mode.own_layer))
        stack.enter_context(mode)
        yield


class _Following(TorchFunctionMode):
    def __init__(self, handle: Handle) -> None:
        super().__init__()
        self.handle = handle
        self.modules: list[str] = [""]
        self.calls: Counter[tuple[str, str]] = Counter()
        self.in_own_layer = False

    def own_layer(self, call: OwnCall, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What the handle gives for a layer of one's own; what that calls are no calls of the network."""
        if self.in_own_layer:
            return call.forward(*args, **kwargs)
        self.in_own_layer = True
        try:
            place = self._place(call.path, call.__name__)
            return self.handle(place, call, args, {**kwargs, **call.parameters})
        finally:
            self.in_own_layer = False

    def _place(self, module: str, name: str) -> Place:
        occurrence = self.calls[module, name]
        self.calls[module, name] += 1
        return Place(module, name, occurrence)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.in_own_layer:
            return function(*args, **kwargs)
        if function is multi_head_attention_forward:
            with self:
                return open_attention_forward(*args, **kwargs)
        name = function_name(function)
        if name in ASKING:
            return function(*args, **kwargs)
        return self.handle(self._place(self.modules[-1], name), function, args, kwargs)


def function_name(function: Callable[..., Any]) -> str:
    """linear, add, T: of a property of tensors its own name."""
    name = getattr(function, "__name__", type(function).__name__)
    if name == "__get__":
        return str(getattr(getattr(function, "__self__", None), "__name__", name))
    return str(name)

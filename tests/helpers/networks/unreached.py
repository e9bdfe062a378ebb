"""Networks with layers that replacing a module's children does not reach; six features, three classes."""

from __future__ import annotations

import copy
import functools
import warnings
import weakref
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


def mlp() -> nn.Sequential:
    """What most of the networks below compute."""
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


class Body(nn.Module):
    """A block that has been compiled or scripted, and a layer of its own."""

    def __init__(self, change: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated, and used all the same
            self.body = change(nn.Sequential(nn.Linear(6, 8), nn.ReLU()))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def compiled(model: nn.Module) -> nn.Module:
    """By torch's own compiler, with the back end that compiles nothing."""
    return torch.compile(model, backend="eager")  # type: ignore[return-value]


def compiled_in_place(model: nn.Module) -> nn.Module:
    """As nn.Module.compile has it: the module stays itself, its call is another."""
    model.compile(backend="eager")
    return model


def scripted(model: nn.Module) -> nn.Module:
    """TorchScript of the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(model)


def traced(model: nn.Module) -> nn.Module:
    """TorchScript of one run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(model, torch.ones(2, 6))


class _Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.last = nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)


class Lambda(_Layers):
    def __init__(self) -> None:
        super().__init__()
        self.run = lambda x: self.last(self.act(self.first(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


class Closure(_Layers):
    """A function that holds the layer itself, not the network."""

    def __init__(self) -> None:
        super().__init__()
        first = self.first

        def body(x: Tensor) -> Tensor:
            return torch.relu(first(x))

        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x))


class Partial(_Layers):
    def __init__(self) -> None:
        super().__init__()
        self.body = functools.partial(_through, self.first, self.act)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x))


def _through(first: nn.Module, second: nn.Module, x: Tensor) -> Tensor:
    return second(first(x))


class BoundForward(_Layers):
    """The forward of its layer, kept."""

    def __init__(self) -> None:
        super().__init__()
        self.go = self.first.forward

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.act(self.go(x)))


class BoundMethod(_Layers):
    """One of its own methods, kept: which of two to run."""

    def __init__(self) -> None:
        super().__init__()
        self.run = self.forward_simply

    def forward_simply(self, x: Tensor) -> Tensor:
        return self.last(self.act(self.first(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


class PlainList(nn.Module):
    """Layers in a list that torch doesn't know of."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = [nn.Linear(6, 8), nn.ReLU()]
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return self.last(x)


class PlainDict(nn.Module):
    """A layer by task, in a dict that torch doesn't know of."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks = {"one": nn.Linear(6, 8), "two": nn.Linear(6, 8)}
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.tasks["one"](x)))


class ListBesideModules(_Layers):
    """Registered, and called by way of a list of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = [self.first, self.act, self.last]

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


class Hidden(nn.Module):
    """A backbone kept out of the state by a tuple, as frozen ones are."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = (nn.Linear(6, 8).requires_grad_(False),)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.backbone[0](x)))


class Weak(_Layers):
    """A part that knows its owner, weakly, and asks it for the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.part = _Asks(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.part(x)))


class _Asks(nn.Module):
    def __init__(self, owner: Weak) -> None:
        super().__init__()
        self.__dict__["owner"] = weakref.ref(owner)

    def __deepcopy__(self, memo: dict[int, object]) -> _Asks:
        made = _Asks.__new__(_Asks)
        nn.Module.__init__(made)
        made.__dict__["owner"] = self.__dict__["owner"]  # the copy's part asks the first owner
        return made

    def forward(self, x: Tensor) -> Tensor:
        return self.__dict__["owner"]().first(x)


class Static(nn.Module):
    """A layer that the class holds, one for all of its instances."""

    shared: nn.Module

    def __init__(self) -> None:
        super().__init__()
        type(self).shared = nn.Linear(6, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(type(self).shared(x)))


class MadeWhenRun(nn.Module):
    """A layer that forward makes from its weights, each time."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        layer = nn.Linear(6, 8)
        layer.weight, layer.bias = self.first.weight, self.first.bias
        return self.last(torch.relu(layer(x)))


def copied() -> nn.Module:
    """A deep copy, whose closure still runs the first network's layer."""
    return copy.deepcopy(Closure())


def copied_lambda() -> nn.Module:
    """A deep copy, whose lambda still runs the first network as a whole."""
    return copy.deepcopy(Lambda())


def data_parallel() -> nn.Module:
    """As networks come from training on several devices."""
    return nn.DataParallel(mlp())


UNREACHED: Mapping[str, Callable[[], nn.Module]] = {
    "compiled": lambda: compiled(mlp()),
    "compiled in place": lambda: compiled_in_place(mlp()),
    "compiled part": lambda: Body(compiled),
    "part compiled in place": lambda: Body(compiled_in_place),
    "compiled layer": lambda: nn.Sequential(compiled(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3)),
    "scripted": lambda: scripted(mlp()),
    "scripted part": lambda: Body(scripted),
    "traced": lambda: traced(mlp()),
    "traced part": lambda: Body(traced),
    "copied": copied,
    "copied lambda": copied_lambda,
    "data parallel": data_parallel,
    **{
        made.__name__: made
        for made in (
            *(Lambda, Closure, Partial, BoundForward, BoundMethod, PlainList, PlainDict, ListBesideModules),
            *(Hidden, Weak, Static, MadeWhenRun),
        )
    },
}

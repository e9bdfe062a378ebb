"""Networks whose Python code decides what they compute; six features, three classes."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Two(nn.Module):
    """Two linear layers, and what is between them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)


class Three(nn.Module):
    """Three linear layers, in the order of their use."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.middle, self.b = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)


class Dropped(Two):
    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.dropout(F.relu(self.a(x)), 0.5, training=self.training))


class AlphaDropped(Two):
    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.alpha_dropout(F.selu(self.a(x)), 0.5, self.training))


class RandomSlope(Two):
    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.rrelu(self.a(x), 0.1, 0.4, training=self.training))


class NoisyInTraining(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if self.training:
            h = h + torch.randn_like(h)
        return self.b(h)


class SkippedInTraining(Three):
    """Stochastic depth: Python's own random numbers."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if not self.training or random.random() > 0.9:
            h = h + self.middle(h)
        return self.b(h)


class NormByFunction(Two):
    """Batch norm as a function: its statistics are those of training or of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.linspace(-1, 1, 8))
        self.register_buffer("var", torch.linspace(0.5, 2, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.batch_norm(self.a(x), self.mean, self.var, training=self.training))


class AuxiliaryHead(Two):
    """Two outputs in training, one in use."""

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Any:
        h = F.relu(self.a(x))
        return (self.auxiliary(h), self.b(h)) if self.training else self.b(h)


class IsNone(Two):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        h = self.a(x)
        if mask is None:
            h = F.relu(h)
        return self.b(h)


class IsNotNone(Two):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            x = x * mask
        return self.b(self.a(x))


class OrDefault(Two):
    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        positions = positions if positions is not None else torch.arange(6)
        return self.b(self.a(x + positions / 6))


class Gives(Two):
    """A child that gives None where it is off."""

    def __init__(self) -> None:
        super().__init__()
        self.off = _Nothing()

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        more = self.off(h)
        return self.b(F.relu(h) if more is None else h + more)


class _Nothing(nn.Module):
    def forward(self, x: Tensor) -> None:
        del x


class IsTensor(Two):
    def forward(self, x: Any) -> Tensor:
        if isinstance(x, Tensor):
            x = F.relu(x)
        return self.b(self.a(x))


class OfExactType(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(torch.tanh(h) if type(h) is Tensor else h)


class AsksTorch(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(torch.sigmoid(h) if torch.is_tensor(h) else h)


class HasAttribute(Two):
    """As inputs that may be nested tensors or data classes are told."""

    def forward(self, x: Any) -> Tensor:
        if hasattr(x, "decompose"):
            x, _ = x.decompose()
        return self.b(F.relu(self.a(x)))


class LengthOfBatch(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(h * (1 + 1 / len(x.shape)) if len(x) > 0 else h)


class RowByRow(Two):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.b(F.relu(self.a(row))) for row in x])


class RequiresGradient(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(h * 3 if x.requires_grad else F.relu(h))


class GradientEnabled(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(h * 3 if torch.is_grad_enabled() else F.relu(h))


class Scripting(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if torch.jit.is_scripting() or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return self.b(h)
        return self.b(F.relu(h))


class BranchOfDtype(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if x.dtype == torch.float32:
            h = F.relu(h)
        return self.b(h)


class BranchOfFloating(Two):
    def forward(self, x: Tensor) -> Tensor:
        x = x / 2 if torch.is_floating_point(x) else x.float()
        return self.b(F.relu(self.a(x)))


class BranchOfDimensions(Two):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 2:
            x = x.unsqueeze(1)
        return self.b(F.relu(self.a(x))).squeeze(1)


class CatchesErrors(Two):
    """Tries one way, takes another where that fails."""

    def forward(self, x: Tensor) -> Tensor:
        try:
            scale = float(x.shape[1]) / 3
        except TypeError:
            scale = 1.0
        return self.b(F.relu(self.a(x * scale)))


class ReadsContext(Two):
    """A flag that a context manager of the user's own sets."""

    scale = 1.0

    @contextlib.contextmanager
    def scaled(self, by: float) -> Any:
        before, self.scale = self.scale, by
        yield
        self.scale = before

    def forward(self, x: Tensor) -> Tensor:
        with self.scaled(3.0):
            h = self.a(x) * self.scale
        return self.b(h * self.scale)


class WithoutGradient(Two):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.a(x)
        return self.b(F.relu(h))


class DecoratedWithoutGradient(Two):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x)))


class HalfPrecision(Two):
    """Its first layer in bfloat16, as mixed precision has it."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = self.a(x)
        return self.b(F.relu(h.float()))


class FullPrecisionWithin(Two):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return self.b(F.relu(self.a(x.float())))


class DoublePrecisionWithin(Two):
    """Its default type changed for a while, as some losses and position codes do."""

    def forward(self, x: Tensor) -> Tensor:
        torch.set_default_dtype(torch.float64)
        try:
            steps = torch.linspace(0, 1, 8)
        finally:
            torch.set_default_dtype(torch.float32)
        return self.b((self.a(x).double() + steps).float())


class AddsInPlace(Two):
    """z is y, which is read again later."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        z = y
        z += F.relu(y)
        return self.b(torch.tanh(y) + z)


class AddsToView(Two):
    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        half = y[:, :4]
        half += 1.0
        return self.b(F.relu(y))


class AssignsPart(Two):
    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        y[:, 2:5] = 0.25
        return self.b(y)


class AssignsWhere(Two):
    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        y[y < 0] = -0.5
        return self.b(y)


class ChangesItsInput(Two):
    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        y.mul_(2).clamp_(-1, 1)
        return self.b(F.relu(self.a(y)))


class CountsCalls(Two):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.b(F.relu(self.a(x)))


class CountsInPython(Two):
    """A step number that only its own logs read."""

    step = 0

    def forward(self, x: Tensor) -> Tensor:
        self.step += 1
        return self.b(F.relu(self.a(x)))


class KeepsActivations(Two):
    """Stores a result in an attribute, and reads it later in the same call."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept = self.a(x)
        return self.b(F.relu(self.kept))


class FillsCache(Two):
    """Makes a table of positions when it is first needed, for the size at hand."""

    def __init__(self) -> None:
        super().__init__()
        self.table: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        size = h.shape[1]
        if size not in self.table:
            self.table[size] = torch.linspace(0, 1, size)
        return self.b(F.relu(h + self.table[size]))


class MemoryOfShape(Two):
    """A mask made for the first batch, and again where a batch has another size."""

    mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.mask is None or len(self.mask) != len(x):
            self.mask = torch.full_like(x, 0.5)
        return self.b(F.relu(self.a(x * self.mask)))


class LoopsWhile(Three):
    """As many rounds as the values ask for."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        rounds = 0
        while bool(h.abs().max() > 1e-6) and rounds < 3:
            h, rounds = self.middle(h) * 0.5, rounds + 1
        return self.b(h)


class ChosenByName(Two):
    activation = "relu"

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        match self.activation:
            case "relu":
                h = F.relu(h)
            case _:
                h = torch.tanh(h)
        return self.b(h)


class CallsForward(Two):
    """Its layers without their __call__."""

    def forward(self, x: Tensor) -> Tensor:
        return self.b.forward(F.relu(self.a.forward(x)))


def with_forward_of_its_own() -> nn.Module:
    """A module whose instance has another forward than its class."""
    net = Gives()
    net.forward = lambda x: net.b(torch.tanh(net.a(x)))  # type: ignore[method-assign]
    return net


def with_hook() -> nn.Module:
    """A root whose outputs a hook changes, their classes' order for example."""
    net = IsTensor()
    net.register_forward_hook(lambda module, args, output: output[:, [2, 0, 1]] * 2)
    return net


def with_pre_hook() -> nn.Module:
    """A root whose inputs a hook standardises."""
    net = DecoratedWithoutGradient()
    net.register_forward_pre_hook(lambda module, args: ((args[0] - 0.5) * 2,))
    return net


def with_keyword_hook() -> nn.Module:
    """A root whose arguments a hook adds to."""
    net = IsNotNone()
    net.register_forward_pre_hook(
        lambda module, args, kwargs: (args, kwargs | {"mask": torch.linspace(0, 1, 6)}), with_kwargs=True
    )
    return net


def with_inner_hook() -> nn.Module:
    """A container within, whose outputs a hook changes."""
    net = nn.Sequential(nn.Sequential(nn.Linear(6, 8), nn.ReLU()), nn.Linear(8, 3))
    net[0].register_forward_hook(lambda module, args, output: output + 1)
    return net


TRAINING: Mapping[str, Callable[[], nn.Module]] = {
    made.__name__: made
    for made in (
        *(Dropped, AlphaDropped, RandomSlope, NoisyInTraining, SkippedInTraining, NormByFunction),
        AuxiliaryHead,
    )
}
BRANCHES: Mapping[str, Callable[[], nn.Module]] = {
    made.__name__: made
    for made in (
        *(IsNone, IsNotNone, OrDefault, Gives, IsTensor, OfExactType, AsksTorch, HasAttribute, LengthOfBatch),
        *(RowByRow, RequiresGradient, GradientEnabled, Scripting, BranchOfDtype, BranchOfFloating),
        *(BranchOfDimensions, CatchesErrors, ReadsContext, WithoutGradient, DecoratedWithoutGradient),
        *(HalfPrecision, FullPrecisionWithin, DoublePrecisionWithin, LoopsWhile, ChosenByName, CallsForward),
        *(with_forward_of_its_own, with_hook, with_pre_hook, with_keyword_hook, with_inner_hook),
    )
}
STATE: Mapping[str, Callable[[], nn.Module]] = {
    made.__name__: made
    for made in (
        *(AddsInPlace, AddsToView, AssignsPart, AssignsWhere, ChangesItsInput, CountsCalls, CountsInPython),
        *(KeepsActivations, FillsCache, MemoryOfShape),
    )
}
DECISIONS = TRAINING | BRANCHES | STATE

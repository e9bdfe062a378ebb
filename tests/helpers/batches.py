"""Networks and batches as people have them, with the call that its user would write for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

N, CLASSES, SIZE = 48, 4, 16


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers, the same each time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X, Z = normal(N, 6), normal(N, 5, seed=1)
Y = torch.arange(N) * 7 % 11 % CLASSES


class Given:
    """Batches as they are, the same in all parts."""

    def __init__(self, batches: Sequence[Any] | None) -> None:
        self.batches: Any = None if batches is None else list(batches)

    def train_dataloader(self) -> Any:
        return self.batches

    val_dataloader = test_dataloader = train_dataloader


@dataclass(frozen=True)
class Case:
    """A network, batches for it, and how its user calls it with one of them: scores and labels."""

    make: Callable[[], nn.Module]
    batches: Sequence[Any]
    called: Callable[[nn.Module, Any], tuple[Tensor, Tensor]]

    def network(self) -> nn.Module:
        """The same weights each time."""
        torch.manual_seed(0)
        return self.make().eval()

    @property
    def data(self) -> Given:
        """The batches as a data module."""
        return Given(self.batches)

    def truth(self, model: nn.Module) -> dict[str, float]:
        """By torch alone: accuracy and loss of the network over its user's batches."""
        model.eval()
        with torch.no_grad():
            pairs = [self.called(model, batch) for batch in self.batches]
        scores, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        right = (scores.argmax(1) == labels).double().mean()
        return {"accuracy": float(right), "loss": float(cross_entropy(scores.double(), labels))}


def cut(*tensors: Tensor, size: int = SIZE) -> list[tuple[Tensor, ...]]:
    """The tensors' samples in batches."""
    return list(zip(*(x.split(size) for x in tensors), strict=True))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, CLASSES))


class Two(nn.Module):
    """Two inputs and an optional third."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(5, 8), nn.Linear(8, CLASSES)

    def forward(self, left: Tensor, right: Tensor, scale: Any = 1.0) -> Tensor:
        return self.last(torch.relu(self.first(left) + self.second(right)) * scale)


class Gap(nn.Module):
    """Of three inputs the one in the middle may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, CLASSES)

    def forward(self, left: Tensor, shift: Any = 0.5, scale: Any = 1.0) -> Tensor:
        return self.last(torch.relu(self.first(left) * scale + shift))


class ByName(Gap):
    """An input that goes by name alone."""

    def forward(self, *, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


class Several(nn.Module):
    """As many inputs as one likes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(11, 8), nn.Linear(8, CLASSES)

    def forward(self, *parts: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(torch.cat(parts, 1))))


def first(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    """Batches (x, y), as they are."""
    x, y = batch
    return model(x), y


TWO = {  # forms of the same data
    "(x1, x2, y)": cut(X, Z, Y),
    "((x1, x2), y)": [((x, z), y) for x, z, y in cut(X, Z, Y)],
    "[[x1, x2], y]": [[[x, z], y] for x, z, y in cut(X, Z, Y)],
    "({names}, y)": [({"right": z, "left": x}, y) for x, z, y in cut(X, Z, Y)],
    "{names, labels}": [{"labels": y, "right": z, "left": x} for x, z, y in cut(X, Z, Y)],
    "{names, target, more}": [
        {"id": ["a"] * len(y), "right": z, "lengths": y + 1, "left": x, "target": y, "scale": None}
        for x, z, y in cut(X, Z, Y)
    ],
    "arrays": [(x.numpy(), z.numpy(), y.tolist()) for x, z, y in cut(X, Z, Y)],
    "batches of one": cut(X, Z, Y, size=1),
    "a smaller last batch": cut(X, Z, Y, size=20),
}


def both(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    """Whatever the form, the same samples."""
    if isinstance(batch, dict):
        return model(batch["left"], batch["right"]), batch.get("labels", batch.get("target"))
    *inputs, y = batch
    inputs = inputs[0] if len(inputs) == 1 else inputs
    if isinstance(inputs, dict):
        return model(inputs["left"], inputs["right"]), y
    return model(*map(torch.as_tensor, inputs)), torch.as_tensor(y)


FORMS = {
    "(x, y)": Case(mlp, cut(X, Y), first),
    **{form: Case(Two, batches, both) for form, batches in TWO.items()},
    "a default between": Case(
        Gap,
        [{"left": x, "scale": z[:, :1], "label": y} for x, z, y in cut(X, Z, Y)],
        lambda model, batch: (model(batch["left"], scale=batch["scale"]), batch["label"]),
    ),
    "one input of another name": Case(
        mlp,
        [{"image": x, "name": ["a"] * len(y), "label": y} for x, y in cut(X, Y)],
        lambda model, batch: (model(batch["image"]), batch["label"]),
    ),
    "by name alone": Case(
        ByName,
        [{"x": x, "labels": y} for x, y in cut(X, Y)],
        lambda model, batch: (model(x=batch["x"]), batch["labels"]),
    ),
    "any number": Case(Several, cut(X, Z, Y), lambda model, batch: (model(*batch[:-1]), batch[-1])),
}


# ---- batches and networks of every kind


@dataclass
class Output:
    """As Hugging Face's networks return it."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden: tuple[Tensor, ...] = ()


class Heads(nn.Module):
    """Boxes [n, 3] and scores [n, classes], in one form or another."""

    def __init__(self, form: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.first, self.boxes, self.scores = nn.Linear(6, 8), nn.Linear(8, 3), nn.Linear(8, CLASSES)
        self.form = form

    def forward(self, x: Tensor) -> Any:
        y = torch.relu(self.first(x))
        return self.form(self.boxes(y), self.scores(y))

    def alone(self, x: Tensor) -> Tensor:
        """The scores, without the rest."""
        return self.scores(torch.relu(self.first(x)))


class Words(nn.Module):
    """The mean over words of any length; what is padded counts, so its user's padding has to stay."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.last = nn.Embedding(10, 6), nn.Linear(6, CLASSES)

    def forward(self, ids: Tensor) -> Tensor:
        return self.last(self.words(ids).mean(1))


class Fixed(nn.Module):
    """Made for batches of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x.view(SIZE, -1))))


class Centred(Fixed):
    """Takes off the mean of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x - x.mean(0, keepdim=True))))


def own_statistics() -> nn.Module:
    """A batch norm that keeps none."""
    norm = nn.BatchNorm1d(8, track_running_stats=False)
    return nn.Sequential(nn.Linear(6, 8), norm, nn.ReLU(), nn.Linear(8, CLASSES))


class Steps(nn.Module):
    """A recurrent network as torch has it by default: steps come first, then samples."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.last = nn.GRU(6, 8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.cell(x)
        return self.last(y[-1])


class Whole(nn.Module):
    """Takes bytes, and converts them itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x.float() / 255)))


def padded() -> list[dict[str, Tensor]]:
    """Batches of words, each padded to its own longest."""
    generator = torch.Generator().manual_seed(3)
    return [
        {"ids": torch.randint(0, 10, (8, length), generator=generator), "labels": Y[at : at + 8]}
        for at, length in zip(range(0, N, 8), (5, 7, 5, 5, 9, 7), strict=True)
    ]


def steps(length: int) -> list[tuple[Tensor, Tensor]]:
    """Sequences [length, n, 6]."""
    return [(normal(length, SIZE, 6, seed=at), Y[at : at + SIZE]) for at in range(0, N, SIZE)]


def cast(dtype: torch.dtype) -> Callable[[nn.Module, Any], tuple[Tensor, Tensor]]:
    """The call of a user whose network is in this precision."""
    return lambda model, batch: (model(batch[0].to(dtype)).float(), batch[1])


def heads(form: Callable[[Tensor, Tensor], Any], called: Callable[[Any], Tensor]) -> Case:
    """A network of two outputs, and where its user finds the scores."""
    return Case(lambda: Heads(form), cut(X, Y), lambda model, batch: (called(model(batch[0])), batch[1]))


BYTES = (X.abs() * 80).clamp(0, 255).to(torch.uint8)
KINDS = {
    "padded to several lengths": Case(
        Words, padded(), lambda model, batch: (model(batch["ids"]), batch["labels"])
    ),
    "float64 samples": Case(mlp, cut(X.double(), Y), cast(torch.float32)),
    "float16 samples": Case(mlp, cut(X.half(), Y), cast(torch.float32)),
    "float64 network": Case(lambda: mlp().double(), cut(X, Y), cast(torch.float64)),
    "bfloat16 network": Case(lambda: mlp().bfloat16(), cut(X, Y), cast(torch.bfloat16)),
    "float16 network": Case(lambda: mlp().half(), cut(X.half(), Y), cast(torch.float16)),
    "bytes that it converts": Case(Whole, cut(BYTES, Y), first),
    "a tuple": heads(lambda boxes, scores: (boxes, scores), lambda result: result[1]),
    "a dict": heads(
        lambda boxes, scores: {"boxes": boxes, "scores": scores}, lambda result: result["scores"]
    ),
    "logits": heads(
        lambda boxes, scores: {"boxes": boxes, "logits": scores}, lambda result: result["logits"]
    ),
    "a dataclass": heads(
        lambda boxes, scores: Output(logits=scores, hidden=(boxes,)), lambda result: result.logits
    ),
    "batches of 16": Case(Fixed, cut(X, Y), first),
    "the mean of the batch": Case(Centred, cut(X, Y), first),
    "statistics of the batch": Case(own_statistics, cut(X, Y), first),
    "steps first": Case(Steps, steps(7), first),
    "as many steps as samples": Case(Steps, steps(SIZE), first),
}
WHOLE = (
    "batches of 16",
    "the mean of the batch",
    "statistics of the batch",
    "steps first",
    "as many steps as samples",
)


# ---- searches of any of these networks

CHOICES = {
    "name": ["integer"],
    "data_in_width": [4, 8],
    "data_in_frac_width": ["auto"],
    "weight_width": [3, 8],
}
FORMATS: dict[str, Any] = {
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {"linear": {"config": CHOICES}},
        },
        "strategy": {
            "name": "brute-force",
            "metrics": {"accuracy": {"direction": "maximize"}, "average_bitwidth": {"direction": "minimize"}},
        },
    },
}
WIDTHS: dict[str, Any] = {
    "search": {
        "search_space": {
            "name": "graph/width",
            "setup": {"by": "all"},
            "seed": {"default": {"config": {"channel_multiplier": [0.5, 1]}}},
        },
        "strategy": {
            "name": "brute-force",
            "metrics": {"accuracy": {"direction": "maximize"}, "parameters": {"direction": "minimize"}},
        },
        "training": {"epochs": 2},
    },
}

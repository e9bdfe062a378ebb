"""Networks whose parts have names that could be taken for something else; six features, three classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

CLASHES = {  # a function, and the name that a part of ours for it might get
    "sigmoid": "sigmoid_layer",
    "relu": "relu_layer",
    "tanh": "tanh_1",
    "mean": "mean_layer",
    "add": "add_1",
}
RESERVED = (
    *(
        "x",
        "output",
        "model",
        "network",
        "layer",
        "scheme",
        "graph",
        "input",
        "args",
        "kwargs",
        "root",
        "code",
    ),
    *("training_layer", "weight", "bias", "data_in", "node", "module", "name", "types", "default"),
    *("first_of_second", "getitem", "self_", "_0", "function", "wrapped", "original", "fn", "linear", "relu"),
)
KEYWORDS = (
    "in",
    "class",
    "for",
    "lambda",
    "None",
    "import",
    "is",
    "not",
    "with",
    "async",
    "match",
    "0",
    "1a",
)
ODD = ("a b", "a-b", "a/b", "a:b", "über", "a[0]", "a'b", 'a"b', "%", "__", "__class", "A", "a" * 80)


class Clash(nn.Module):
    """A function's result, and a layer that has the name that it would get."""

    def __init__(self, function: str, name: str) -> None:
        super().__init__()
        self.function, self.other = function, name
        self.fc = nn.Linear(6, 6)
        self.add_module(name, nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        match self.function:
            case "mean":
                h = h - h.mean(1, keepdim=True)
            case "add":
                h = (h + 1.0) + h
            case name:
                h = getattr(torch, name)(h)
        return getattr(self, self.other)(h)


class Called(nn.Module):
    """Its first layer has this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.first_name = name
        self.add_module(name, nn.Linear(6, 8))
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self._modules[self.first_name](x)))


class Keyed(nn.Module):
    """A ModuleDict with this key."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self.parts, self.last = nn.ModuleDict({key: nn.Linear(6, 8)}), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.parts[self.key](x)))


class Underscored(nn.Module):
    """Two paths that are one where dots are written as underscores: a_b, a.b."""

    def __init__(self) -> None:
        super().__init__()
        self.a_b = nn.Linear(6, 6)
        self.a = nn.Module()
        self.a.b = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.a.b(torch.tanh(self.a_b(x)))


class UnderscoredThrice(nn.Module):
    """a_b_1, a.b_1 and a.b, which is used twice: its second use might be called a_b_1 as well."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Module()
        self.a.b, self.a.b_1 = nn.Linear(6, 6), nn.Linear(6, 6)
        self.a_b_1 = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.a_b_1(torch.tanh(self.a.b_1(torch.tanh(self.a.b(torch.tanh(self.a.b(x)))))))


class NamedAsUse(nn.Module):
    """A layer used twice, and another with the name that its second use would have."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.fc_1 = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc_1(torch.tanh(self.fc(torch.tanh(self.fc(x)))))


class NamedAsPlace(nn.Module):
    """A layer used twice, and others with the names of places for its uses."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.fc_of_fc, self.fc_of_fc_1 = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc_of_fc_1(torch.tanh(self.fc_of_fc(torch.tanh(self.fc(torch.tanh(self.fc(x)))))))


PATHS: Mapping[str, Callable[[], nn.Module]] = {
    made.__name__: made for made in (Underscored, UnderscoredThrice, NamedAsUse, NamedAsPlace)
}

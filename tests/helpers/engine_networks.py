"""Networks of every structure that the engine must share values in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace

SAMPLES = 50
FIXED = {"name": ["integer"], "data_in_width": [3, 6], "weight_width": [3, 5], "bias_width": [2, 6]}


class Residual(nn.Module):
    """Two branches that meet again, with a functional ReLU and a shared module."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        x = x + self.act(self.second(x))
        return self.last(torch.relu(x))


class Concat(nn.Module):
    """Branches side by side, and arithmetic with numbers and a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.last = nn.Linear(6, 5), nn.Linear(6, 3, bias=False), nn.Linear(8, 3)
        self.scale = nn.Parameter(torch.linspace(0.5, 2, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.left(x).relu(), torch.tanh(self.right(x))], dim=1)
        return self.last(x * self.scale - 0.25)


class Shared(nn.Module):
    """One layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.layer(x))
        return self.last(torch.sigmoid(self.layer(x)))


class Convolutional(nn.Module):
    """A small CNN with a norm, a residual, pooling and sizes taken from the input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.pool, self.last = nn.MaxPool2d(2), nn.Linear(4 * 2 * 2, 3)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.running_mean)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv1(x)))
        x = self.pool(x + self.conv2(x))
        return self.last(x.view(x.size(0), -1))


class Attention(nn.Module):
    """Tokens [n, t, 6] through self-attention, a norm and a product of two results."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.norm, self.mix, self.last = nn.LayerNorm(6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        attended, _ = self.attention(x, x, x, need_weights=False)
        x = self.norm(x + attended)
        scores = torch.softmax(torch.bmm(x, self.mix(x).transpose(1, 2)), dim=-1)
        return self.last(torch.matmul(scores, x).mean(dim=1))


class TwoInputs(nn.Module):
    """Two inputs that meet in a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(6, 4), nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.last(torch.relu(self.a(x) + self.b(z)))


class InPlace(nn.Module):
    """Layers, functions, methods and operators that change what they are given, which others read later."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.act = nn.ReLU(16)  # as in the lab's networks: in place

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.act(x)
        y = self.second(y + x)
        z = nn.functional.relu(y, inplace=True)
        z += torch.nn.functional.relu(x)
        z.mul_(0.5)
        return self.last(torch.tanh(z + y))


class Functional(nn.Module):
    """Pooling, activations and flattening as functions with options."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.leaky_relu(self.conv(x), negative_slope=0.25)
        x = nn.functional.max_pool2d(x, 2) + nn.functional.avg_pool2d(x, kernel_size=2)
        return nn.functional.log_softmax(self.last(torch.flatten(x, 1)), dim=1)


class Untraceable(nn.Module):
    """A decision on the data, which fx can't follow."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.b(torch.relu(x) if float(x.sum()) > 1e9 else torch.tanh(x))


class Refusing(nn.Module):
    """Raises where its input is coarse."""

    def forward(self, x: Tensor) -> Tensor:
        if (x == x.round()).all():
            raise RuntimeError("too coarse\nby far")
        return x


class Choosy(nn.Module):
    """Fails with few bits in front of it."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.refusing, self.last = nn.ReLU(), Refusing(), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.refusing(self.act(x)))


class ChoosyTracer(fx.Tracer):
    """Takes Refusing as it is."""

    def is_leaf_module(self, m: nn.Module, name: str) -> bool:
        return isinstance(m, Refusing) or super().is_leaf_module(m, name)


def choosy_graph() -> Graph:
    """Choosy, traced."""
    torch.manual_seed(0)
    model = Choosy().eval()
    return Graph(fx.GraphModule(model, ChoosyTracer().trace(model)))


CHOOSY_RULES = {  # the first two of its ten candidates fail
    "act": {"config": {"name": "integer", "data_in_width": 8, "data_in_frac_width": [0, 2, 3, 4, 5]}},
    "last": {"config": {"name": "integer", "weight_width": [4, 6]}},
}

NETWORKS: dict[str, tuple[type[nn.Module], tuple[tuple[int, ...], ...]]] = {
    "residual": (Residual, ((6,),)),
    "concat": (Concat, ((6,),)),
    "shared": (Shared, ((6,),)),
    "convolutional": (Convolutional, ((1, 4, 4),)),
    "attention": (Attention, ((5, 6),)),
    "two inputs": (TwoInputs, ((6,), (2,))),
    "in place": (InPlace, ((6,),)),
    "functional": (Functional, ((1, 4, 4),)),
    "untraceable": (Untraceable, ((6,),)),
}


@dataclass
class Batches:
    """Data given in batches of one size, the same in all parts."""

    inputs: tuple[Tensor, ...]
    labels: Tensor
    size: int = 16
    class_names: tuple[str, ...] = ("a", "b", "c")

    def train_dataloader(self):
        for start in range(0, len(self.labels), self.size):
            rows = slice(start, start + self.size)
            x = tuple(part[rows] for part in self.inputs)
            yield (x[0] if len(x) == 1 else x), self.labels[rows]

    val_dataloader = test_dataloader = train_dataloader


def made(name: str, seed: int = 0) -> tuple[Graph, Batches]:
    torch.manual_seed(seed)
    network, shapes = NETWORKS[name]
    inputs = tuple(torch.randn(SAMPLES, *shape) for shape in shapes)
    return Graph(network().eval()), Batches(inputs, torch.randint(0, 3, (SAMPLES,)))


def every_layer(graph: Graph, config: dict) -> QuantisationSpace:
    """A space of every layer that can be quantised: functions and methods too."""
    names = {layer.name for layer in graph.layers if layer.tensors}
    return QuantisationSpace(graph, by="name", seed={name: {"config": config} for name in names})

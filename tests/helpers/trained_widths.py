"""Small networks whose widths are trained, and a path of each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from widthwise.metrics.quality.tasks import task_of
from widthwise.network.graph import Graph
from widthwise.training import Settings
from widthwise.training.trained_widths.path import Checkpoint, Learned, WidthPath
from widthwise.training.trained_widths.samples import Samples
from widthwise.training.trained_widths.settings import PathSettings


class Residual(nn.Module):
    """Two convolutions, a sum of paths, a pooling and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.pool, self.last = nn.MaxPool2d(2), nn.Linear(27, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x).relu()
        return self.last(self.pool((self.b(x) + x).relu()).flatten(1))


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    """By name, with samples."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    return {
        "linear": (
            nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
            torch.randn(80, 6, generator=generator) * torch.tensor([1, 1, 30, 0.1, 1, 1]),
        ),
        "convolutional": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(16, 3),
            ),
            torch.rand(80, 2, 8, 8, generator=generator),
        ),
        "residual": (Residual(), torch.randn(80, 1, 6, 6, generator=generator)),
    }


SHORT = {
    "steps": 40,
    "checkpoints": 2,
    "batch_size": 32,
    "price_from": 1.0,
    "price_to": 5.0,
    "width_rate": 0.1,
}


def path_of(network: nn.Module, x: Tensor, seed: int = 0, **settings: object) -> WidthPath:
    """Of a classifier, not yet trained."""
    task = task_of("classification")
    learned = Learned(lambda result: result, task.distance, lambda o, t: task.loss(o, t, Settings()))
    targets = torch.zeros(len(x), dtype=torch.int64)
    samples = Samples(x, targets, x.std(0, correction=0))
    return WidthPath(Graph(network, (x[:4],)), samples, learned, PathSettings(**{**SHORT, **settings}), seed)


def formatted(network: nn.Module, x: Tensor, found: Checkpoint) -> Graph:
    """The network of a checkpoint."""
    made = Graph(network, (x[:4],)).copy()
    made.model.load_state_dict({**made.model.state_dict(), **found.weights})
    made.model.eval()
    return made.quantized(found.schemes)


class Held:
    """Samples whose parts are all the same."""

    def __init__(self, x: Tensor) -> None:
        self.batches = [(x, torch.arange(len(x)) % 3)]

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return self.batches

    val_dataloader = test_dataloader = train_dataloader

"""All networks by name: how each is made, what it takes, and tags by which tests pick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from helpers.networks import features, images, odd, tokens
from widthwise.network.named import load_model

Tag = Literal[
    "traceable",  # torch.fx follows it
    "classes",  # takes numbers and gives scores [n, 3], so that data can be judged by it
    "groups",  # its channels form groups that can be resized
    "layers",  # one input, and layers of many kinds
    "odd",  # tempts an evaluator to share what must not be shared
]


@dataclass(frozen=True)
class Network:
    """How a network is made and what it takes."""

    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]  # of one sample, for each input
    tags: frozenset[Tag]
    tokens: int | None = None  # inputs are the numbers of so many tokens

    def inputs(self, samples: int, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """Inputs [samples, ...], of torch's own generator where none is given."""
        if self.tokens is not None:
            return tuple(
                torch.randint(0, self.tokens, (samples, *shape), generator=generator) for shape in self.shapes
            )
        return tuple(torch.randn(samples, *shape, generator=generator) for shape in self.shapes)


def _network(
    make: Callable[[], nn.Module], *shapes: tuple[int, ...], tags: str, tokens: int | None = None
) -> Network:
    return Network(make, shapes, frozenset(tags.split()), tokens)  # type: ignore[arg-type]


def _encoder_layer() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)


ZOO: dict[str, Network] = {
    "residual": _network(features.Residual, (6,), tags="traceable layers classes"),
    "concat": _network(features.Concat, (6,), tags="traceable layers classes"),
    "shared": _network(features.Shared, (16,), tags="traceable layers classes groups"),
    "two inputs": _network(features.TwoInputs, (6,), (2,), tags="traceable classes"),
    "in place": _network(features.InPlace, (6,), tags="classes"),  # fx makes its += a plain sum
    "gated": _network(features.Gated, (16,), tags="traceable layers classes groups"),
    "sloped": _network(features.Sloped, (16,), tags="traceable layers classes groups"),
    "untraceable": _network(features.Untraceable, (5,), tags="layers"),
    "deciding": _network(features.Deciding, (6,), tags="layers classes"),
    "convolutional": _network(images.Convolutional, (1, 4, 4), tags="traceable layers classes"),
    "residual image": _network(images.ResidualImage, (3, 6, 6), tags="traceable layers"),
    "functional": _network(images.Functional, (1, 4, 4), tags="traceable layers classes"),
    "mixed": _network(images.Mixed, (3, 8, 8), tags="traceable layers groups"),
    "transposed": _network(images.Transposed, (2, 18), tags="traceable layers groups"),
    "attention": _network(tokens.Attention, (5, 6), tags="traceable layers classes"),
    "token attention": _network(tokens.TokenAttention, (7,), tags="traceable layers", tokens=11),
    "hand_made": _network(tokens.HandMade, (4, 6), tags="traceable layers"),
    "encoder layer": _network(_encoder_layer, (3, 8), tags="layers"),
    "transformer": _network(tokens.Transformer, (10,), tags="layers groups", tokens=20),
    "mlp": _network(lambda: load_model("jsc-mlp"), (16,), tags="traceable layers groups"),
    "normalised mlp": _network(lambda: load_model("jsc-toy"), (16,), tags="traceable layers groups"),
    "three linear": _network(lambda: load_model("jsc-three-linear"), (16,), tags="traceable layers groups"),
    "cnn": _network(lambda: load_model("digits-cnn"), (1, 8, 8), tags="traceable layers groups"),
    "resnet": _network(lambda: load_model("resnet8"), (3, 32, 32), tags="traceable groups"),
    **{network.__name__: _network(network, (6,), tags="odd traceable") for network in odd.TRACEABLE},
    **{network.__name__: _network(network, (6,), tags="odd") for network in odd.UNTRACEABLE},
}


def tagged(*tags: Tag) -> list[str]:
    """The names of the networks that have all of these tags, in the zoo's order."""
    return [name for name, network in ZOO.items() if network.tags.issuperset(tags)]


def build(name: str) -> nn.Module:
    """The network, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return ZOO[name].make().eval()


def inputs(name: str, samples: int = 4) -> Tensor:
    """The same samples each time for a network that takes one input."""
    (only,) = ZOO[name].inputs(samples, torch.Generator().manual_seed(0))
    return only


def normal(*shape: int) -> Callable[[int], Tensor]:
    """Standard normal samples of this shape."""
    return lambda samples: torch.randn(samples, *shape, generator=torch.Generator().manual_seed(0))


def trained_like(model: nn.Module) -> nn.Module:
    """The network in eval mode with batch norms that have seen data, so that they do something."""
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean = torch.randn(module.num_features, generator=generator) * 0.1
            module.running_var = torch.rand(module.num_features, generator=generator) + 0.5
    return model.eval()

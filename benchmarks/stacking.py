"""What training several small networks at once would gain on a processor, over one after another.

python benchmarks/stacking.py [--threads 1] [--candidates 16] [--steps 20] [--formats both]

Networks of one shape with weights of their own take the same steps of Adam on the same batches of made-up
data, one after another, and all at once by torch.func (functional_call under vmap over stacked parameters).
`ratio` is the processor time of the first over the second; with more than one thread that of the clock.
`apart` is the greatest difference of their weights after these steps, in units of the greatest weight.
In float, and with weights and inputs in fixed point of 2 to 8 bits, another width for each network: the steps
are stacked like parameters then, and gradients pass straight through.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

SIDE, CLASSES = 8, 10
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "64-32-32-10": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, CLASSES)
    ),
    "two convolutions": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    ),
}


class Rounded(nn.Module):
    """A layer whose weight and input are in fixed point with `width` bits, a buffer."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("width", torch.tensor(float(width)))

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives for the rounded input by its rounded weight."""
        held = dict(self.layer.named_parameters())
        held["weight"] = rounded(held["weight"], self.width, 0)
        found: Tensor = functional_call(self.layer, held, (rounded(x, self.width, 2),))
        return found


def rounded(x: Tensor, width: Tensor, whole: int) -> Tensor:
    """x in fixed point with so many whole bits; gradients pass straight through where nothing saturates."""
    step = 2.0 ** (whole + 1 - width)
    most = 2.0 ** (width - 1)
    inside = torch.minimum(torch.maximum(x / step, -most), most - 1)
    return (inside + (inside.round() - inside).detach()) * step


def made(name: str, count: int, *, with_formats: bool) -> list[nn.Module]:
    """Networks of one shape, each with weights and widths of its own."""
    found = []
    for number in range(count):
        torch.manual_seed(number)
        network = NETWORKS[name]()
        if with_formats:
            width = 2 + number % 7
            layers = [
                Rounded(layer, width) if hasattr(layer, "weight") else layer for layer in network.children()
            ]
            network = nn.Sequential(*layers)
        found.append(network)
    return found


def one_by_one(networks: list[nn.Module], batches: list[tuple[Tensor, Tensor]]) -> list[dict[str, Tensor]]:
    """Their parameters after a step for each batch."""
    for network in networks:
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        for x, y in batches:
            F.cross_entropy(network(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
    return [dict(network.named_parameters()) for network in networks]


def at_once(networks: list[nn.Module], batches: list[tuple[Tensor, Tensor]]) -> list[dict[str, Tensor]]:
    """The same of all together."""
    parameters, buffers = stack_module_state(networks)
    parameters = {name: p.detach().requires_grad_(True) for name, p in parameters.items()}
    base = copy.deepcopy(networks[0]).to("meta")
    optimizer = torch.optim.Adam(list(parameters.values()), lr=1e-3, fused=True)

    def outputs(own: dict[str, Tensor], held: dict[str, Tensor], x: Tensor) -> Any:
        return functional_call(base, (own, held), (x,))

    for x, y in batches:
        found = vmap(outputs, in_dims=(0, 0, None))(parameters, buffers, x)
        labels = y.repeat(len(networks))
        (F.cross_entropy(found.flatten(0, 1), labels, reduction="sum") / len(y)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return [{name: p[row] for name, p in parameters.items()} for row in range(len(networks))]


def compared(name: str, batch: int, asked: argparse.Namespace, *, with_formats: bool) -> dict[str, Any]:
    """Times of both, the better of two runs each, in turns."""
    clock = time.process_time if asked.threads == 1 else time.monotonic
    generator = torch.Generator().manual_seed(0)
    batches = [
        (
            torch.randn(batch, 1, SIDE, SIDE, generator=generator),
            torch.randint(0, CLASSES, (batch,), generator=generator),
        )
        for _ in range(asked.steps)
    ]
    best: dict[str, float] = {}
    ends: dict[str, list[dict[str, Tensor]]] = {}
    for _ in range(2):
        for way in (one_by_one, at_once):
            networks = made(name, asked.candidates, with_formats=with_formats)
            began = clock()
            ends[way.__name__] = way(networks, batches)
            best[way.__name__] = min(best.get(way.__name__, float("inf")), clock() - began)
    apart = max(
        float(((one[key] - other[key]).abs().max() / one[key].abs().max()).detach())
        for one, other in zip(ends["one_by_one"], ends["at_once"], strict=True)
        for key in one
    )
    return {
        "network": name,
        "formats": with_formats,
        "batch": batch,
        "ms_a_step": {way: round(1e3 * seconds / asked.steps, 1) for way, seconds in best.items()},
        "ratio": round(best["one_by_one"] / best["at_once"], 2),
        "apart": float(f"{apart:.1e}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--formats", choices=("no", "yes", "both"), default="both")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    for with_formats in {"no": (False,), "yes": (True,), "both": (False, True)}[asked.formats]:
        for name in NETWORKS:
            for batch in (64, 256):
                print(json.dumps(compared(name, batch, asked, with_formats=with_formats)), flush=True)


if __name__ == "__main__":
    main()

"""How many exports of random schemes give all outputs of the network that is judged, bit for bit.

python benchmarks/export.py [--forms c,qonnx,verilog,hls4ml] [--networks jsc-mlp,jsc-tiny] [--schemes 20]
                            [--widest 16] [--first 0] [--seed 0]

Forms may have options: hls4ml:strategy=distributed_arithmetic. Networks: jsc-mlp, jsc-tiny, jsc-s (batch
norms, folded), residual (two paths, on jets), digits-cnn. --first: so many schemes are left out, to go on.

Widths from 2 to 16 (or --widest); bits behind the point within one of what the range of values leaves, or
with --wild any from 3 before the code's last bit to 4 beyond its first. All samples; jsc-mlp's weights come
from the data folder beside the repository (or WIDTHWISE_SHARED), the others are trained here and their batch
norms folded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from tasks.networks import jets_mlp, trained
from widthwise import training
from widthwise.core.errors import UserError
from widthwise.data.modules import Data, load_data
from widthwise.export.checking import compare
from widthwise.export.exporter import exporter
from widthwise.formats import Integer
from widthwise.network.graph import Graph
from widthwise.network.passes import fold_batchnorm_transform_pass
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme

TYPES = ("linear", "batch_norm1d", "conv2d")
NARROW, WIDE = 2, 16
OPTIONS = {"verilog": {"simulate": False}, "vhdl": {"simulate": False}, "onnx": {"layout": "qdq"}}


@dataclass
class Tried:
    """Of the schemes of a network, how many came out how in a form."""

    equal: int = 0
    refused: int = 0
    different: int = 0
    seconds: float = 0.0
    reason: str = ""


def networks(names: list[str]) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """By name, with the 1,024 jets."""
    for name in names:
        if name == "jsc-mlp":
            network, data = jets_mlp()
            yield name, network, next(iter(data.train_dataloader()))[0]
            continue
        if name == "residual":
            network, data = two_paths()
        else:
            network, data = trained(name, "digits" if name.startswith("digits") else "jsc")
        parts = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
        x = torch.cat([batch[0] for part in parts for batch in part])
        folded, _ = fold_batchnorm_transform_pass(Graph(network, x[:2]), {})
        yield name, folded.model, x


class TwoPaths(nn.Module):
    """A perceptron whose hidden layer is added to what the next one makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(16, 24), nn.Linear(24, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        """[n, 16] to [n, 5]."""
        h = torch.relu(self.first(x))
        return self.last(torch.relu(self.inner(h) + h))


def two_paths() -> tuple[nn.Module, Data]:
    """Trained on jets."""
    data = load_data("jsc", seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = TwoPaths()
    training.fit(network, data, epochs=20, learning_rate=1e-2, seed=0)
    return network.eval(), data


def random_scheme(
    graph: Graph, x: Tensor, rng: np.random.Generator, *, wild: bool, widest: int
) -> dict[str, Scheme]:
    """A format for every tensor of every layer with weights; sums of two paths read as their other reader."""
    found = {}
    for layer in graph.layers:
        if layer.type not in TYPES:
            continue
        values = {tensor: stored[0].value for tensor, stored in layer.stored.items()}
        values["data_in"] = x / 2 if not found else torch.tensor([8.0])
        drawn = {}
        for tensor in layer.tensors:
            width = int(rng.integers(NARROW, widest + 1))
            fitting = Integer(width, "auto").calibrated(values[tensor]).fraction + int(rng.integers(-1, 2))
            drawn[tensor] = Integer(width, int(rng.integers(-3, width + 5)) if wild else fitting)
        found[layer.name] = Scheme(**drawn)
    sums = {
        layer.name: Scheme(data_in=found["inner"].data_in) for layer in graph.layers if layer.type == "add"
    }
    return found | sums


def tried(form: str, network: nn.Module, x: Tensor, schemes: list[dict[str, Scheme]]) -> Tried:
    """All schemes of a network in one form."""
    name, *given = form.split(":")
    options = {**OPTIONS.get(name, {}), **dict(each.split("=") for each in given)}
    made, found = exporter(name, options), Tried()
    for scheme in schemes:
        realised = Realised((), {}, scheme).complete(network)
        graph = realised.graph()
        if reasons := made.refusals(realised, graph):
            found.refused, found.reason = found.refused + 1, reasons[0]
            continue
        start = time.perf_counter()
        with TemporaryDirectory() as place:
            try:
                exported = made.write(realised, graph, Path(place), (x[:1],))
                assert exported.run is not None
                check = compare(graph, exported.run, [(x,)], on="all jets")
            except UserError as error:
                found.refused, found.reason = found.refused + 1, str(error)
                continue
        found.seconds += time.perf_counter() - start
        found.equal += check.equal == check.samples
        found.different += check.equal != check.samples
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--forms", default="c,qonnx,verilog,hls4ml")
    parser.add_argument("--networks", default="jsc-mlp,jsc-tiny")
    parser.add_argument("--schemes", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--widest", type=int, default=WIDE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wild", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, network, x in networks(given.networks.split(",")):
        rng = np.random.default_rng(given.seed)
        graph = Graph(network, x[:2])
        drawn = [
            random_scheme(graph, x, rng, wild=given.wild, widest=given.widest)
            for _ in range(given.first + given.schemes)
        ]
        schemes = drawn[given.first :]
        for form in given.forms.split(","):
            found = tried(form, network, x, schemes)
            each = found.seconds / max(found.equal + found.different, 1)
            print(
                f"{name:<9} {form:<7} {found.equal:>3} of {len(schemes)} with all {len(x):,} outputs equal, "
                f"{found.different} other, {found.refused} refused, {each:.1f} s each  {found.reason}",
                flush=True,
            )


if __name__ == "__main__":
    main()

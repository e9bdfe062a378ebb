"""How many exports of random schemes give all outputs of the network that is judged, bit for bit.

python benchmarks/export.py [--forms c,qonnx,hls4ml] [--networks jsc-mlp,jsc-tiny] [--schemes 20] [--seed 0]

Widths from 2 to 16; bits behind the point within one of what the range of values leaves, or with --wild any
from 3 before the code's last bit to 4 beyond its first. All 1,024 jets; jsc-mlp's weights come from the data
folder beside the repository (or WIDTHWISE_SHARED), jsc-tiny is trained here and its batch norm folded.
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
from widthwise.core.errors import UserError
from widthwise.export.checking import compare
from widthwise.export.exporter import exporter
from widthwise.formats import Integer
from widthwise.network.graph import Graph
from widthwise.network.passes import fold_batchnorm_transform_pass
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme

TYPES = ("linear", "batch_norm1d")
NARROW, WIDE = 2, 16


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
        network, data = trained(name, "jsc")
        parts = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
        x = torch.cat([batch[0] for part in parts for batch in part])
        folded, _ = fold_batchnorm_transform_pass(Graph(network, x[:2]), {})
        yield name, folded.model, x


def random_scheme(graph: Graph, x: Tensor, rng: np.random.Generator, *, wild: bool) -> dict[str, Scheme]:
    """A format for every tensor of every layer with weights."""
    found = {}
    for layer in graph.layers:
        if layer.type not in TYPES:
            continue
        values = {tensor: stored[0].value for tensor, stored in layer.stored.items()}
        values["data_in"] = x / 2 if not found else torch.tensor([8.0])
        drawn = {}
        for tensor in layer.tensors:
            width = int(rng.integers(NARROW, WIDE + 1))
            fitting = Integer(width, "auto").calibrated(values[tensor]).fraction + int(rng.integers(-1, 2))
            drawn[tensor] = Integer(width, int(rng.integers(-3, width + 5)) if wild else fitting)
        found[layer.name] = Scheme(**drawn)
    return found


def tried(form: str, network: nn.Module, x: Tensor, schemes: list[dict[str, Scheme]]) -> Tried:
    """All schemes of a network in one form."""
    made, found = exporter(form), Tried()
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
    parser.add_argument("--forms", default="c,qonnx,hls4ml")
    parser.add_argument("--networks", default="jsc-mlp,jsc-tiny")
    parser.add_argument("--schemes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wild", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, network, x in networks(given.networks.split(",")):
        rng = np.random.default_rng(given.seed)
        graph = Graph(network, x[:2])
        schemes = [random_scheme(graph, x, rng, wild=given.wild) for _ in range(given.schemes)]
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

"""How fast candidates of networks that nobody here wrote are scored: the engine beside a plain loop.

make bench-deps                             # timm and transformers, which the project itself doesn't need
python benchmarks/real_networks.py [NAME ...] [--threads 1 2] [--runs 3] [--layers 24]

Random weights, 32 images of 64 x 64 (timm). The plain loop runs the user's own module once for each
candidate; every convolution and linear layer reads its input through its format, over weights that are
quantised once for each format. The work: candidates drawn at random; a sweep of single changes spread over
all layers; the same over the first layers alone. Beside the ratios stands what sharing allows: the time of
all calls of a run, over the time of those calls that follow a change. Runs of both contenders alternate, each
with candidates of its own; printed are medians, and the peak memory of the process while the engine ran.
"""

from __future__ import annotations

import argparse
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import statistics
import sys
import time
import types
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine import Evaluator
from widthwise.formats.base import Format
from widthwise.network.graph import Graph
from widthwise.network.scheme import Scheme
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import Slot, schemes, slot_choices

IMAGES, SIDE, CLASSES = 32, 64, 1000
DRAWN = 6
EARLY = 0.25  # of the layers
METRICS = ["accuracy", "loss"]
CONFIG = {
    "name": ["integer"],
    "data_in_width": [8, 4],
    "data_in_frac_width": 4,
    "weight_width": [8, 4],
    "weight_frac_width": 6,
    "bias_width": [8, 4],
    "bias_frac_width": 5,
}
QUANTISED = (nn.Conv2d, nn.Linear)

TIMM: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet18": ("resnet18", {}),
    "mobilenetv3": ("mobilenetv3_small_100", {}),
    "efficientnet_b0": ("efficientnet_b0", {}),
    "convnext_atto": ("convnext_atto", {}),
    "densenet121": ("densenet121", {}),
    "regnet": ("regnetx_002", {}),
    "vit_tiny": ("vit_tiny_patch16_224", {"img_size": SIDE}),
    "mixer": ("mixer_s32_224", {"img_size": SIDE}),
    "repvgg": ("repvgg_a0", {}),
}


# ---- networks and their data, a function a family


@dataclass(frozen=True)
class Samples:
    """Inputs and labels as a data module, in one batch."""

    x: Tensor
    y: Tensor

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return [(self.x, self.y)]

    val_dataloader = test_dataloader = train_dataloader


@dataclass(frozen=True)
class Network:
    """A network and what it is judged on."""

    module: nn.Module
    data: Samples


def timm_network(name: str) -> Network:
    """A network of timm with random weights, and random images."""
    without_torchvision()
    import timm  # noqa: PLC0415  # after its stand-ins

    made, options = TIMM[name]
    torch.manual_seed(0)
    module = timm.create_model(made, pretrained=False, num_classes=CLASSES, **options).eval()
    settle(module)
    images = torch.randn(IMAGES, 3, SIDE, SIDE)
    return Network(module, Samples(images, torch.randint(0, CLASSES, (IMAGES,))))


FAMILIES: dict[str, Callable[[], Network]] = {name: partial(timm_network, name) for name in TIMM}


def without_torchvision() -> None:
    """timm asks for torchvision and PIL where its networks need neither: empty modules stand in for them."""
    missing = [name for name in ("torchvision", "PIL") if importlib.util.find_spec(name) is None]
    sys.meta_path.append(StandIns(tuple(missing)))


class Anything(type):
    """Classes that have every attribute: further ones like them."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything.named(name)

    @staticmethod
    def named(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules of packages that aren't there; whatever is asked of them is Anything."""

    def __init__(self, packages: tuple[str, ...]) -> None:
        self.packages = packages

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in self.packages:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__version__ = "11.0.0"  # type: ignore[attr-defined]
        module.__getattr__ = Anything.named  # type: ignore[method-assign]


def settle(module: nn.Module) -> None:
    """No weights of zeros, and statistics of batch norms that fit: values neither vanish nor explode."""
    for name, value in module.named_parameters():
        if name.endswith("weight") and not value.any():
            nn.init.normal_(value, std=0.02) if value.ndim > 1 else nn.init.ones_(value)
    module.train()
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = None
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(IMAGES, 3, SIDE, SIDE))
    module.eval()


def space_of(graph: Graph) -> QuantisationSpace:
    """Every convolution and linear layer has decisions of its own."""
    names = [layer.name for layer in graph.layers if isinstance(layer.module, QUANTISED)]
    return QuantisationSpace(graph, by="name", seed={name: {"config": CONFIG} for name in names})


# ---- the plain loop


class PlainLayer(nn.Module):
    """A convolution or linear layer that reads its input and its weights through formats."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.scheme = layer, Scheme()
        self.made: dict[tuple[str, Format | None], Tensor] = {}

    def parameter(self, name: str, fmt: Format | None) -> Tensor | None:
        value = getattr(self.layer, name)
        if value is None or fmt is None:
            return value
        if (name, fmt) not in self.made:
            self.made[name, fmt] = fmt.quantize(value.detach())
        return self.made[name, fmt]

    def forward(self, x: Tensor) -> Tensor:
        scheme, layer = self.scheme, self.layer
        weight, bias = self.parameter("weight", scheme.weight), self.parameter("bias", scheme.bias)
        x = x if scheme.data_in is None else scheme.data_in.quantize(x)
        if isinstance(layer, nn.Linear):
            return F.linear(x, weight, bias)
        return layer._conv_forward(x, weight, bias)


class PlainLoop:
    """One run of the user's own module for each candidate."""

    def __init__(self, network: Network, graph: Graph, slots: Sequence[Slot]) -> None:
        self.model, self.data, self.slots = copy.deepcopy(network.module), network.data, slots
        self.layers: dict[str, PlainLayer] = {}
        for name in dict.fromkeys(slot.layer for slot in slots):
            target = str(graph.node(name).target)
            self.layers[name] = PlainLayer(self.model.get_submodule(target))
            parent, _, own = target.rpartition(".")
            setattr(self.model.get_submodule(parent), own, self.layers[name])

    def __call__(self, candidates: IntArray) -> np.ndarray:
        """Accuracy and loss [K, 2]."""
        found = []
        with torch.no_grad():
            for chosen in slot_choices(self.slots, candidates):
                for name, scheme in schemes(self.slots, chosen).items():
                    self.layers[name].scheme = scheme
                scores = self.model(self.data.x)
                right = (scores.argmax(1) == self.data.y).double().mean().item()
                found.append((right, F.cross_entropy(scores, self.data.y).item()))
        return np.array(found)


# ---- candidates


class Candidates:
    """Batches of candidates, none of which comes twice."""

    def __init__(self, space: QuantisationSpace, slots: Sequence[Slot], most_layers: int) -> None:
        self.space, self.slots, self.most = space, slots, most_layers
        self.rng = np.random.default_rng(0)
        self.layers = list(dict.fromkeys(slot.layer for slot in slots))

    def drawn(self) -> tuple[IntArray, list[str]]:
        return self.space.sample(DRAWN, self.rng), []

    def sweep(self) -> tuple[IntArray, list[str]]:
        return self._changes(self.layers)

    def early(self) -> tuple[IntArray, list[str]]:
        return self._changes(self.layers[: max(1, int(len(self.layers) * EARLY))])

    def _changes(self, layers: Sequence[str]) -> tuple[IntArray, list[str]]:
        """A random candidate, and the same with one layer's weights (or inputs) in another format."""
        spread = np.unique(np.linspace(0, len(layers) - 1, min(self.most, len(layers))).astype(int))
        base = self.space.sample(1, self.rng)[0]
        rows, changed = [base], []
        for number in spread:
            tensor = ("weight", "data_in")[int(number) % 2]
            slot = next(s for s in self.slots if s.layer == layers[number] and s.tensor == tensor)
            row = base.copy()
            row[slot.columns[0]] = 1 - row[slot.columns[0]]
            rows.append(row)
            changed.append(layers[number])
        return np.array(rows), changed


# ---- what sharing allows


class Timed(fx.Interpreter):
    """Runs a graph and adds up the seconds of its nodes."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.seconds: dict[str, float] = defaultdict(float)

    def run_node(self, n: fx.Node) -> Any:
        start = time.perf_counter()
        value = super().run_node(n)
        self.seconds[n.name] += time.perf_counter() - start
        return value


class Theory:
    """By how much sharing can speed up single changes: by the time of each call of one candidate's graph."""

    def __init__(self, evaluator: Evaluator, x: Tensor, runs: int = 5) -> None:
        model = evaluator.network(np.zeros(len(evaluator.slots), dtype=np.int64)).model
        assert isinstance(model, fx.GraphModule)
        timed = Timed(model)
        with torch.no_grad():
            for run in range(runs + 1):
                timed.run(x)
                if not run:
                    timed.seconds.clear()
        self.seconds = timed.seconds
        self.graph = model.graph

    def __call__(self, changed: Sequence[str]) -> float:
        total = sum(self.seconds.values())
        return (len(changed) + 1) * total / (total + sum(map(self._after, changed)))

    def _after(self, layer: str) -> float:
        """Seconds of the calls that depend on a layer, its own included."""
        reached = {layer}
        for node in self.graph.nodes:
            if any(read.name in reached for read in node.all_input_nodes):
                reached.add(node.name)
        return sum(self.seconds[name] for name in reached)


# ---- measuring


def seconds_of(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_mib() -> float:
    """Of the process since `restart_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def restart_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@dataclass
class Measured:
    """Of one kind of work: speed relative to the loop, what sharing allows, seconds, MiB."""

    ratio: float
    theory: float
    engine: float
    loop: float
    peak: float


def measured(
    batches: Callable[[], tuple[IntArray, list[str]]],
    engine: Evaluator,
    loop: PlainLoop,
    theory: Theory,
    runs: int,
) -> Measured:
    ours, theirs, peak, changed = [], [], 0.0, []
    for _ in range(runs):
        candidates, changed = batches()
        restart_peak()
        ours.append(seconds_of(partial(engine, candidates)))
        peak = max(peak, peak_mib())
        theirs.append(seconds_of(partial(loop, candidates)))
    return Measured(
        statistics.median(t / o for t, o in zip(theirs, ours, strict=True)),
        theory(changed) if changed else 1.0,
        statistics.median(ours),
        statistics.median(theirs),
        peak,
    )


def rows(names: Sequence[str], threads: Sequence[int], runs: int, layers: int) -> Iterator[float]:
    """Prints a line for each network and number of threads; gives the ratios of the random candidates."""
    print(f"{'':32}{'random':>8}{'sweep':>16}{'early':>16}{'peak':>10}")
    print(f"{'network, threads':32}{'x loop':>8}{'x loop of':>16}{'x loop of':>16}{'MiB':>10}")
    for name in names:
        network = FAMILIES[name]()
        graph = Graph(network.module)
        space = space_of(graph)
        for count in threads:
            torch.set_num_threads(count)
            engine = Evaluator(graph, space, network.data, metrics=METRICS)
            loop = PlainLoop(network, graph, engine.slots)
            candidates = Candidates(space, engine.slots, layers)
            first = candidates.drawn()[0]
            ours, theirs = engine(first), loop(first)
            off = float(np.abs(ours["loss"] / theirs[:, 1] - 1).max())
            theory = Theory(engine, network.data.x)
            works = (candidates.drawn, candidates.sweep, candidates.early)
            drawn, sweep, early = (measured(work, engine, loop, theory, runs) for work in works)
            print(
                f"{f'{name}, {count}':32}{drawn.ratio:>8.2f}"
                f"{f'{sweep.ratio:.2f} of {sweep.theory:.2f}':>16}"
                f"{f'{early.ratio:.2f} of {early.theory:.2f}':>16}"
                f"{max(drawn.peak, sweep.peak, early.peak):>10,.0f}"
                f"   {1e3 * drawn.engine / DRAWN:.0f} ms a candidate; losses differ by {off:.0e}",
                flush=True,
            )
            yield drawn.ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(FAMILIES)}; all, if none")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--layers", type=int, default=24, help="that change in a sweep, evenly spread")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in FAMILIES]:
        parser.error(f"no network {unknown[0]}; there are {', '.join(FAMILIES)}")
    warnings.filterwarnings("ignore")  # of the libraries that the networks are from
    found = list(rows(given.names or list(FAMILIES), given.threads, given.runs, given.layers))
    print(f"median of the random candidates {statistics.median(found):.2f}, least {min(found):.2f}")


if __name__ == "__main__":
    main()

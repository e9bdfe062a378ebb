"""How fast candidates of networks that nobody here wrote are scored: the engine beside a plain loop.

make bench-deps                             # timm and transformers, which the project itself doesn't need
python benchmarks/real_networks.py [NAME ...] [--threads 1 2] [--runs 3] [--layers 24]

Random weights; 32 images of 64 x 64 (timm, and transformers' ViT in patches of 8) or 32 texts of 64 tokens
(transformers, four layers of 256). The plain loop runs the user's own module once for each candidate; every
convolution and linear layer (of transformers: linear layers, and GPT-2's addmm) reads its input through its
format, over weights that are quantised once for each format. The work: candidates drawn at random; a sweep of
single changes spread over all layers; the same over the first layers alone. Beside the ratios stands what
sharing allows: the time of all calls of a run, over the time of those calls that follow a change. Runs of
both contenders alternate, on the same candidates, new ones each time; printed are medians, and the peak
memory of the process while the engine ran.
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
from widthwise.network.placed import Placed
from widthwise.network.places import Place, followed
from widthwise.network.recording import PLACE
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
TRANSFORMERS_CONFIG = {
    "name": ["integer"],
    "data_in_width": 8,
    "data_in_frac_width": 4,
    "weight_width": [8, 4],
    "weight_frac_width": 6,
}

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
TOKENS, VOCABULARY, LABELS, PATCH = 64, 200, 4, 8
WIDE = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}
GPT2_WIDE = {"n_embd": 256, "n_layer": 4, "n_head": 4, "bos_token_id": None, "eos_token_id": None}
TRANSFORMERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("Bert", "SequenceClassification", {**WIDE, "intermediate_size": 1024}),
    "llama": (
        "Llama",
        "SequenceClassification",
        {**WIDE, "intermediate_size": 512, "num_key_value_heads": 2, "pad_token_id": 0},
    ),
    "gpt2": ("GPT2", "SequenceClassification", {**GPT2_WIDE, "n_positions": TOKENS, "pad_token_id": 0}),
    "vit": (
        "ViT",
        "ImageClassification",
        {**WIDE, "intermediate_size": 1024, "image_size": SIDE, "patch_size": PATCH},
    ),
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
    """A network, what it is judged on, the types of its layers that have formats, and their choices."""

    module: nn.Module
    data: Samples
    types: tuple[str, ...]
    config: dict[str, Any]


def timm_network(name: str) -> Network:
    """A network of timm with random weights, and random images."""
    without_torchvision()
    import timm  # noqa: PLC0415  # after its stand-ins

    made, options = TIMM[name]
    torch.manual_seed(0)
    module = timm.create_model(made, pretrained=False, num_classes=CLASSES, **options).eval()
    settle(module)
    images = torch.randn(IMAGES, 3, SIDE, SIDE)
    data = Samples(images, torch.randint(0, CLASSES, (IMAGES,)))
    return Network(module, data, ("conv2d", "linear"), CONFIG)


def transformers_network(name: str) -> Network:
    """A small classifier of transformers with random weights, and random texts or images."""
    import transformers  # noqa: PLC0415  # slow to import, and for these networks alone

    made, head, options = TRANSFORMERS[name]
    images = head == "ImageClassification"
    torch.manual_seed(0)
    config = getattr(transformers, f"{made}Config")(
        num_labels=LABELS, **options, **({} if images else {"vocab_size": VOCABULARY})
    )
    module = getattr(transformers, f"{made}For{head}")(config).eval()
    x = (
        torch.randn(IMAGES, 3, SIDE, SIDE)
        if images
        else torch.randint(1, VOCABULARY, (IMAGES, TOKENS))  # 0 is padding
    )
    data = Samples(x, torch.randint(0, LABELS, (IMAGES,)))
    return Network(module, data, ("linear", "addmm"), TRANSFORMERS_CONFIG)


FAMILIES: dict[str, Callable[[], Network]] = {
    **{name: partial(timm_network, name) for name in TIMM},
    **{name: partial(transformers_network, name) for name in TRANSFORMERS},
}


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


def space_of(graph: Graph, network: Network) -> QuantisationSpace:
    """Every layer of the network's types has decisions of its own."""
    names = [layer.name for layer in graph.layers if layer.type in network.types]
    return QuantisationSpace(graph, by="name", seed={name: {"config": network.config} for name in names})


# ---- the plain loop


class PlainLayer(nn.Module):
    """A convolution, linear layer or Conv1D that reads its input and its weights through formats."""

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
        if isinstance(layer, nn.Conv2d):
            return layer._conv_forward(x, weight, bias)
        rows = torch.addmm(bias, x.view(-1, x.size(-1)), weight)  # as transformers' Conv1D has it
        return rows.view(*x.shape[:-1], rows.size(-1))


class PlainLoop:
    """One run of the user's own module for each candidate."""

    def __init__(self, network: Network, graph: Graph, slots: Sequence[Slot]) -> None:
        self.model, self.data, self.slots = copy.deepcopy(network.module), network.data, slots
        self.layers: dict[str, PlainLayer] = {}
        for name in dict.fromkeys(slot.layer for slot in slots):
            target = module_path(graph.node(name))
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
                returned = self.model(self.data.x)
                scores = returned if isinstance(returned, Tensor) else returned.logits
                right = (scores.argmax(1) == self.data.y).double().mean().item()
                found.append((right, F.cross_entropy(scores, self.data.y).item()))
        return np.array(found)


def module_path(node: fx.Node) -> str:
    """Of the module that makes a node's call."""
    return node.meta[PLACE].module if PLACE in node.meta else str(node.target)


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
        """A random candidate, and the same with a layer's weights (or inputs, if free) in another format."""
        spread = np.unique(np.linspace(0, len(layers) - 1, min(self.most, len(layers))).astype(int))
        base = self.space.sample(1, self.rng)[0]
        rows, changed = [base], []
        for number in spread:
            free = {s.tensor: s for s in self.slots if s.layer == layers[number] and s.columns}
            slot = free["data_in"] if number % 2 and "data_in" in free else free["weight"]
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


def timed_calls(graph: Graph, seconds: dict[str, float], x: Tensor) -> None:
    """Runs a recorded network with its schemes and adds up the seconds of its nodes; of other calls as ""."""
    placed = graph.model
    assert isinstance(placed, Placed)
    calls = placed.at_places()
    names = {node.meta[PLACE]: node.name for node in graph.fx_graph.nodes if PLACE in node.meta}

    def handle(place: Place, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        start = time.perf_counter()
        value = calls(place, function, args, kwargs)
        seconds[names.get(place) or names.get(place.every, "")] += time.perf_counter() - start
        return value

    with followed(graph.network, handle):
        graph.network(x)


class Theory:
    """By how much sharing can speed up single changes: by the time of each call of one candidate's graph."""

    def __init__(self, evaluator: Evaluator, x: Tensor, runs: int = 5) -> None:
        graph = evaluator.network(np.zeros(len(evaluator.slots), dtype=np.int64))
        self.graph = graph.fx_graph
        if isinstance(graph.model, fx.GraphModule):
            timed = Timed(graph.model)
            self.seconds, run_once = timed.seconds, partial(timed.run, x)
        else:
            self.seconds = defaultdict(float)
            run_once = partial(timed_calls, graph, self.seconds, x)
        with torch.no_grad():
            for run in range(runs + 1):
                run_once()
                if not run:
                    self.seconds.clear()

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
        graph = Graph(network.module, network.data.x)
        space = space_of(graph, network)
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

"""Trained widths beside HGQ2 (arXiv 2405.00645, its second version) on the jets network, for training.py.

Both begin with the same float network and widths, learn from the same made samples and the float network's
same answers in as many steps, with the same rates and price of an ebop in every step; HGQ2 is set as
in its examples. Each keeps a network at the same steps. HGQ2's are written as formats of widthwise, with its
quantised weights as they are, so that ebops and accuracies of both are counted by the same code; ranges of
its inputs are traced on training and validation samples. Told are the processor's time for a step of each,
and over HGQ2's front how many times fewer ebops ours needs to be at least as near to the float network on
validation samples (KL divergence): the median, and the least; 0 where none of ours is as near.

HGQ2 runs as a process of its own by this Python, where it is installed (it comes with the extra "test"; keras
runs on torch), or by another one (--hgq2 PYTHON):

    python -m venv hgq2 && hgq2/bin/pip install torch==2.13.0 hgq2
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import widthwise as ww
from tasks.networks import jets_mlp
from widthwise.data.facts import part
from widthwise.data.modules import load_data
from widthwise.formats.integer_each import IntegerEach
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.tasks import task_of
from widthwise.network.graph import Graph
from widthwise.network.scheme import Scheme
from widthwise.training.trained_widths.path import Checkpoint, Learned, WidthPath
from widthwise.training.trained_widths.samples import Samples
from widthwise.training.trained_widths.settings import PathSettings

PROGRAM = Path(__file__).parent / "others" / "hgq2.py"
CHECKPOINTS = 20
FINEST = 24  # bits behind the point of a quantised weight


def why_not(python: str) -> str:
    """Why HGQ2 can't be run; "" where it can."""
    asked = subprocess.run(
        [python, "-c", "import os; os.environ['KERAS_BACKEND'] = 'torch'; import hgq, keras"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = (asked.stderr.strip().splitlines() or [""])[-1]
    return f"{python}: {last}; pip install hgq2, or say --hgq2 PYTHON" if asked.returncode else ""


def beside(splits: int, steps: int, python: str = sys.executable) -> None:
    """Prints a line for each split."""
    if reason := why_not(python):
        print(json.dumps({"hgq2": "skipped", "reason": reason}), flush=True)
        return
    model, _ = jets_mlp()
    settings = PathSettings(steps=steps, checkpoints=CHECKPOINTS)
    for seed in range(splits):
        data = load_data("jsc", seed=seed, standardise="reference")
        path = path_of(model, data, settings, seed)
        given = what_is_given(path, data)
        began = time.process_time()
        networks = [path.advance(number) for number in range(settings.checkpoints)]
        ours = time.process_time() - began
        own = [judged(formatted(model, found), model, data) for found in networks]
        with TemporaryDirectory() as place:
            np.savez(Path(place) / "given.npz", **given)
            command = [python, str(PROGRAM), "given.npz", "found.npz"]
            subprocess.run(command, cwd=place, check=True, capture_output=True)
            with np.load(Path(place) / "found.npz", allow_pickle=False) as found:
                theirs = float(found["processor"])
                other = [judged(graph_of(model, found, end), model, data) for end in settings.ends()]
        times = {"ms_a_step": round(ours / steps * 1e3, 2), "hgq2_ms_a_step": round(theirs / steps * 1e3, 2)}
        said = {"split": seed, "steps": steps, **times, "time_ratio": round(ours / theirs, 3)}
        print(json.dumps({**said, **compared(own, other)}), flush=True)
        print("   ours", own, flush=True)
        print("   hgq2", other, flush=True)


def path_of(model: Any, data: Any, settings: PathSettings, seed: int) -> WidthPath:
    """A fresh path of ours."""
    graph, task = Graph(model), task_of("classification")
    reader = check_data_fits_model(graph.network, data, task, None).reader
    samples = Samples.of(reader, part(data, "train"))
    learned = Learned(lambda result: result, task.distance, lambda found, wanted: found.sum())
    return WidthPath(graph, samples, learned, settings, seed)


def what_is_given(path: WidthPath, data: Any) -> dict[str, NDArray[Any]]:
    """What HGQ2 begins with and learns from: what ours does."""
    settings, found = path.settings, {}
    inputs, wanted = [], []
    for step in range(settings.steps):
        generator = torch.Generator().manual_seed(path.seed * 1_000_003 + step)
        x, _ = path.samples.drawn(settings.batch_size, settings.mixup, settings.noise, generator)
        inputs.append(x)
        with torch.no_grad():
            wanted.append(path.teacher(x))
    constants, reads = path.network.constants, path.network.reads
    tensors = constants.each(constants.value.detach())
    behind, before = reads.each(reads.fraction.detach()), reads.each(reads.whole.detach().round())
    for number, layer in enumerate(path.network.trained.values()):
        weight, bias = layer.own
        found[f"weight_{number}"] = tensors[weight].numpy().T.copy()
        found[f"bias_{number}"] = tensors[bias].numpy().copy()
        found[f"fraction_{number}"] = behind[layer.read].numpy().mean()
        found[f"whole_{number}"] = before[layer.read].numpy().max()
    price = path._unit / path._begins_with
    found["betas"] = np.array([settings.price(step) * price for step in range(settings.steps)])
    found["rates"] = np.array([settings.rates(step) for step in range(settings.steps)])
    found["ends"] = np.array(settings.ends())
    seen = [x for name in ("train", "val") for x, _ in part(data, name)]
    return {
        **found,
        "inputs": torch.stack(inputs).numpy(),
        "wanted": torch.stack(wanted).numpy(),
        "traced": torch.cat(seen).numpy(),
    }


def formatted(model: Any, found: Checkpoint) -> Graph:
    """A network of ours."""
    made = Graph(model).copy()
    made.model.load_state_dict({**made.model.state_dict(), **found.weights})
    return made.quantized(found.schemes)


def graph_of(model: Any, found: Any, end: int) -> Graph:
    """A network of HGQ2's as one of ours."""
    made, schemes = Graph(model).copy(), {}
    layers = [layer for layer in made.layers if layer.type == "linear"]
    for number, layer in enumerate(layers):
        sign, whole, behind, weight, bias = (
            found[f"{name}_{end}_{number}"] for name in ("sign", "whole", "behind", "weight", "bias")
        )
        signed = bool(sign.any())
        live = sign + whole + behind > 0
        widths = np.where(live, whole + behind + signed, 0).astype(int)
        reads = IntegerEach(
            tuple(widths.tolist()), tuple(behind.astype(int).tolist()), (len(widths),), signed
        )
        with torch.no_grad():
            layer.module.weight.copy_(torch.from_numpy(weight.T.copy()))
            layer.module.bias.copy_(torch.from_numpy(bias.copy()))
        schemes[layer.name] = Scheme(reads, just(weight.T), just(bias))
    return made.quantized(schemes)


def just(values: NDArray[Any]) -> IntegerEach:
    """The format that has these values, each with as many bits as it takes."""
    codes = np.rint(values.astype(np.float64) * 2.0**FINEST).astype(np.int64)
    least = np.where(codes == 0, 1, codes & -codes)
    codes, fractions = codes // least, FINEST - np.log2(least).astype(np.int64)
    widths = np.where(codes == 0, 0, np.frexp(np.where(codes < 0, -codes - 1, codes).astype(float))[1] + 1)
    fractions = np.where(codes == 0, 0, fractions)
    return IntegerEach(tuple(widths.ravel().tolist()), tuple(fractions.ravel().tolist()), values.shape)


def judged(graph: Graph, model: Any, data: Any) -> dict[str, float]:
    """Ebops, and on validation samples the distance from the float network and the accuracy."""
    x, y = (torch.cat(parts) for parts in zip(*part(data, "val"), strict=True))
    with torch.no_grad():
        outputs, wanted = graph.model(x), model(x)
    distance = task_of("classification").distance(outputs, wanted)
    right = float((outputs.argmax(1) == y).float().mean())
    ebops = ww.evaluate(graph, data, metrics=["ebops"])["ebops"]
    return {"ebops": int(ebops), "kl": round(float(distance), 4), "accuracy": round(right, 3)}


def compared(own: list[dict[str, float]], other: list[dict[str, float]]) -> dict[str, float]:
    """Over the front of the other the ratio of its ebops to ours at its distance or less."""
    front = [a for a in other if not any(b["ebops"] < a["ebops"] and b["kl"] <= a["kl"] for b in other)]
    ratios = []
    for point in front:
        reached = [mine["ebops"] for mine in own if mine["kl"] <= point["kl"]]
        ratios.append(point["ebops"] / min(reached) if reached else 0.0)
    return {"fewer_ebops": round(float(np.median(ratios)), 2), "at_least": round(min(ratios), 2)}

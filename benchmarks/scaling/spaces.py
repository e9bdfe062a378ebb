"""What strategies take on spaces of very many decisions: their own time, no network evaluated."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from benchmarks.scaling.measuring import alone, line

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.counting import count_text
from widthwise.core.errors import UserError
from widthwise.metrics.quality.follows import Follows
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import STRATEGIES, strategy
from widthwise.strategies.protocol import LearnsMargins, Margins

TENSORS = ("data_in_width", "weight_width", "bias_width")
WIDTHS = (2, 3, 4, 5, 6, 7, 8)
SAMPLES = 1024
FRONTIER = {100: 15.0, 300: 60.0}  # layers to seconds for TRIALS
TRIALS = 50
DEEP, FEW = 900, 20  # layers, and trials of every strategy on them


def space_of(layers: int) -> Space:
    """Three widths of each layer."""
    return Space(tuple(Decision(f"layer {i}/{name}", WIDTHS) for i in range(layers) for name in TENSORS))


def large_spaces() -> None:
    """Frontier on deep networks, and every strategy on one of 900 layers."""
    print(f"\nprocessor seconds of a strategy itself, {len(WIDTHS)} widths of each of 3 tensors of a layer")
    for layers, most in FRONTIER.items():
        found = alone(__name__, "searched", "frontier", layers, TRIALS)
        line(
            f"frontier, {found['trials']} trials, {layers} layers ({found['size']})",
            found["seconds"],
            "s",
            most,
        )
    for name in STRATEGIES:
        found = alone(__name__, "searched", name, DEEP, FEW)
        told = found["refused"] or f"{found['seconds']:.1f} s for {found['trials']} trials of {found['size']}"
        print(f"{name}, {DEEP} layers: {told}", flush=True)


def searched(name: str, layers: int, trials: int) -> dict[str, Any]:
    """Seconds of asking and telling."""
    space = space_of(layers)
    rng = np.random.default_rng(0)
    weights, answers = rng.random(3 * layers), rng.normal(size=(3 * layers, SAMPLES)) / np.sqrt(layers)
    count = 1 if name == "cmaes" else 2

    def costs(candidates: IntArray) -> FloatArray:
        known = np.full((len(candidates), count), np.nan)
        known[:, 1:] = -(candidates @ weights)[:, None]
        return known

    def margins(candidates: IntArray) -> FloatArray:
        share = candidates / (len(WIDTHS) - 1)
        return np.tanh(share @ answers + 2 * share.mean(axis=1, keepdims=True) - 1).astype(np.float32)

    names = {"accuracy": "maximize", "size": "maximize"}
    objectives = dict(list(names.items())[:count])
    seconds, done = 0.0, 0
    try:
        began = time.process_time()
        made = strategy(name, space, objectives=objectives, seed=0, costs=costs)  # type: ignore[arg-type]
        if isinstance(made, LearnsMargins):
            follows = [Follows(np.full(SAMPLES, 1 / SAMPLES)), None]
            made.learn_margins(Margins(margins, follows))
        while done < trials and len(candidates := made.ask(min(made.batch, trials - done))):
            seconds += time.process_time() - began
            values = costs(candidates)
            values[:, 0] = (margins(candidates) > 0).mean(axis=1)
            began = time.process_time()
            made.tell(candidates, values)
            done += len(candidates)
    except UserError as error:
        return {"refused": str(error)}
    seconds += time.process_time() - began
    return {"seconds": seconds, "trials": done, "size": count_text(space.size), "refused": None}

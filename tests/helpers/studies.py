"""Studies as they come: empty, of one trial, of failures, of many metrics or layers, with hostile names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.evaluators.protocol import Results
from widthwise.metrics.catalogue import METRICS as KNOWN
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.constraints import parse_constraints
from widthwise.metrics.goals.objective import Objective
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy
from widthwise.study.run_folder import load_run, start_run
from widthwise.study.store import StudyRecord, StudySettings
from widthwise.study.study import Study
from widthwise.study.sureness import FLOAT, KeptSureness

HOSTILE = '</script><img src=x onerror="window.hurt=1"><b>&amp;\'\u2028'
FORMATS = ("data_in_width", "weight_width")


@dataclass(frozen=True)
class Made:
    """Gives what is asked for: qualities grow with the widths, costs are their sum; fails every so often."""

    metrics: Sequence[Metric]
    fail: str = "none"  # or "all", "some"

    def __call__(self, candidates: IntArray) -> Results:
        total = candidates.sum(axis=1).astype(float)
        uneven = (candidates * (1 + np.arange(candidates.shape[1]) % 5)).sum(axis=1)
        quality = 1 - np.exp(-uneven / (1 + candidates.shape[1]))
        bad = {"none": np.zeros(len(total), bool), "all": np.ones(len(total), bool)}.get(
            self.fail, total % 3 == 1
        )
        found = {}
        for number, metric in enumerate(self.metrics):
            good = quality if metric.direction == "maximize" else 2 - quality
            values = 100 + 10 * total + number if metric.is_hardware else np.round(good, 3)
            found[metric.name] = np.where(bad, np.nan, values)
        return Results(found, dict.fromkeys(np.flatnonzero(bad).tolist(), f"diverged {HOSTILE}"))


def space_of(layers: Sequence[str], *, channels: bool = False) -> Space:
    """Two formats for each layer, and channels where the space is a joint one."""
    names = [f"{layer}/{key}" for layer in layers for key in FORMATS]
    decisions = [Decision(name, (2, 4, 8)) for name in names]
    more = [Decision(f"{layer}/channel_multiplier", (0.5, 1.0)) for layer in layers] if channels else []
    return Space((*decisions, *more))


def made_run(
    folder: Path,
    *,
    layers: Sequence[str] = ("first", "second", "third"),
    metrics: Sequence[str | Metric] = ("accuracy", "model_size", "loss"),
    objectives: int = 2,
    trials: int = 729,  # all of three layers
    fail: str = "none",
    channels: bool = False,
    bounds: Sequence[str] = (),
    name: str = "net",
    sure: bool = True,
) -> Study:
    """A finished run in a folder; of no trials an empty one."""
    chosen = [KNOWN[metric] if isinstance(metric, str) else metric for metric in metrics]
    space = space_of(layers, channels=channels)
    aim = Aim(tuple(Objective(metric, metric.direction) for metric in chosen[:objectives]))
    settings = StudySettings(
        aim=aim,
        constraints=parse_constraints(list(bounds), metrics={metric.name: metric for metric in chosen}),
        float_metrics={metric.name: 1000.0 if metric.is_hardware else 0.99 for metric in chosen},
        data=f"made of {name}",
        model=name,
        strategy="random",
    )
    config = "seed = 3\n[search.search_space.seed.default.config]\n"
    config += "data_in_width = [2, 4, 8]\nweight_width = [2, 4, 8]\n"
    record = StudyRecord(folder.name, space, tuple(chosen), settings, {"weights": "abc"}, config=config)
    with start_run(folder, record) as run:
        if trials:
            who = "brute-force" if space.size <= trials else "random"
            made = strategy(who, space, objectives=aim.directions, seed=0)
            limits = Limits(trials=trials, max_failures=None)
            run_search(made, Made(chosen, fail), run.writer, limits=limits, batch_size=64)
    study = load_run(folder)
    if sure and study.front:
        numbers = [trial.number for trial in study.front]
        errors = {n: {m.name: 0.01 for m in chosen if not m.is_hardware} for n in [*numbers, FLOAT]}
        close = {m.name: frozenset(frozenset(p) for p in _neighbours(numbers)) for m in chosen}
        KeptSureness(500, errors, close).write(folder)
        study = load_run(folder)
    return study


def _neighbours(numbers: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(numbers))

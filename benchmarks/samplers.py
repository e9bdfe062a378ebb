"""Strategies compared: what share of the true front's hypervolume they have after so many evaluations.

    python benchmarks/samplers.py [--tasks open|held-out|numbers|large|NAME,…] [--strategies NAME,…]
                                  [--seeds 10] [--first-seed 0] [--uniform-first] [--quick]

The truth is the whole space, evaluated; the reference point is its worst value of each objective (--reference
front: the worst on the true front, and a tenth of the front's range). Where a space is too large, the share
is of the union of all fronts found. Own time: asking and telling, exact costs included, evaluations not;
what frontier learns from single samples is evaluated a second time within it.

Evaluations are equivalent full ones: what frontier-singles probes on some of the samples counts by its CPU
time, as so many evaluations of single candidates as take the same.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks import HELD_OUT, LARGE, NUMBERS, OPEN, TASKS, Search
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.engine import Evaluator
from widthwise.metrics.goals.pareto import hypervolume, nondominated
from widthwise.search.answers import teach_answers
from widthwise.spaces.uniform import as_rows
from widthwise.strategies import strategy
from widthwise.strategies.opening import Opening

STRATEGIES = "frontier,tpe,nsga2,nsga3,gp,random"
GROUPS = {"open": OPEN, "held-out": HELD_OUT, "numbers": NUMBERS, "large": LARGE}
VALUES_ONLY = "-values"  # frontier-values: frontier that is told the objectives alone
# frontier-singles: frontier that probes single changes first; frontier-24: that spends trials on it instead
SENSITIVITY: dict[str, Any] = {"-singles": "singles", "-24": 24}
SPARE = 16  # candidates by which the time of an evaluation is measured
ENUMERABLE = 200_000


@dataclass(frozen=True)
class Run:
    """The values found, [n, M] in the order of evaluation, and the strategy's own seconds.

    probed: what was probed before the first of them, in equivalent full evaluations.
    """

    values: FloatArray
    seconds: float
    probed: float = 0.0

    def after(self, evaluations: int) -> FloatArray:
        """What was found with so many equivalent evaluations."""
        return self.values[: max(0, int(evaluations - self.probed))]


@dataclass
class Probing:
    """An evaluator that strategies learn from, and the CPU seconds that probing took."""

    judge: Evaluator
    seconds: float = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.judge, name)

    def few_margins(self, candidates: IntArray) -> tuple[FloatArray, IntArray]:
        """As the evaluator's, timed."""
        started = time.process_time()
        found = self.judge.few_margins(candidates)
        self.seconds += time.process_time() - started
        return found

    def in_evaluations(self, search: Search) -> float:
        """The time spent, in evaluations of single candidates."""
        if not self.seconds:
            return 0.0
        rows = search.space.sample(SPARE, np.random.default_rng(0))
        times = []
        for row in rows:
            started = time.process_time()
            search.values(row[None])
            times.append(time.process_time() - started)
        return self.seconds / float(np.median(times))


def main() -> None:
    """Print a table for each task."""
    given = arguments()
    for name in chosen_tasks(given.tasks):
        started = time.perf_counter()
        search = TASKS[name].search()
        truth = search.truth() if search.space.size <= ENUMERABLE else None
        about = next(group for group, tasks in GROUPS.items() if name in tasks)
        size, wanted = search.space.size, ", ".join(search.objectives)
        print(f"\n{name} ({about}): {TASKS[name].description}; {wanted}; {size:,} candidates")
        print(f"  set up in {time.perf_counter() - started:.0f} s", flush=True)
        runs = {
            each: [
                run(each, search, truth, seed, budget(each, given), uniform_first=given.uniform_first)
                for seed in range(given.first_seed, given.first_seed + given.seeds)
            ]
            for each in given.strategies.split(",")
        }
        report(runs, truth, given)


def arguments() -> argparse.Namespace:
    """What to compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", default="open,held-out", help="groups or names: " + ", ".join(TASKS))
    parser.add_argument("--strategies", default=STRATEGIES)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0, help="others than a default was chosen by")
    parser.add_argument("--budget", type=int, default=200, help="evaluations of a run")
    parser.add_argument("--gp-budget", type=int, default=100, help="of gp: it takes seconds a trial beyond")
    parser.add_argument("--after", default="25,50,100,200", help="evaluations after which to report")
    parser.add_argument("--reference", choices=("worst", "front"), default="worst")
    parser.add_argument("--uniform-first", action="store_true", help="begin as searches do")
    parser.add_argument("--quick", action="store_true", help="two tasks, 3 seeds, 100 evaluations, no gp")
    given = parser.parse_args()
    if given.quick:
        given.tasks, given.seeds, given.budget = "jets-size,digits-mlp", 3, 100
        given.strategies = "frontier,tpe,nsga2,random"
    given.after = [n for n in map(int, given.after.split(",")) if n <= given.budget]
    return given


def chosen_tasks(wanted: str) -> list[str]:
    """Names of tasks, groups resolved."""
    names: list[str] = []
    for name in wanted.split(","):
        names += list(GROUPS.get(name, {name: None}))
    return names


def budget(name: str, given: argparse.Namespace) -> int:
    """Evaluations of one run."""
    return min(given.budget, given.gp_budget) if name == "gp" else given.budget


def run(
    name: str,
    search: Search,
    truth: FloatArray | None,
    seed: int,
    evaluations: int,
    *,
    uniform_first: bool,
) -> Run:
    """One search by one strategy."""
    own_name, options = name.removesuffix(VALUES_ONLY), {}
    for ending, sensitivity in SENSITIVITY.items():
        if name.endswith(ending):
            own_name, options = name.removesuffix(ending), {"sensitivity": sensitivity}
    made = strategy(
        own_name, search.space, objectives=search.objectives, seed=seed, costs=search.costs, options=options
    )
    judge = Probing(search.evaluator)
    if not name.endswith(VALUES_ONLY):
        teach_answers(made, search.aim, judge)
    if uniform_first:
        made = Opening(made, search.space, as_rows(search.space.uniform, len(search.space.decisions)))
    told: list[FloatArray] = []
    seconds, done = 0.0, 0
    while done < evaluations:
        started = time.perf_counter()
        # Optuna's samplers are asked one by one, as they are meant to be; ours as they like
        candidates = made.ask(min(made.batch if own_name == "frontier" else 1, evaluations - done))
        seconds += time.perf_counter() - started
        if not len(candidates):
            break
        values = search.values(candidates) if truth is None else truth[search.space.positions(candidates)]
        started = time.perf_counter()
        made.tell(candidates, values)
        seconds += time.perf_counter() - started
        told.append(values)
        done += len(candidates)
    return Run(np.concatenate(told), seconds, judge.in_evaluations(search))


def report(runs: dict[str, list[Run]], truth: FloatArray | None, given: argparse.Namespace) -> None:
    """Median shares with the quartiles after them, and the median of the strategies' own time."""
    everything = np.concatenate([one.values for some in runs.values() for one in some])
    full = everything if truth is None else truth
    front = full[nondominated(full)]
    reference = np.nanmin(full, axis=0)
    if given.reference == "front":
        reference = front.min(axis=0) - 0.1 * np.ptp(front, axis=0)
    whole = hypervolume(front, reference)
    print(f"  {'strategy':<10}" + "".join(f"{f'after {n}':>22}" for n in given.after) + f"{'own time':>20}")
    for name, some in runs.items():
        cells = ""
        for n in given.after:
            if n > budget(name, given):
                cells += f"{'-':>22}"
                continue
            shares = [hypervolume(one.after(n), reference) / whole for one in some]
            low, middle, high = np.percentile(shares, (25, 50, 75))
            cells += f"{f'{middle:.4f} ({low:.3f}-{high:.3f})':>22}"
        own = f"{np.median([one.seconds for one in some]):.2f} s / {max(len(one.values) for one in some)}"
        if any(one.probed for one in some):
            own += f", probed {np.median([one.probed for one in some]):.1f}"
        print(f"  {name:<10}{cells}{own:>20}", flush=True)


if __name__ == "__main__":
    main()

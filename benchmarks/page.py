"""How long the page of a study takes to be written and to draw, and how large it is.

python benchmarks/page.py [TRIALS …] [--objectives N]    by default 1000 and 100000, of two objectives;
                                                          1000000 takes a minute to make

Drawn: the least of BROWSERS, each begun anew and left alone for a second, until the front can be clicked on;
whole: until all charts further down are drawn too, which otherwise come when they are scrolled to.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from selenium import webdriver

from widthwise.core.arrays import IntArray
from widthwise.evaluators.protocol import Results
from widthwise.metrics.catalogue import METRICS
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.objective import Objective
from widthwise.report.page.study import study_page
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy
from widthwise.study.run_folder import load_run, start_run
from widthwise.study.store import StudyRecord, StudySettings

NAMES = ("accuracy", "model_size", "loss", "bops", "average_bitwidth")
LAYERS = 8
WHOLE = """
const began = performance.now();
dispatchEvent(new Event('beforeprint'));  // draws what was not scrolled to
return performance.now() - began;
"""
BROWSERS = 3


def evaluate(candidates: IntArray) -> Results:
    """Figures that trade off, with noise, so that few are equal."""
    rng = np.random.default_rng(int(candidates[0].sum()) + len(candidates))
    total = candidates.sum(axis=1) + rng.random(len(candidates))
    accuracy = 1 - np.exp(-total / 12) * (0.5 + 0.5 * rng.random(len(candidates)))
    return Results(
        {
            "accuracy": accuracy,
            "model_size": 100 * total,
            "loss": 2 - accuracy + 0.1 * rng.random(len(candidates)),
            "bops": 1e4 * total * (1 + rng.random(len(candidates))),
            "average_bitwidth": total / 4,
        }
    )


def made(folder: Path, trials: int, objectives: int) -> float:
    """A run of so many trials; the seconds that making it took."""
    began = time.process_time()
    layers = (f"blocks_{n}/{key}" for n in range(LAYERS) for key in ("data_in_width", "weight_width"))
    space = Space(tuple(Decision(name, (2, 3, 4, 8)) for name in layers))
    metrics = tuple(METRICS[name] for name in NAMES)
    aim = Aim(tuple(Objective(metric, metric.direction) for metric in metrics[:objectives]))
    settings = StudySettings(aim=aim, float_metrics={"accuracy": 0.99, "model_size": 30_000.0}, model="made")
    with start_run(folder, StudyRecord(folder.name, space, metrics, settings)) as run:
        proposer = strategy("random", space, objectives=aim.directions, seed=0)
        run_search(proposer, evaluate, run.writer, limits=Limits(trials=trials), batch_size=8192)
    return time.process_time() - began


def drawn(page: Path) -> str:
    """Milliseconds until a browser has drawn the front, and everything, where there is one."""
    binary, service = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or service is None:
        return "no chromium"
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    times = []
    for _ in range(BROWSERS):
        with webdriver.Chrome(options=options, service=webdriver.ChromeService(service)) as driver:
            driver.get("about:blank")
            time.sleep(1)
            driver.get(page.as_uri())
            front = float(driver.execute_script("return document.documentElement.dataset.drawn"))
            rest = float(driver.execute_script(WHOLE))
            times.append((front, front + rest))
    front, whole = min(times)
    return f"{front:,.0f} ms {whole:>8,.0f} ms"


def main() -> None:
    """A line for each number of trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="*", type=int, default=[1_000, 100_000])
    parser.add_argument("--objectives", type=int, default=2, choices=range(1, len(NAMES) + 1))
    asked = parser.parse_args()
    study_page_once()
    heads = f"{'trials':>9} {'made':>8} {'written in':>11} {'of the processor':>17} {'size':>9}"
    print(f"{heads} {'drawn in':>10} {'whole in':>11}")
    for trials in asked.trials:
        with tempfile.TemporaryDirectory() as place:
            took = made(Path(place) / "run", trials, asked.objectives)
            began, clock = time.process_time(), time.perf_counter()
            page = Path(place) / "page.html"
            page.write_text(study_page(load_run(Path(place) / "run")), encoding="utf-8")
            processor, waited = time.process_time() - began, time.perf_counter() - clock
            size = page.stat().st_size / 1e6
            times = f"{took:>6.1f} s {waited:>9.2f} s {processor:>15.2f} s"
            print(f"{trials:>9,} {times} {size:>6.2f} MB {drawn(page):>10}", flush=True)


def study_page_once() -> None:
    """Imports what a page needs, which would count for the first one alone."""
    with tempfile.TemporaryDirectory() as place:
        made(Path(place) / "run", 10, 2)
        study_page(load_run(Path(place) / "run"))


if __name__ == "__main__":
    main()

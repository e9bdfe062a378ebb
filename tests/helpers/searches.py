"""A search in small: a space, an evaluator on plain numpy, and a study of them; also run as a process.

`python searches.py FOLDER [--strategy NAME] [--batch N] [--pause SECONDS] [--storage URL]` starts the
search in FOLDER or resumes it, as the command line would: errors on one line, exit status as Study has it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Results
from widthwise.metrics.catalogue import METRICS as KNOWN
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.objective import Objective
from widthwise.search.loop import run_search
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import Strategy, strategy
from widthwise.study.run_files import is_run
from widthwise.study.run_folder import Run, resume_run, start_run
from widthwise.study.store import StudyRecord, StudySettings
from widthwise.study.study import Study

if TYPE_CHECKING:
    import pandas as pd


def space_of(*names: str) -> Space:
    """Each of the names takes one of three widths."""
    return Space(tuple(Decision(name, (2, 4, 8)) for name in names))


SPACE = space_of(*(f"layer {i}" for i in range(6)))  # 729 candidates
METRICS = ("accuracy", "model_size")
AIM = Aim((Objective(KNOWN["accuracy"], "maximize"), Objective(KNOWN["model_size"], "minimize", 0.2)))
FINGERPRINT = {"weights": "abc", "seed": "0"}


@dataclass(frozen=True)
class Evaluator:
    """accuracy grows with the widths but not evenly, loss is what it lacks, model_size is their sum.

    Pauses once a batch, and keeps what it was asked for.
    """

    pause: float = 0.0
    weights: tuple[int, ...] = (3, 1, 4, 1, 5, 9)  # how much each width counts for accuracy
    metrics: tuple[str, ...] = METRICS
    asked: list[tuple[int, ...]] = field(default_factory=list, compare=False)

    def __call__(self, candidates: IntArray) -> Results:
        time.sleep(self.pause)
        self.asked.extend(map(tuple, candidates.tolist()))
        accuracy = 1 - np.exp(-(candidates @ np.array(self.weights)) / 15)
        found = {"accuracy": accuracy, "loss": 1 - accuracy, **self.costs(candidates)}
        return Results({name: found[name] for name in self.metrics})

    def costs(self, candidates: IntArray) -> Mapping[str, FloatArray]:
        """Bytes."""
        return {"model_size": (2.0 ** (candidates + 1)).sum(axis=1)}


def make_record(name: str = "sample", *, space: Space = SPACE, **settings: object) -> StudyRecord:
    """What is stored of the study before its trials."""
    return StudyRecord(
        name,
        space,
        tuple(KNOWN[metric] for metric in METRICS),
        StudySettings(**{"aim": AIM, **settings}),
        FINGERPRINT,
        config='task = "cls"\n',
    )


def make_strategy(name: str = "brute-force", seed: int = 0, *, space: Space = SPACE) -> Strategy:
    """A fresh strategy over the space."""
    return strategy(name, space, objectives=AIM.directions, seed=seed)


def start_or_resume(folder: Path, storage: str | None = None, *, space: Space = SPACE) -> Run:
    """The run in this folder."""
    if is_run(folder):
        return resume_run(folder, FINGERPRINT, storage=storage)
    return start_run(folder, make_record(space=space), storage=storage)


def search(
    folder: Path, name: str = "brute-force", *, space: Space = SPACE, pause: float = 0.0, **options: object
) -> Study:
    """Search in this folder until the end."""
    with start_or_resume(folder, space=space) as run:
        return run_search(
            make_strategy(name, space=space), Evaluator(pause), run.writer, saved=run.save, **options
        )


def table(study: Study) -> pd.DataFrame:
    """All but how long it took."""
    assert study.summary.failed == 0
    return study.to_pandas().drop(columns="seconds")


def main() -> int:
    """The process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--strategy", default="brute-force")
    parser.add_argument("--batch", type=int, default=7)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--storage")
    given = parser.parse_args()
    try:
        with start_or_resume(given.folder, given.storage) as run:
            print("started", flush=True)
            study = run_search(
                make_strategy(given.strategy),
                Evaluator(given.pause),
                run.writer,
                batch_size=given.batch,
                saved=run.save,
            )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{study.summary.trials} trials, front of {len(study.front)}: {study.finished}")
    return study.exit_status


if __name__ == "__main__":
    sys.exit(main())

"""A search in small: a space, an evaluator on plain numpy, and a study of them; also run as a process.

`python searches.py FOLDER [--strategy NAME] [--batch N] [--pause SECONDS] [--storage URL]` starts the
search in FOLDER or resumes it, as the command line would: errors on one line, exit status as Study has it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers.metrics import metrics_of, objective
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Results
from widthwise.metrics.goals.aim import Aim
from widthwise.search.loop import run_search
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import Strategy, strategy
from widthwise.study.run_files import is_run
from widthwise.study.run_folder import Run, resume_run, start_run
from widthwise.study.store import StudyRecord, StudySettings
from widthwise.study.study import Study

if TYPE_CHECKING:
    import pandas as pd

SPACE = Space(tuple(Decision(f"layer {i}", (2, 4, 8)) for i in range(6)))  # 729 candidates
METRICS = ("accuracy", "model_size")
AIM = Aim((objective("accuracy", "maximize"), objective("model_size", "minimize", 0.2)))
FINGERPRINT = {"weights": "abc", "seed": "0"}


@dataclass(frozen=True)
class Evaluator:
    """accuracy grows with the widths but not evenly, model_size is their sum; pauses once a batch."""

    pause: float = 0.0

    def __call__(self, candidates: IntArray) -> Results:
        time.sleep(self.pause)
        weights = np.array([3, 1, 4, 1, 5, 9])
        return Results({"accuracy": 1 - np.exp(-(candidates @ weights) / 15), **self.costs(candidates)})

    def costs(self, candidates: IntArray) -> Mapping[str, FloatArray]:
        """Bytes."""
        return {"model_size": (2.0 ** (candidates + 1)).sum(axis=1)}


def make_record(name: str = "sample", **settings: object) -> StudyRecord:
    """What is stored of the study before its trials."""
    return StudyRecord(
        name,
        SPACE,
        metrics_of(*METRICS),
        StudySettings(**{"aim": AIM, **settings}),
        FINGERPRINT,
        config='task = "cls"\n',
    )


def make_strategy(name: str = "brute-force", seed: int = 0) -> Strategy:
    """A fresh strategy over the space."""
    return strategy(name, SPACE, objectives=AIM.directions, seed=seed)


def start_or_resume(folder: Path, storage: str | None = None) -> Run:
    """The run in this folder."""
    if is_run(folder):
        return resume_run(folder, FINGERPRINT, storage=storage)
    return start_run(folder, make_record(), storage=storage)


def search(folder: Path, name: str = "brute-force", *, pause: float = 0.0, **options: object) -> Study:
    """Search in this folder until the end."""
    with start_or_resume(folder) as run:
        return run_search(make_strategy(name), Evaluator(pause), run.writer, saved=run.save, **options)


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

"""Stores of studies with any number of trials, written at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sqlalchemy as sa

from widthwise.metrics.catalogue import find_metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.objective import Objective
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy
from widthwise.study.store import Store, StudyRecord, schema
from widthwise.study.store.codec import candidates_to_text, metrics_to_text
from widthwise.study.store.settings import StudySettings

METRICS = ("accuracy", "loss", "model_size", "average_bitwidth", "bops")
SPACE = Space(tuple(Decision(f"layer {i}", (2, 4, 6, 8)) for i in range(12)))
ONE = Aim((Objective(find_metric("accuracy"), "maximize"),))
TWO = Aim((Objective(find_metric("accuracy"), "maximize"), Objective(find_metric("model_size"), "minimize")))
AT_ONCE = 50_000


def fill(
    folder: Path,
    trials: int,
    *,
    aim: Aim = TWO,
    batch: int = 1024,
    proposed_by: str = "random",
    config: str = "",
) -> StudyRecord:
    """A study of so many random candidates in batches of `batch`, in study.db of the folder."""
    record = StudyRecord(
        folder.name, SPACE, tuple(map(find_metric, METRICS)), StudySettings(aim), config=config
    )
    name = proposed_by if proposed_by in ("brute-force", "grid") else "random"
    made = strategy(name, SPACE, objectives=aim.directions, seed=0)
    rng = np.random.default_rng(0)
    with Store.create(folder / "study.db") as store:
        study = store.create_study(record)
        for first in range(0, trials, AT_ONCE):
            _write(store, study.id, first, made.ask(min(AT_ONCE, trials - first)), rng)
        _note(store, study.id, trials, batch)
    return study


def _write(store: Store, study: int, first: int, candidates: np.ndarray, rng: np.random.Generator) -> None:
    size = candidates.sum(axis=1)
    values = rng.random((len(candidates), len(METRICS)))
    values[:, 0] = 1 - np.exp(-(size + rng.normal(size=len(size))) / 10)
    values[:, 2] = 1024 * (size + 1)
    rows = zip(
        range(first, first + len(candidates)),
        candidates_to_text(candidates),
        metrics_to_text(values),
        strict=True,
    )
    insert = f"INSERT INTO {schema.trials.name} (study_id, number, candidate, metrics) VALUES (?, ?, ?, ?)"
    with store.connection.begin():
        store.connection.exec_driver_sql(insert, [(study, *row) for row in rows])


def _note(store: Store, study: int, trials: int, batch: int) -> None:
    rows = [
        {
            "study_id": study,
            "number": number,
            "first": first,
            "asked": min(batch, trials - first),
            "evaluated": min(batch, trials - first),
            "cut": None,
            "seconds": 0.1,
            "elapsed": 0.1 * number,
        }
        for number, first in enumerate(range(0, trials, batch))
    ]
    with store.connection.begin():
        store.connection.execute(sa.insert(schema.batches), rows)

"""Stores of studies with any number of trials, written at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.catalogue import find_metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.objective import Objective
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy
from widthwise.study.store import Store, StudyRecord, schema
from widthwise.study.store.checksums import of_batch, of_batches
from widthwise.study.store.codec import candidates_to_text, metrics_to_text
from widthwise.study.store.settings import StudySettings

METRICS = ("accuracy", "loss", "model_size", "average_bitwidth", "bops")
SPACE = Space(tuple(Decision(f"layer {i}", (2, 4, 6, 8)) for i in range(12)))
ONE = Aim((Objective(find_metric("accuracy"), "maximize"),))
TWO = Aim((Objective(find_metric("accuracy"), "maximize"), Objective(find_metric("model_size"), "minimize")))
AT_ONCE = 65_536


def fill(
    folder: Path, trials: int, *, aim: Aim = TWO, batch: int = 1024, proposed_by: str = "random"
) -> StudyRecord:
    """A study of so many candidates in batches of `batch`, in study.db of the folder.

    They are those of brute force or grid, where these proposed them, else random ones.
    """
    record = StudyRecord(folder.name, SPACE, tuple(map(find_metric, METRICS)), StudySettings(aim))
    name = proposed_by if proposed_by in ("brute-force", "grid") else "random"
    made = strategy(name, SPACE, objectives=aim.directions, seed=0)
    rng = np.random.default_rng(0)
    with Store.create(folder / "study.db") as store:
        study = store.create_study(record)
        checksum = 0
        together = max(AT_ONCE // batch, 1) * batch
        for first in range(0, trials, together):
            candidates = made.ask(min(together, trials - first))
            rows = list(_batches(study.id, first, candidates, _values(candidates, rng), batch))
            checksum = of_batches([row["checksum"] for row, _ in rows], checksum)
            _write(store, rows)
        heads = schema.heads
        head = {"batches": -(-trials // batch), "trials": trials, "checksum": checksum}
        with store.connection.begin():
            store.connection.execute(sa.update(heads).where(heads.c.study_id == study.id), head)
    return study


def _values(candidates: IntArray, rng: np.random.Generator) -> FloatArray:
    """Made-up metrics [k, M]: accuracy grows with the bits, and so does the size."""
    size = candidates.sum(axis=1)
    values = rng.random((len(candidates), len(METRICS)))
    values[:, 0] = 1 - np.exp(-(size + rng.normal(size=len(size))) / 10)
    values[:, 2] = 1024 * (size + 1)
    return values


def _batches(
    study: int, first: int, candidates: IntArray, values: FloatArray, size: int
) -> Iterator[tuple[dict[str, Any], list[tuple[Any, ...]]]]:
    """Rows of batches, each with the rows of its trials."""
    chosen, metrics = candidates_to_text(candidates), metrics_to_text(values)
    for low in range(0, len(candidates), size):
        high = min(low + size, len(candidates))
        numbers = np.arange(first + low, first + high)
        row = {
            "study_id": study,
            "number": (first + low) // size,
            "first": first + low,
            "asked": high - low,
            "evaluated": high - low,
            "cut": None,
            "seconds": 0.1,
            "elapsed": 0.001 * (first + high),
        }
        joined = ("".join(chosen[low:high]), ",".join(metrics[low:high]))
        row["checksum"] = of_batch(row, numbers, *joined, [])
        trials = zip(numbers.tolist(), chosen[low:high], metrics[low:high], strict=True)
        yield row, [(study, *trial) for trial in trials]


def _write(store: Store, rows: list[tuple[dict[str, Any], list[tuple[Any, ...]]]]) -> None:
    insert = f"INSERT INTO {schema.trials.name} (study_id, number, candidate, metrics) VALUES (?, ?, ?, ?)"
    with store.connection.begin():
        store.connection.execute(sa.insert(schema.batches), [row for row, _ in rows])
        store.connection.exec_driver_sql(insert, [trial for _, trials in rows for trial in trials])


def filled(folder: str, trials: int, one: bool, batch: int, proposed_by: str) -> dict[str, Any]:
    """`fill`, for a process of its own."""
    fill(Path(folder), trials, aim=ONE if one else TWO, batch=batch, proposed_by=proposed_by)
    return {}

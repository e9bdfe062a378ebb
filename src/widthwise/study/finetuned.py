"""Fine-tuned trials, as a run folder keeps them: figures before and after, and what makes the networks again.

A file for each trial, so that what is done is kept whatever happens to the others, and its weights beside it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.core.hashing import hash_value
from widthwise.core.inside import names_inside, read_inside, remove_inside
from widthwise.metrics.goals.aim import Aim
from widthwise.study.run_files import FINETUNED, MEASURED, trial_weights
from widthwise.study.tested import KeptTests, read_tests

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.study.store import Block, StudyRecord

NAME = re.compile(r"trial-(\d{1,18})\.json")
MOST_BYTES = 2**26
SUM = "sum"  # of all else that a file holds


@dataclass(frozen=True)
class Finetuned:
    """One trial that was trained on with its formats.

    before, after: its metrics by name; after is empty where it failed, for the reason. better: whether the
    tuned network stands for the trial, as it is at least as good. losses: at the first step and the last.
    mark: of all that the training follows from. notes: what can't learn in it, a line each.
    """

    number: int
    candidate: tuple[int, ...]
    before: Mapping[str, float]
    after: Mapping[str, float] = field(default_factory=dict)
    better: bool = False
    reason: str | None = None
    losses: tuple[float, ...] = ()
    mark: str = ""
    notes: tuple[str, ...] = ()
    realised: Mapping[str, Any] | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """What its file holds, but for the sum."""
        return {
            "number": self.number,
            "candidate": list(self.candidate),
            "before": _plain(self.before),
            "after": _plain(self.after),
            "better": self.better,
            "reason": self.reason,
            "losses": list(self.losses),
            "mark": self.mark,
            "notes": list(self.notes),
            "realised": None if self.realised is None else dict(self.realised),
        }


def keep_finetuned(folder: Path, found: Finetuned, weights: Mapping[str, Tensor] | None) -> None:
    """Into the run folder, in place of what was there of the trial; the weights first."""
    from widthwise.network.checkpoints import as_safetensors

    if weights is not None:
        write_atomically(
            folder / FINETUNED / trial_weights(found.number), as_safetensors(weights), within=folder
        )
    content = found.as_json()
    text = json.dumps(content | {SUM: hash_value(content)}, indent=1, ensure_ascii=False, allow_nan=False)
    path = folder / FINETUNED / f"trial-{found.number}.json"
    write_atomically(path, text.encode() + b"\n", within=folder)


def read_finetuned(folder: Path | None) -> dict[int, Finetuned]:
    """By trial number, ascending; UserError where a file is broken."""
    if folder is None:
        return {}
    numbers = [int(match[1]) for name in names_inside(folder, FINETUNED) if (match := NAME.fullmatch(name))]
    return {number: _read(folder, number) for number in sorted(numbers)}


def forget_others(folder: Path, numbers: Sequence[int]) -> None:
    """Removes from the run what was found of these trials' networks before: on test data, by tools."""
    kept, gone = read_tests(folder), set(numbers)
    if gone & {*kept.figures, *kept.errors}:
        left = ({n: f for n, f in each.items() if n not in gone} for each in (kept.figures, kept.errors))
        KeptTests(kept.samples, *left).write(folder)
    for name in names_inside(folder, MEASURED):
        if (match := re.match(r"trial-(\d{1,18})\.", name)) and int(match[1]) in gone:
            remove_inside(folder, f"{MEASURED}/{name}")


def is_better(aim: Aim, before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Whether a trial after its training is worth more than before, by the objectives.

    It is where none of them is worse; else, where none says which, by the first quality among them, and by
    the first of all where they are costs. What is no number is never better.
    """
    old, new = _values(aim, before), _values(aim, after)
    if not np.isfinite(new).all():
        return False
    if (new >= old).all() or (new <= old).all():
        return bool((new > old).any())
    if aim.summed:
        return bool(new[0] > old[0])
    first = next((at for at, one in enumerate(aim.objectives) if not one.metric.is_hardware), 0)
    return bool(new[first] > old[first])


def overlaid(record: StudyRecord, block: Block, tuned: Mapping[int, Finetuned]) -> Block:
    """The trials of a block with the metrics of their tuned networks, where these stand for them."""
    metrics = block.metrics
    for number, found in tuned.items():
        row = int(block.numbers.searchsorted(number))
        there = row < len(block.numbers) and block.numbers[row] == number
        if not there or not found.better or tuple(block.candidates[row].tolist()) != found.candidate:
            continue
        if metrics is block.metrics:
            metrics = metrics.copy()
        metrics[row] = [found.after.get(name, metrics[row, at]) for at, name in enumerate(record.columns)]
    return block if metrics is block.metrics else replace(block, metrics=metrics)


def _values(aim: Aim, metrics: Mapping[str, float]) -> Any:
    """The objectives [objectives], all to be maximised."""
    return aim.values({name: np.array([value]) for name, value in metrics.items()})[0]


def _read(folder: Path, number: int) -> Finetuned:
    path = folder / FINETUNED / f"trial-{number}.json"
    try:
        stored = json.loads(read_inside(folder, f"{FINETUNED}/{path.name}", most=MOST_BYTES) or b"")
        if stored.pop(SUM) != hash_value(stored) or stored["number"] != number:
            raise ValueError
        return Finetuned(
            number=number,
            candidate=tuple(int(index) for index in stored["candidate"]),
            before=_numbers(stored["before"]),
            after=_numbers(stored["after"]),
            better=bool(stored["better"]),
            reason=None if stored["reason"] is None else str(stored["reason"]),
            losses=tuple(float(loss) for loss in stored["losses"]),
            mark=str(stored["mark"]),
            notes=tuple(str(note) for note in stored["notes"]),
            realised=stored["realised"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise UserError(f"{path}: is broken; delete it, and fine-tune the trial again") from error


def _plain(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _numbers(stored: Mapping[str, float | None]) -> dict[str, float]:
    return {str(name): math.nan if value is None else float(value) for name, value in stored.items()}

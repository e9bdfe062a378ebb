"""Trials as people read them: one at a time, as a lazy collection over the store, as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.screen import html_table, one_screen
from widthwise.core.toml import shown_choice
from widthwise.evaluators.protocol import is_stopped
from widthwise.study.finetuned import Finetuned, overlaid
from widthwise.study.store import Block, Store, StudyRecord

if TYPE_CHECKING:
    import pandas as pd


ON_FRONT, ON_FRONT_AT = "on_front", 2  # the column that says so where the front is known, and its place
State = Literal["complete", "failed", "pruned"]
Told = Callable[[int, int], None]  # how many trials are read, and of how many


@dataclass(frozen=True)
class Trial:
    """One candidate with its results.

    number: in the order of evaluation, from 0. config: the chosen value of each decision.
    software_metrics come from predictions, hardware_metrics from the network alone; scaled_metrics are those
    of the objectives times their scales. seconds: its share of the time that its batch took.
    """

    number: int
    candidate: tuple[int, ...]
    config: Mapping[str, Any]
    software_metrics: Mapping[str, float]
    hardware_metrics: Mapping[str, float]
    scaled_metrics: Mapping[str, float]
    state: State
    reason: str | None
    seconds: float

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics, unscaled."""
        return {**self.software_metrics, **self.hardware_metrics}

    def __repr__(self) -> str:
        chosen = [f"  {name}: {shown_choice(value)}" for name, value in self.config.items()]
        return one_screen([f"{self._title()}: {self._figures()}", *chosen])

    def _repr_html_(self) -> str:
        rows = [(name, shown_choice(value)) for name, value in self.config.items()]
        return html_table(f"{self._title()}: {self._figures()}", ["decision", "choice"], rows)

    def _title(self) -> str:
        return f"Trial {self.number}" + (
            "" if self.state == "complete" else f" ({self.state}: {self.reason})"
        )

    def _figures(self) -> str:
        return ", ".join(f"{name} {value:.6g}" for name, value in self.metrics.items())


def _state(reason: str | None) -> State:
    if reason is None:
        return "complete"
    return "pruned" if is_stopped(reason) else "failed"


def make_trials(record: StudyRecord, block: Block, seconds: FloatArray) -> list[Trial]:
    """The trials of a block, each of which took seconds [k]."""
    hardware = [metric.is_hardware for metric in record.metrics]
    made = []
    rows = zip(
        block.numbers.tolist(), block.candidates, block.metrics.tolist(), seconds.tolist(), strict=True
    )
    for number, candidate, values, took in rows:
        metrics = dict(zip(record.columns, values, strict=True))
        reason = block.reasons.get(number)
        made.append(
            Trial(
                number=number,
                candidate=tuple(candidate.tolist()),
                config=record.space.chosen(candidate),
                software_metrics={
                    n: v for (n, v), hard in zip(metrics.items(), hardware, strict=True) if not hard
                },
                hardware_metrics={
                    n: v for (n, v), hard in zip(metrics.items(), hardware, strict=True) if hard
                },
                scaled_metrics=record.settings.aim.scaled(metrics),
                state=_state(reason),
                reason=reason,
                seconds=took,
            )
        )
    return made


class Trials(Sequence[Trial]):
    """The stored trials of a study, read from its store when they are looked at; never all in memory.

    `trials[n]` is the trial with that number; where a search keeps only the front, some numbers are missing
    and raise IndexError.
    """

    def __init__(
        self, source: str | Path, record: StudyRecord, tuned: Mapping[int, Finetuned] | None = None
    ) -> None:
        """tuned: trials for which their fine-tuned networks may stand, by number."""
        self._source, self._record, self._tuned = source, record, tuned or {}

    def __len__(self) -> int:
        with Store.open(self._source, readonly=True) as store:
            return store.count(self._record)

    def __iter__(self) -> Iterator[Trial]:
        with Store.open(self._source, readonly=True) as store:
            shares = store.seconds(self._record)
            for block in store.blocks(self._record):
                yield from make_trials(self._record, self._now(block), shares.of(block.numbers))

    @overload
    def __getitem__(self, key: int) -> Trial: ...
    @overload
    def __getitem__(self, key: slice) -> list[Trial]: ...
    def __getitem__(self, key: int | slice) -> Trial | list[Trial]:
        with Store.open(self._source, readonly=True) as store:
            numbers = range(store.summary(self._record).trials)
            chosen = numbers[key] if isinstance(key, slice) else [numbers[key]]
            if not chosen:
                return []
            shares = store.seconds(self._record)
            low, high = min(chosen), max(chosen) + 1
            found = {
                trial.number: trial
                for block in store.blocks(self._record, start=low, stop=high)
                for trial in make_trials(self._record, self._now(block), shares.of(block.numbers))
            }
        if isinstance(key, slice):
            return [found[number] for number in chosen if number in found]
        if low not in found:
            raise IndexError(f"trial {low} is not stored: the search kept only the front")
        return found[low]

    def _now(self, block: Block) -> Block:
        """A block as its trials are now."""
        return overlaid(self._record, block, self._tuned)

    def arrays(
        self,
        *,
        narrow: bool = False,
        metrics: Sequence[str] | None = None,
        progress: Told | None = None,
    ) -> Block:
        """All trials as arrays; narrow: candidates in as few bytes as their choices need, for millions.

        metrics: the columns that are wanted, all by default. progress: is told how many trials are read.
        """
        record = self._record
        most = max(int(record.space.cardinalities.max(initial=1)), 1) - 1
        columns = [record.columns.index(name) for name in (record.columns if metrics is None else metrics)]
        with Store.open(self._source, readonly=True) as store:
            count = store.count(record)
            numbers = np.empty(count, dtype=np.int64)
            shape = (count, len(record.space.decisions))
            candidates = np.empty(shape, np.min_scalar_type(most) if narrow else np.int64)
            found = np.empty((count, len(columns)))
            reasons: dict[int, str] = {}
            at = 0
            for block in told_blocks(store.blocks(record), count, progress):
                here = slice(at, at + min(len(block.numbers), count - at))  # others may have come since
                used = slice(here.stop - at)
                numbers[here], found[here] = block.numbers[used], self._now(block).metrics[used, columns]
                candidates[here] = block.candidates[used]
                reasons |= block.reasons
                at = here.stop
        return Block(numbers[:at], candidates[:at], found[:at], reasons)

    def to_pandas(self) -> pd.DataFrame:
        """A row a trial: number, state, metrics, decisions, reason, seconds."""
        import pandas as pd

        with Store.open(self._source, readonly=True) as store:
            shares = store.seconds(self._record)
        block = self.arrays()
        return pd.DataFrame(table(self._record, block, shares.of(block.numbers)))


def told_blocks(blocks: Iterable[Block], total: int, progress: Told | None) -> Iterator[Block]:
    """The blocks as they are; progress: is told how many trials of `total` were in those that are done."""
    read = 0
    for block in blocks:
        yield block
        read += len(block.numbers)
        if progress is not None:
            progress(read, max(read, total))


def join_blocks(blocks: Sequence[Block], record: StudyRecord) -> Block:
    """One block of many."""
    empty = Block(
        np.empty(0, np.int64),
        np.empty((0, len(record.space.decisions)), np.int64),
        np.empty((0, len(record.metrics))),
        {},
    )
    parts = [empty, *blocks]
    return Block(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.candidates for part in parts]),
        np.concatenate([part.metrics for part in parts]),
        {number: reason for part in parts for number, reason in part.reasons.items()},
    )


def table(record: StudyRecord, block: Block, seconds: FloatArray) -> dict[str, Any]:
    """Columns by name of a block; a decision named like another column gets "config." before it."""
    reasons = [block.reasons.get(number) for number in block.numbers.tolist()]
    columns: dict[str, Any] = {
        "number": block.numbers,
        "state": [_state(reason) for reason in reasons],
    }
    columns.update({name: block.metrics[:, column] for column, name in enumerate(record.columns)})
    taken = {*columns, ON_FRONT, "reason", "seconds"}
    for column, decision in enumerate(record.space.decisions):
        name = f"config.{decision.name}" if decision.name in taken else decision.name
        columns[name] = _chosen(decision.choices, block.candidates[:, column])
    return {**columns, "reason": reasons, "seconds": seconds}


def _chosen(choices: Sequence[Any], indices: IntArray) -> list[Any]:
    return [choices[index] for index in indices.tolist()]

"""The trials on the front with all that belongs to them, kept up to date a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray
from widthwise.metrics.goals.constraints import feasible
from widthwise.metrics.goals.pareto import Front
from widthwise.study.store import Block, StudyRecord
from widthwise.study.trials import join_blocks


class FrontRows:
    """`block` are the trials on the front so far, by number; never failed ones and those out of bounds."""

    def __init__(self, record: StudyRecord) -> None:
        self.block = join_blocks([], record)
        self.values = np.empty((0, 0))
        self._record = record
        self._aim, self._constraints = record.settings.aim, record.settings.constraints
        self._front = Front(len(self._aim.directions))

    @contextmanager
    def adding(self, block: Block) -> Iterator[tuple[FloatArray, BoolArray]]:
        """As `add`, but taken back if what is done inside fails: what can't be stored was not found."""
        before = self.block, self.values, copy(self._front)
        try:
            yield self.add(block)
        except BaseException:
            self.block, self.values, self._front = before
            raise

    def add(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Take in a block of k: the values [k, objectives] of its trials, and which are on the front now."""
        metrics = {name: block.metrics[:, column] for column, name in enumerate(self._record.columns)}
        values = self._aim.values(metrics)
        failed = np.isin(block.numbers, list(block.reasons))
        values[failed] = np.nan
        worthy = ~failed & feasible(self._constraints, metrics) if self._constraints else ~failed
        on_front = np.zeros(len(values), dtype=bool)
        on_front[worthy] = self._front.update(values[worthy], block.numbers[worthy])
        new = replace(
            block,
            numbers=block.numbers[on_front],
            candidates=block.candidates[on_front],
            metrics=block.metrics[on_front],
            reasons={},
        )
        joined = join_blocks([self.block, new], self._record)
        kept = np.isin(joined.numbers, self._front.ids)
        self.block = replace(
            joined,
            numbers=joined.numbers[kept],
            candidates=joined.candidates[kept],
            metrics=joined.metrics[kept],
        )
        self.values = self._front.values
        return values, on_front

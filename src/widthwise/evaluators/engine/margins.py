"""Margins: what candidates contribute of single samples, and how metrics follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.data.blocks import DataBlock
from widthwise.evaluators.engine.adding import add_block
from widthwise.evaluators.engine.answered import Answered, Both
from widthwise.evaluators.engine.prepared import Prepared
from widthwise.evaluators.engine.running import Adds, SampleMargins
from widthwise.evaluators.engine.walk import Count
from widthwise.evaluators.judged import JudgedData
from widthwise.metrics.quality.follows import Follows, Told, told_of
from widthwise.metrics.quality.task import Task


class Margins:
    """Margins of any formats of a network, on samples from all over the data that candidates are judged on.

    Once a metric follows from them, those that the run which scores candidates gives anyway are kept until
    they are asked for. Raises UserError in a task that tells nothing of single samples.
    """

    def __init__(self, prepared: Prepared, judged: JudgedData, task: Task, count: Count) -> None:
        self._prepared, self._judged, self._task, self._count = prepared, judged, task, count
        self._answered: Answered | None = None  # from when on margins may be asked for
        self._asked: tuple[str, ...] | None = None  # the metrics that follow from them; None: any

    def of(self, chosen: IntArray) -> FloatArray:
        """Those of formats [K, S], [K, values] float32, NaN where they fail."""
        if self._answered is not None and (kept := self._answered.take(chosen)) is not None:
            return kept
        return self._on(self._spread, chosen)

    def of_few(self, chosen: IntArray) -> tuple[FloatArray, IntArray]:
        """Those of formats [K, S] on about a quarter of the samples, and which of all values these are."""
        blocks, samples = self._judged.fewer(self._spread)
        width = sum(self._told.widths)
        columns = (samples[:, None] * width + np.arange(width)).ravel()
        return self._on(blocks, chosen), columns

    def _on(self, blocks: Sequence[tuple[int, DataBlock]], chosen: IntArray) -> FloatArray:
        """Those of formats [K, S] on numbered blocks."""
        size = self._prepared.rows_at_once
        found = [SampleMargins(len(chosen), len(block), self._told) for _, block in blocks]
        with torch.no_grad():
            for part, (number, block) in zip(found, blocks, strict=True):
                for start in range(0, len(chosen), size):
                    rows = np.arange(start, min(start + size, len(chosen)))
                    add_block(self._prepared, part, rows, chosen, number, block, count=self._count)
        return np.concatenate([part.margins for part in found], axis=1)

    def follows(self, metrics: Sequence[str]) -> list[Follows | None]:
        """Of each metric how it follows from what is told from now on; None where it doesn't."""
        self._asked = tuple(metrics)
        self.__dict__.pop("_told", None)
        self.__dict__.pop("_spread", None)
        if self._tells is None:
            self._asked = None
            return [None] * len(metrics)
        labels = torch.from_numpy(self.labels)
        found = [self._told.follows(metric, labels) for metric in metrics]
        if any(one is not None for one in found):
            self._answered = self._answered or Answered()
        return found

    @property
    def labels(self) -> IntArray:
        """The targets [samples, ...] of the samples that margins are for."""
        return np.concatenate([block.targets.cpu().numpy() for _, block in self._spread])

    @property
    def come_with_figures(self) -> bool:
        """Whether the run that scores candidates gives the very margins that `of` would run them for.

        Where candidates share values, those of margins are shared with those that scored them anyway.
        """
        if self._answered is None or self._prepared.sharing is not None:
            return False
        return self._judged.total <= self._told.samples and self._judged.is_kept

    def beside(self, figures: Adds, margins: list[SampleMargins], rows: int, block: DataBlock) -> Both:
        """What adds a block to the figures of so many rows, and its margins to the list."""
        margins.append(SampleMargins(rows, len(block), self._told))
        return Both(figures, margins[-1])

    def keep(self, chosen: IntArray, margins: Sequence[SampleMargins]) -> None:
        """Those of formats [K, S], block by block, until they are asked for."""
        if self._answered is not None:
            self._answered.keep(chosen, margins)

    @cached_property
    def _told(self) -> Told:
        if (found := self._tells) is None:
            raise UserError(f"{self._task.name}: nothing is told of single samples, so there are no margins")
        return found

    @property
    def _tells(self) -> Told | None:
        fitting = self._prepared.fitting
        return told_of(self._task, self._asked, fitting.shape, fitting.block.targets)

    @cached_property
    def _spread(self) -> list[tuple[int, DataBlock]]:
        return self._judged.spread(self._told.samples)

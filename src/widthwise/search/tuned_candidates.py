"""Candidates trained on with their formats, and judged: an evaluator, of this process or of each worker."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.evaluators.engine import Evaluator
from widthwise.evaluators.latest import Latest
from widthwise.evaluators.protocol import Results
from widthwise.evaluators.realising import Realiser
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.making import with_targets
from widthwise.training.finetuning.tuning import Tuned, Tuner

if TYPE_CHECKING:
    from widthwise.search.problem import Problem
    from widthwise.training.finetuning.settings import Finetuning

LOSSES = ("first loss", "last loss")  # of the training; no metric's name has a space
WHOLE = 0  # a budget: that of the settings
ONLY = np.zeros((1, 0), dtype=np.int64)  # the one candidate of a network that leaves no choice


class TunedCandidates:
    """Trains the networks of candidates on, each by itself, and judges them as the search did.

    Called with rows [K, D + 1] of choices and, last, a budget: steps (or epochs), or WHOLE. `latest` holds
    the networks that were trained whole, by their rows. folder: of the run, where costs keep what they look
    up. A training that fails does so alone.
    """

    def __init__(self, problem: Problem, settings: Finetuning, folder: Path | None = None) -> None:
        self.problem, self.folder = problem, folder
        self.tuner = tuner_of(problem, settings)
        self.columns = self.columns_of(problem)
        self.latest = Latest()
        judging = problem.judging
        loader = partial(judging.loader, self.tuner.data)
        self._realiser = Realiser(problem.graph, loader, self.tuner.fitting, most=judging.samples)

    @staticmethod
    def columns_of(problem: Problem) -> tuple[str, ...]:
        """The names of all that a call gives."""
        return (*problem.evaluator.columns, *LOSSES)

    def __call__(self, rows: IntArray) -> Results:
        """The metrics of rows [K, D + 1] after their training, and LOSSES; what can't learn in its notes."""
        self.latest.begin()
        columns = {name: np.full(len(rows), np.nan) for name in self.columns}
        failures: dict[int, str] = {}
        notes: dict[int, tuple[str, ...]] = {}
        for at, row in enumerate(rows):
            try:
                tuned = self.tuner(self.problem.network_of(row[:-1]), budget=int(row[-1]) or None)
                notes[at] = tuned.notes
                for name, value in zip(LOSSES, (tuned.first, tuned.last), strict=True):
                    columns[name][at] = value
                for name, value in self._judged(row, tuned).items():
                    columns[name][at] = value
            except UserError as error:
                failures[at] = str(error)
            except (RuntimeError, MemoryError, ValueError) as error:  # of the network, or no memory
                failures[at] = describe_error(error)
        return Results(columns, failures, notes=notes)

    def _judged(self, row: IntArray, tuned: Tuned) -> dict[str, float]:
        """The metrics of a tuned network, which is kept where it was trained whole."""
        graph, judging = tuned.graph, self.problem.judging
        engine = Evaluator(graph, None, self.tuner.data, judging)
        if self.folder is not None:
            engine.keep_in(self.folder)
        results = engine(ONLY)
        if results.failures:
            raise UserError(results.failures[0])
        judged = {name: float(values[0]) for name, values in results.items()}
        if row[-1] == WHOLE:
            quality = {name: judged[name] for name in judging.quality}
            schemes = {name: scheme for name, scheme in graph.schemes.items() if scheme}
            self.latest.put(self._realiser.of_formats_and_weights(row, graph, schemes, quality))
        return judged


def tuner_of(problem: Problem, settings: Finetuning) -> Tuner:
    """What trains candidates of a search."""
    judging, network = problem.judging, problem.graph.network
    data = with_targets(problem.data, network, judging.task, judging.output)
    fitting = check_data_fits_model(network, data, judging.task, judging.output)
    return Tuner(problem.graph, data, fitting, settings, judging.seed, judging.device)

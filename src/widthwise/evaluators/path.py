"""Evaluating a path of trained widths: each checkpoint is trained on from the last, then judged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_arrays, hash_value, hash_weights
from widthwise.data.facts import part
from widthwise.data.modules import Data
from widthwise.evaluators.engine.evaluator import Evaluator
from widthwise.evaluators.judging import Judging
from widthwise.evaluators.latest import Latest
from widthwise.evaluators.networks import outputs_that_fit, sureness_of_networks
from widthwise.evaluators.protocol import Pace, Results
from widthwise.evaluators.realising import Realiser
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.making import with_targets
from widthwise.metrics.quality.sureness import Sureness
from widthwise.network.graph import Graph
from widthwise.network.realised import Realised
from widthwise.spaces.path import PathSpace
from widthwise.spaces.settings import TrainedWidthSearch
from widthwise.training import Settings
from widthwise.training.losses import loss_of
from widthwise.training.trained_widths.kept import FOLDER, KeptPath
from widthwise.training.trained_widths.path import RECIPE, Checkpoint, Learned, WidthPath
from widthwise.training.trained_widths.samples import Samples
from widthwise.training.trained_widths.settings import PathSettings

NOTHING = np.zeros((1, 0), dtype=np.int64)  # the one candidate of a network that leaves no choice

logger = logging.getLogger(__name__)


class PathEvaluator:
    """Scores the checkpoints of one training in which widths are learned while their price rises.

    Args:
        graph: the trained network in float, which is learned from; its batch norms are folded.
        space: the checkpoints. data: widths are trained on its training part, and judged on another.
        settings: how they are trained. judging: by what candidates are judged, and on which part.

    A checkpoint's network follows from graph, training samples, settings and seed alone, whenever it is asked
    for: the path goes on from what is at hand, or begins anew. A training that diverges fails from there on,
    with its step and loss; so does a checkpoint whose outputs follow no input any more.
    """

    def __init__(
        self, graph: Graph, space: PathSpace, data: Data, judging: Judging, settings: PathSettings
    ) -> None:
        if judging.device != "cpu":
            raise UserError(f"widths are trained on the CPU, not on {judging.device}; leave accelerator out")
        _check_cost(judging)
        self.graph, self.space, self.judging, self.settings = graph, space, judging, settings
        self.data = with_targets(data, graph.network, judging.task, judging.output)
        self.fitting = check_data_fits_model(graph.network, self.data, judging.task, judging.output)
        self.samples = Samples.of(self.fitting.reader, _training_part(self.data))
        self.latest = Latest()
        self._found: dict[int, Checkpoint] = {}
        self._folder: Path | None = None
        self._failed: str | None = None
        self.begins = self._formatted(self._path.checkpoint(0))
        self._engine(self.begins)  # refuses costs that such networks have not
        self._path_at = self._path

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics that a call gives."""
        return self.judging.columns

    @property
    def pace(self) -> Pace:
        """Each takes long, and goes on from the one before: they are of one process."""
        return Pace(trains=True, affordable=1, apart=False)

    @property
    def describe(self) -> str:
        """How candidates come about."""
        steps = f"{self.settings.steps:,} steps in all on {len(self.samples):,} training samples"
        return "; ".join((f"checkpoints of one training of widths, {steps}", *self.fitting.reader.notes))

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], in their order; those that fail do so alone, with the reason."""
        self.latest.begin()
        columns = {name: np.full(len(candidates), np.nan) for name in self.columns}
        failures: dict[int, str] = {}
        for row, candidate in enumerate(candidates):
            try:
                found = self._judged(candidate)
            except UserError as error:
                failures[row] = str(error)
                continue
            for name, value in found.items():
                columns[name][row] = value
        return Results(columns, failures)

    def costs(self, candidates: IntArray) -> dict[str, FloatArray]:
        """Nothing is known before the training."""
        return {}

    def at_hand(self, candidate: IntArray) -> Realised | None:
        """The network of a candidate [D], where it was judged of late."""
        return self.latest.get(candidate)

    def realise(self, candidate: IntArray) -> Realised:
        """The same, trained up to it where it is not at hand; UserError where that fails."""
        if (found := self.at_hand(candidate)) is None:
            self._judged(candidate)
            found = self.at_hand(candidate)
        assert found is not None
        return found

    def network(self, candidate: ArrayLike) -> Graph:
        """The graph of one candidate [D], as it was judged."""
        number = int(np.asarray(candidate, dtype=np.int64)[0])
        return self._formatted(self.checkpoint(number))

    def keep_in(self, folder: Path) -> None:
        """From now on, keep the path in a run's folder, and go on from what it keeps."""
        self._folder = folder

    def checkpoint(self, number: int) -> Checkpoint:
        """A place of the path; UserError where the training diverges before it."""
        if number not in self._found and (kept := self._kept) is not None:
            found = kept.checkpoint(number)
            if found is not None:
                self._found[number] = found
        if number not in self._found:
            self._train_to(number)
        return self._found[number]

    def _train_to(self, number: int) -> None:
        ends, kept = self.settings.ends(), self._kept
        if self._failed is not None:
            raise UserError(self._failed)
        if self._path_at.step >= ends[number]:
            self._path_at = self._path
        if kept is not None:
            kept.resume(self._path_at, most=ends[number - 1] if number else 0)
        for each in range(number + 1):
            if ends[each] <= self._path_at.step:
                continue
            try:
                self._found[each] = self._path_at.advance(each)
            except UserError as error:
                self._failed = str(error)
                raise
            if kept is not None:
                kept.keep(self._found[each], self._path_at)

    @property
    def _path(self) -> WidthPath:
        """A fresh path."""
        task, output = self.judging.task, self.fitting.output
        learned = Learned(output, task.distance, loss_of(task, Settings()))
        return WidthPath(self.graph, self.samples, learned, self.settings, self.judging.seed)

    @property
    def _kept(self) -> KeptPath | None:
        return None if self._folder is None else KeptPath(self._folder / FOLDER, self._mark)

    @cached_property
    def _mark(self) -> str:
        """Of all that the path follows from."""
        data = hash_arrays((("inputs", self.samples.inputs), ("targets", self.samples.targets)))
        others = [hash_weights(self.graph.model), data, asdict(self.settings), self.judging.seed]
        return hash_value([*others, torch.__version__, RECIPE])

    def _judged(self, candidate: IntArray) -> dict[str, float]:
        """The metrics of a candidate [D], whose network is then at hand; UserError where there are none."""
        found = self.checkpoint(int(candidate[0]))
        if found.dead:
            layers, are = ", ".join(found.dead), "layers" if len(found.dead) > 1 else "a layer"
            if found.constant:
                raise UserError(
                    f"no bits are left in {layers}, so the network gives the same for every input; lower "
                    "price_to"
                )
            logger.warning("step %s: no bits are left in %s %s", f"{found.step:,}", are, layers)
        graph = self._formatted(found)
        results = self._engine(graph)(NOTHING)
        if results.failures:
            raise UserError(results.failures[0])
        values = {name: float(results[name][0]) for name in self.columns}
        quality = {name: values[name] for name in self.judging.quality}
        self.latest.put(self._realiser.of_formats_and_weights(candidate, graph, found.schemes, quality))
        return values

    def _formatted(self, found: Checkpoint) -> Graph:
        """The network of a checkpoint."""
        made = self.graph.copy()
        made.model.load_state_dict({**made.model.state_dict(), **found.weights})
        made.model.eval()
        return made.quantized(found.schemes)

    def _engine(self, graph: Graph) -> Evaluator:
        """The evaluator of searches of formats, of one network."""
        made = Evaluator(graph, None, self.data, self.judging)
        if self._folder is not None:
            made.keep_in(self._folder)
        return made

    @cached_property
    def _realiser(self) -> Realiser:
        return Realiser(self.graph, self._loader, self.fitting, most=self.judging.samples)

    @property
    def _loader(self) -> Callable[[], Any]:
        """Fresh loaders; it holds no evaluator, as those it is given to are the evaluator's own."""
        return partial(self.judging.loader, self.data)

    @property
    def sureness_of(self) -> int:
        """Of how many candidates it can be said how sure they are: outputs have to fit."""
        return outputs_that_fit(self.data, self.fitting, self.judging)

    def sureness(
        self, candidates: IntArray, networks: Callable[[int], nn.Module], *, with_float: bool = False
    ) -> Sureness:
        """How sure the qualities of candidates [K, D] are; networks: those that were judged, by row.

        with_float: and then of the network as it was given, as row K.
        """
        models: Sequence[nn.Module] = [networks(row) for row in range(len(candidates))]
        if with_float:
            models = [*models, self.graph.model]
        return sureness_of_networks(models, self.data, self.fitting, self.judging)


def _check_cost(judging: Judging) -> None:
    """Raises UserError where nothing is to become small as the price of bits rises."""
    asked = [metric for metric in judging.metrics if metric.name in judging.objectives]
    if asked and all(metric.kind == "quality" for metric in asked):
        raise UserError(
            "widths are trained for a front of quality and cost, and no cost is an objective; add one, as "
            'ebops.direction = "minimize" in [search.strategy.metrics]'
        )


def _training_part(data: Data) -> Any:
    try:
        return part(data, "train")
    except UserError as error:
        raise UserError(f"{error}; widths are trained on training data, so give some") from error


def for_space(
    graph: Graph, space: PathSpace, data: Data, settings: TrainedWidthSearch, judging: Judging
) -> PathEvaluator:
    """The evaluator of a search that trains widths."""
    return PathEvaluator(graph, space, data, judging, settings.training)

"""Evaluating widths: every candidate is trained, or inherits and is tuned, or is a slice of a supernet."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor, nn

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error
from widthwise.data.facts import facts_of, part
from widthwise.data.modules import Data
from widthwise.evaluators.halving import Halving, successive_halving
from widthwise.evaluators.latest import Latest
from widthwise.evaluators.protocol import Results
from widthwise.evaluators.realising import Realiser
from widthwise.metrics.cost.of_widths import WidthCosts
from widthwise.metrics.quality.task import Task
from widthwise.metrics.quality.tasks import CLASSIFICATION, metric_of, task_of
from widthwise.metrics.spread import SPREAD, mean_and_spread
from widthwise.network.graph import Graph, run_in_eval_mode
from widthwise.network.realised import Realised
from widthwise.network.widths.example import example_input
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.resize import resized
from widthwise.network.widths.statistics import reestimate_norms
from widthwise.network.widths.unit_scores import Importance, unit_scores
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings, predict, train
from widthwise.training.scoring import tally_one
from widthwise.training.supernet import Sandwich, Supernet, train_supernet

Mode = Literal["scratch", "inherit", "supernet"]
MODES = get_args(Mode)


class WidthEvaluator:
    """Scores candidates of a width space on validation data, as networks that have been trained.

    Args:
        graph, space, data: the network (trained, where candidates inherit), what may be chosen, and the data.
        metrics: names of quality and cost metrics; `options` are those of torchmetrics' by metric name.
        mode: "scratch": trained from the seed. "inherit": cut out of the network or grown from it, then
            fine-tuned. "supernet": slices of one network of the largest widths, trained once for all of them.
        settings: how candidates (or the supernet) are trained. repeats: seeds that each is trained with;
            metrics are then means, and NAME_spread their standard deviations.
        importance: what shrinking keeps. halving: stops candidates of a batch early, by all `objectives`
            (names of metrics in `metrics`, by default all of them): they count as pruned.
        loader: the part of the data to judge on; samples: only the first so many.
        task: what the outputs are worth, or its name.

    A candidate whose training diverges fails alone, with the epoch and the loss.
    """

    def __init__(
        self,
        graph: Graph,
        space: WidthSpace,
        data: Data,
        *,
        metrics: Sequence[str],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        mode: Mode = "scratch",
        settings: Settings | None = None,
        repeats: int = 1,
        importance: Importance = "magnitude",
        halving: Halving | None = None,
        objectives: Sequence[str] | None = None,
        sandwich: Sandwich | None = None,
        loader: str = "val",
        samples: int | None = None,
        device: str = "cpu",
        seed: int = 0,
        compare_to: float = 32,
        task: Task | str = CLASSIFICATION,
    ) -> None:
        if mode not in MODES:
            raise unknown("way to train candidates", mode, MODES)
        if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
            raise UserError(f"repeats = {repeats!r} is no whole number from 1")
        self.task = task_of(task)
        found = {name: metric_of(self.task, name) for name in dict.fromkeys(metrics)}
        self.quality = [name for name, metric in found.items() if metric.kind == "quality"]
        self.costed = [metric for metric in found.values() if metric.kind == "cost"]
        self.cost = [metric.name for metric in self.costed]
        self.directions = {name: metric.direction for name, metric in found.items()}
        self.objectives = list(objectives or self.directions)
        self.graph, self.space, self.data, self.device = graph, space, data, device
        self.mode, self.settings, self.repeats, self.seed = mode, settings or Settings(), repeats, seed
        self.halving, self.sandwich = halving, sandwich
        self.loader, self.samples, self.compare_to = loader, samples, compare_to
        example = example_input(graph.model, data)
        self.cost_model = WidthCosts(
            graph,
            space.groups,
            example,
            varying=[choice.group for choice in space.choices],
            largest=space.largest,
        )
        self.scores: Mapping[str, FloatArray] | None = None
        if mode == "inherit":
            options_of = {"how": importance, "data": data, "device": device, "loss": self._loss}
            self.scores = unit_scores(graph.model, space.groups, **cast(Any, options_of))
        outputs = self.task.outputs(run_in_eval_mode(graph.model, *example))
        self.tally = self.task.tally(0, self.quality, facts_of(data), tuple(outputs.shape[1:]), options)
        self._supernets: dict[int, Supernet] = {}
        self.latest = Latest()

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], in their order; those that fail do so alone, with the reason."""
        self.latest.begin()
        costs = self.costs(candidates)
        failures: dict[int, str] = {}
        stopped: frozenset[int] = frozenset()
        quality = {name: np.full((len(candidates), self.repeats), np.nan) for name in self.quality}
        if self.quality and self.halving is not None and self.mode != "supernet":
            stopped = self._halved(candidates, costs, quality, failures)
            for row in stopped:
                self.latest.drop(candidates[row])
        elif self.quality:
            self._trained(candidates, np.arange(len(candidates)), self.settings, quality, failures)
        metrics: dict[str, FloatArray] = dict(costs)
        for name, values in quality.items():
            values[[*failures, *stopped]] = np.nan
            metrics[name], spread = mean_and_spread(values)
            if self.repeats > 1:
                metrics[name + SPREAD] = spread
        return Results(metrics, failures, stopped)

    def costs(self, candidates: IntArray) -> dict[str, FloatArray]:
        """The cost metrics of candidates [K, D], exactly and without training."""
        return self.cost_model(self.costed, self.space.size_table(candidates), compare_to=self.compare_to)

    def network(self, candidate: ArrayLike, *, repeat: int = 0) -> Graph:
        """The graph of one candidate [D] with the weights that were judged: trained again from its seed."""
        made = copy.copy(self.graph)
        made.model = self._model(self.space.sizes(candidate), self.settings, self.seed + repeat)
        return made

    def _loss(self, result: Any, targets: Tensor) -> Tensor:
        """What training the network as it is would minimise."""
        return self.task.loss(self.task.outputs(result), targets, Settings())

    def at_hand(self, candidate: IntArray) -> Realised | None:
        """The network of a candidate [D] as it was trained first, where that was of late."""
        return self.latest.get(candidate)

    def realise(self, candidate: IntArray) -> Realised:
        """The same, trained again from its seed where it is not at hand; UserError where that fails."""
        if (found := self.at_hand(candidate)) is not None:
            return found
        model = self._model(self.space.sizes(candidate), self.settings, self.seed)
        judged, reason = self._judged(model)
        if reason:
            raise UserError(f"the network was trained again, and failed: {reason}")
        return self._realised(candidate, model, judged)

    def _realised(self, candidate: IntArray, model: nn.Module, judged: Mapping[str, float]) -> Realised:
        return self._realiser.of_training(candidate, self.space.sizes(candidate), model, judged)

    @cached_property
    def _realiser(self) -> Realiser:
        return Realiser(
            self.graph, lambda: part(self.data, self.loader), most=self.samples, device=self.device
        )

    def _trained(
        self,
        candidates: IntArray,
        rows: IntArray,
        settings: Settings,
        quality: Mapping[str, FloatArray],
        failures: dict[int, str],
    ) -> None:
        """Fills in the quality [K, repeats] of these rows of the candidates, or why they failed."""
        for row in rows.tolist():
            sizes = self.space.sizes(candidates[row])
            for repeat in range(self.repeats):
                try:
                    model = self._model(sizes, settings, self.seed + repeat)
                    judged, reason = self._judged(model)
                except UserError as error:
                    judged, reason = {}, str(error)
                except (RuntimeError, MemoryError) as error:  # no memory, or a layer that takes no such size
                    judged, reason = {}, describe_error(error)
                if reason:
                    failures[row] = reason
                    break
                if repeat == 0:
                    self.latest.put(self._realised(candidates[row], model, judged))
                for name, value in judged.items():
                    quality[name][row, repeat] = value

    def _model(self, sizes: Mapping[str, int], settings: Settings, seed: int) -> nn.Module:
        """The trained network of these sizes."""
        if self.mode == "supernet":
            return self._supernet(seed).network(sizes, self.data, device=self.device)
        model = resized(
            self.graph.model,
            self.space.groups,
            sizes,
            weights=self.mode,
            seed=seed,
            scores=self.scores,
        )
        if self.mode == "inherit":
            reestimate_norms(model.to(self.device), part(self.data, "train"), device=self.device)
        teacher = self.graph.model if self.mode == "inherit" else None
        how: dict[str, Any] = {"seed": seed, "device": self.device, "teacher": teacher, "task": self.task}
        train(model.to(self.device), self.data, settings, **how)
        return model

    def _supernet(self, seed: int) -> Supernet:
        """The supernet of this seed, trained when it is first asked for."""
        if seed not in self._supernets:
            largest = resized(
                self.graph.model, self.space.groups, self.space.largest, weights="scratch", seed=seed
            )
            supernet = Supernet(largest, find_groups(largest, self.data))
            train_supernet(
                supernet,
                self.data,
                self.settings,
                smallest=self.space.smallest,
                draw=lambda rng: self.space.sizes(self.space.sample(1, rng)[0]),
                sandwich=self.sandwich,
                seed=seed,
                device=self.device,
                task=self.task,
            )
            supernet.model.to(self.device)
            self._supernets[seed] = supernet
        return self._supernets[seed]

    def _judged(self, model: nn.Module) -> tuple[dict[str, float], str]:
        """The quality of a network, and what is wrong with it, if anything."""
        outputs, targets = predict(model, self._batches(), device=self.device, task=self.task)
        tally = self.tally.fresh(1)
        tally_one(tally, outputs, targets)
        found = tally.values(self.quality)
        return {name: float(values[0]) for name, values in found.items()}, tally.failures.get(0, "")

    def _batches(self) -> Any:
        seen = 0
        for x, y in part(self.data, self.loader):
            left = len(y) if self.samples is None else self.samples - seen
            if left <= 0:
                return
            yield x[:left], y[:left]
            seen += len(y)

    def _halved(
        self,
        candidates: IntArray,
        costs: Mapping[str, FloatArray],
        quality: dict[str, FloatArray],
        failures: dict[int, str],
    ) -> frozenset[int]:
        """As `_trained`, but only the best on part of the epochs get all of them; the rows of the others."""

        def after(rows: IntArray, budget: int) -> FloatArray:
            self._trained(candidates, rows, _with_budget(self.settings, budget), quality, failures)
            known = {**costs, **{name: values.mean(axis=1) for name, values in quality.items()}}
            columns = [_maximised(known[name], self.directions[name])[rows] for name in self.objectives]
            table = np.stack(columns, axis=1)
            table[np.isin(rows, list(failures))] = np.nan
            return table

        full = self.settings.steps or self.settings.epochs
        result = successive_halving(len(candidates), after, full=full, halving=self.halving)
        return frozenset(result.stopped)


def _with_budget(settings: Settings, budget: int) -> Settings:
    from dataclasses import replace

    if settings.steps is not None:
        return replace(settings, steps=budget)
    return replace(settings, epochs=budget)


def _maximised(values: FloatArray, direction: str) -> FloatArray:
    return values if direction == "maximize" else -values

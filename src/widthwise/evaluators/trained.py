"""Evaluating widths: every candidate is trained, or inherits and is tuned, or is a slice of a supernet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike
from torch import nn

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.facts import facts_of
from widthwise.data.modules import Data
from widthwise.evaluators.halved import HalvedBatch, Outcome
from widthwise.evaluators.halving import Halving
from widthwise.evaluators.judging import Judging, JudgingKeywords
from widthwise.evaluators.latest import Latest
from widthwise.evaluators.networks import outputs_that_fit, predicted, sureness_of_networks
from widthwise.evaluators.protocol import Pace, Results
from widthwise.evaluators.realising import Realiser
from widthwise.metrics.cost.of_widths import WidthCosts
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.making import with_targets
from widthwise.metrics.quality.sureness import Sureness
from widthwise.metrics.spread import SPREAD, mean_and_spread
from widthwise.network.calling import positional
from widthwise.network.graph import Graph
from widthwise.network.realised import Realised
from widthwise.network.undisturbed import copied
from widthwise.network.widths.unit_scores import Importance
from widthwise.spaces.settings import WidthSearch
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings
from widthwise.training.losses import check_loss
from widthwise.training.scoring import tally_one
from widthwise.training.settings import check_device
from widthwise.training.sources import Mode, Stacked, Widths, each_made, made_at_once, network_source
from widthwise.training.supernet import Sandwich

WAYS: dict[Mode, str] = {
    "scratch": "each candidate trained from random weights",
    "inherit": "each candidate cut from the network and tuned",
    "supernet": "candidates read off one network of shared weights, trained once",
}


class WidthEvaluator:
    """Scores candidates of a width space on validation data, as networks that have been trained.

    Args:
        graph, space, data: the network (trained, where candidates inherit), what may be chosen, and the data.
        mode: "scratch": trained from the seed. "inherit": cut out of the network or grown from it, then
            fine-tuned. "supernet": slices of one network of the largest widths, trained once for all of them.
        settings: how candidates (or the supernet) are trained. repeats: seeds that each is trained with;
            metrics are then means, and NAME_spread their standard deviations.
        importance: what shrinking keeps. halving: stops candidates of a batch early, by all `objectives`
            (names of metrics in `metrics`, by default all of them): they count as pruned.
        stacked: 16 candidates are trained at once, which pays for small networks of linear layers.
        metrics: names of quality and cost metrics; `options` are those of torchmetrics' by metric name.
        loader: the part of the data to judge on; samples: only the first so many.
        task, device, seed, compare_to: as `Evaluator` has them.
        judging: metrics and all that follow it here in one object.

    A candidate whose training diverges fails alone, with the epoch and the loss.
    """

    def __init__(
        self,
        graph: Graph,
        space: WidthSpace,
        data: Data,
        judging: Judging | None = None,
        *,
        mode: Mode = "scratch",
        settings: Settings | None = None,
        repeats: int = 1,
        importance: Importance = "magnitude",
        halving: Halving | None = None,
        stacked: bool = False,
        sandwich: Sandwich | None = None,
        **keywords: Unpack[JudgingKeywords],
    ) -> None:
        if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
            raise UserError(f"repeats = {repeats!r} is no whole number from 1")
        self.judging = judging or Judging.of(graph.network, data, **keywords)
        data = with_targets(data, graph.network, self.judging.task, self.judging.output)
        self.graph, self.space, self.data = graph, space, data
        self.mode, self.settings, self.repeats = mode, settings or Settings(), repeats
        self.halving = halving if mode != "supernet" else None
        self.fitting = check_data_fits_model(graph.network, data, self.judging.task, self.judging.output)
        self.cost_model = self._cost_model()
        self.source = network_source(
            mode,
            graph,
            space.groups,
            data,
            self.settings,
            Widths(space.smallest, space.largest, lambda rng: space.sizes(space.sample(1, rng)[0])),
            task=self.judging.task,
            output=self.judging.output,
            importance=importance,
            sandwich=sandwich,
            stacked=stacked,
            device=self.judging.device,
        )
        check_loss(self.judging.task, self.settings)
        self.tally = self.judging.tally(data, facts_of(data), self.fitting.shape)
        self.latest = Latest()

    def _cost_model(self) -> WidthCosts:
        space, fitting = self.space, self.fitting
        found = WidthCosts(
            self.graph,
            space.groups,
            positional(self.graph.network, fitting.block.inputs),
            varying=[choice.group for choice in space.choices],
            largest=space.largest,
            samples=len(fitting.block) if fitting.reader.whole_because else None,
        )
        found.check(self.judging.cost, [choice.sizes for choice in space.choices])
        return found

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics that a call gives, and the spreads of those that the repeats differ in."""
        judging = self.judging
        spreads = [name + SPREAD for name in judging.quality] if self.repeats > 1 else []
        return (*judging.columns, *spreads)

    @property
    def pace(self) -> Pace:
        """Each takes long; with halving as many start together as leave one for all of the training."""
        full = self.settings.steps or self.settings.epochs
        together = self.halving.together(full) if self.halving is not None else 1
        at_once = made_at_once(self.source)
        return Pace(True, affordable=at_once, together=together, repeats=self.repeats, at_once=at_once)

    @property
    def describe(self) -> str:
        """How candidates get their weights, and how often."""
        training = self.settings
        length = f"{training.epochs} epochs" if training.steps is None else f"{training.steps:,} steps"
        seeds = f", {self.repeats} seeds each" if self.repeats > 1 else ""
        stacked = f", {made_at_once(self.source)} at once" if isinstance(self.source, Stacked) else ""
        return "; ".join((f"{WAYS[self.mode]}, {length}{seeds}{stacked}", *self.fitting.reader.notes))

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], in their order; those that fail do so alone, with the reason."""
        self.latest.begin()
        costs = self.costs(candidates)
        failures: dict[int, str] = {}
        stopped: dict[int, str] = {}
        quality = {name: np.full((len(candidates), self.repeats), np.nan) for name in self.judging.quality}
        if quality and self.halving is not None:
            stopped = self._halved(candidates, costs, quality, failures)
            for row in stopped:
                self.latest.drop(candidates[row])
        elif quality:
            self._trained(candidates, np.arange(len(candidates)), self.settings, quality, failures)
        metrics: dict[str, FloatArray] = dict(costs)
        for name, values in quality.items():
            values[[*failures, *stopped]] = np.nan
            metrics[name], spread = mean_and_spread(values)
            if self.repeats > 1:
                metrics[name + SPREAD] = spread
        return Results(metrics, failures, frozenset(stopped), halted=stopped)

    def costs(self, candidates: IntArray) -> dict[str, FloatArray]:
        """The cost metrics of candidates [K, D], exactly and without training."""
        sizes = self.space.size_table(candidates)
        return self.cost_model(self.judging.cost, sizes, compare_to=self.judging.compare_to)

    def shapes(self, candidates: IntArray) -> IntArray:
        """The sizes [K, groups] of candidates [K, D]."""
        return self.space.size_table(candidates)

    def shaped(self, candidate: IntArray) -> Realised:
        """The network of a candidate [D] with random weights."""
        return self._realiser.of_shape(candidate, self.space.sizes(candidate))

    def network(self, candidate: ArrayLike, *, repeat: int = 0) -> Graph:
        """The graph of one candidate [D] with the weights that were judged: trained again from its seed."""
        return self.source.network(self.space.sizes(candidate), self.judging.seed + repeat)

    def at_hand(self, candidate: IntArray) -> Realised | None:
        """The network of a candidate [D] as it was trained first, where that was of late."""
        return self.latest.get(candidate)

    def realise(self, candidate: IntArray) -> Realised:
        """The same, trained again from its seed where it is not at hand; UserError where that fails."""
        if (found := self.at_hand(candidate)) is not None:
            return found
        made = self.network(candidate)
        judged, reason = self._scored(self._predicted(made.model))
        if reason:
            raise UserError(f"the network was trained again, and failed: {reason}")
        return self._realised(candidate, made.model, judged)

    def _realised(self, candidate: IntArray, model: nn.Module, judged: Mapping[str, float]) -> Realised:
        return self._realiser.of_training(candidate, self.space.sizes(candidate), model, judged)

    @cached_property
    def _realiser(self) -> Realiser:
        judging = self.judging
        reader = replace(self.fitting.reader, device=judging.device)
        fitting = replace(self.fitting, reader=reader)
        return Realiser(self.graph, self._loader, fitting, most=judging.samples)

    @property
    def _loader(self) -> Callable[[], Any]:
        """Fresh loaders; it holds no evaluator, as those it is given to are the evaluator's own."""
        return partial(self.judging.loader, self.data)

    def _halved(
        self,
        candidates: IntArray,
        costs: Mapping[str, FloatArray],
        quality: Mapping[str, FloatArray],
        failures: dict[int, str],
    ) -> dict[int, str]:
        """As `_trained`, but only the best on part of the epochs get all; what is told of the others."""

        def train(rows: IntArray, settings: Settings, seen: dict[int, Outcome] | None) -> None:
            self._trained(candidates, rows, settings, quality, failures, seen)

        sureness = partial(self.judging.sureness, self.data, self.fitting.about)
        batch = HalvedBatch(
            costs, quality, failures, self.judging, self.settings, train, sureness, self.sureness_of
        )
        return batch.stopped(self.halving, len(candidates))

    def _trained(
        self,
        candidates: IntArray,
        rows: IntArray,
        settings: Settings,
        quality: Mapping[str, FloatArray],
        failures: dict[int, str],
        seen: dict[int, Outcome] | None = None,
    ) -> None:
        """Fills in the quality [K, repeats] of these rows of the candidates, or why they failed.

        seen: is filled with outputs and targets of their first trainings.
        """
        for repeat in range(self.repeats):
            left = [row for row in rows.tolist() if row not in failures]
            sizes = [self.space.sizes(candidates[row]) for row in left]
            networks = each_made(self.source, sizes, self.judging.seed + repeat, settings)
            for row, made in zip(left, networks, strict=True):
                try:
                    if isinstance(made, Exception):
                        raise made
                    outcome = self._predicted(made.model)
                    judged, reason = self._scored(outcome)
                except UserError as error:
                    judged, reason = {}, str(error)
                except (RuntimeError, MemoryError) as error:  # no memory, or a layer that takes no such size
                    judged, reason = {}, describe_error(error)
                if reason or isinstance(made, Exception):
                    failures[row] = reason
                    continue
                if repeat == 0:
                    if seen is not None:
                        seen[row] = outcome
                    self.latest.put(self._realised(candidates[row], made.model, judged))
                for name, value in judged.items():
                    quality[name][row, repeat] = value

    def _predicted(self, model: nn.Module) -> Outcome:
        return predicted(model, self.data, self.fitting, self.judging)

    def _scored(self, outcome: Outcome) -> tuple[dict[str, float], str]:
        """The quality of a network, and what is wrong with it, if anything."""
        tally = self.tally.fresh(1)
        tally_one(tally, *outcome)
        found = tally.values(self.judging.quality)
        return {name: float(values[0]) for name, values in found.items()}, tally.failures.get(0, "")

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
        floats = copied(self.graph.network) if with_float else ()
        models = chain((networks(row) for row in range(len(candidates))), floats)
        return sureness_of_networks(models, self.data, self.fitting, self.judging)


def for_space(
    graph: Graph, space: WidthSpace, data: Data, settings: WidthSearch, judging: Judging
) -> WidthEvaluator:
    """The evaluator of a search of widths; UserError where its training needs another device."""
    check_device(judging.device, settings.training)
    return WidthEvaluator(
        graph,
        space,
        data,
        judging,
        mode=settings.weights,
        settings=settings.training,
        repeats=settings.repeats,
        importance=settings.importance,
        halving=settings.halving,
        stacked=settings.stacked,
    )

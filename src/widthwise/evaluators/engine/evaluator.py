"""The evaluator: a batch of candidates to one row of metrics each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.modules import Data
from widthwise.evaluators.blocks import DataBlock, first_block, input_names
from widthwise.evaluators.engine.costs import Costs
from widthwise.evaluators.engine.in_place import CannotShareError
from widthwise.evaluators.engine.memo import Memo
from widthwise.evaluators.engine.memory import default_budget, shares
from widthwise.evaluators.engine.one_by_one import PassPerCandidate
from widthwise.evaluators.engine.plan import Plan
from widthwise.evaluators.engine.planner import make_plan
from widthwise.evaluators.engine.threads import threads_for
from widthwise.evaluators.engine.walk import Count, walk
from widthwise.evaluators.judged import JudgedData
from widthwise.evaluators.protocol import Hopeless, Results
from widthwise.evaluators.realising import Realiser
from widthwise.metrics.catalogue import find_metric
from widthwise.metrics.quality.margins import SAMPLES, SampleMargins
from widthwise.metrics.quality.torchmetrics import torchmetrics_accumulator
from widthwise.metrics.quality.totals import Totals
from widthwise.network.graph import Graph
from widthwise.network.passes.metadata import propagate
from widthwise.network.realised import Realised
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import fixed_slots, schemes, slot_choices

FEW = 8  # up to here candidates are evaluated one by one with the memo
CALIBRATION_SAMPLES = 1024
AT_ONCE_WITH_OTHERS = 64  # candidates, where each has accumulators of its own
MOST_ROWS = 2**17  # candidates

Stop = Callable[[Mapping[str, FloatArray]], NDArray[np.bool_]]

logger = logging.getLogger(__name__)


class Evaluator:
    """Scores candidates of a quantisation space on a network's data, what they share computed once.

    Args:
        graph, space: the network and what may be chosen in it; without a space the graph as it is.
        data: a data module; `loader` names the part to judge on, of which `samples` takes only the first.
        metrics: names of quality and cost metrics; `options` are those of torchmetrics' by metric name.
        device: cpu, cuda …; memory: bytes that evaluating may take, by default a quarter of what is free.
        compare_to: bits that memory_density compares with.

    Formats that follow the data are fixed from the weights, and from what the float network computes on up to
    1,024 training samples. Raises UserError for data that does not fit the network and for unknown metrics.
    """

    def __init__(
        self,
        graph: Graph,
        space: QuantisationSpace | None,
        data: Data,
        *,
        metrics: Sequence[str],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        loader: str = "val",
        samples: int | None = None,
        device: str = "cpu",
        memory: int | None = None,
        compare_to: float = 32,
    ) -> None:
        self.graph = graph.copy()
        self.graph.model.to(device).eval()
        self.data, self.device, self.loader, self.samples = data, device, loader, samples
        found = {name: find_metric(name) for name in dict.fromkeys(metrics)}
        self.quality = [name for name, metric in found.items() if metric.kind == "quality"]
        self.cost = [name for name, metric in found.items() if metric.kind == "cost"]
        self.class_names = tuple(getattr(data, "class_names", ()))
        self.count = Count()
        self.memory = default_budget(device) if memory is None else memory
        slots = fixed_slots(self.graph) if space is None else space.slots
        self.inputs = input_names(self.graph)
        calibration = first_block(
            self._calibration_loader(), samples=CALIBRATION_SAMPLES, device=device, names=self.inputs
        )
        self._prepare(slots, calibration, compare_to)
        self.others = {
            name: torchmetrics_accumulator(name, self.classes, (options or {}).get(name))
            for name in self.quality
            if found[name].source
        }

    @property
    def mode(self) -> str:
        """How candidates are evaluated, for `inspect`."""
        if self.plan is not None:
            return "together: values that candidates share are computed once"
        return f"one pass per candidate with cached weights: {self.alone_because}"

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], in their order; those that fail do so alone, with the reason."""
        return self.evaluate_pruning(candidates)

    def evaluate_pruning(self, candidates: IntArray, *, hopeless: Hopeless | None = None) -> Results:
        """As a call; candidates can be stopped early.

        `hopeless` is asked, after each part of the data, which candidates to stop: it is given exact costs
        and the best values that their quality metrics can still reach.
        """
        size = self.rows_at_once
        starts = range(0, max(len(candidates), 1), size)
        parts = [self._evaluate(candidates[start : start + size], hopeless) for start in starts]
        if len(parts) == 1:
            return parts[0]
        pairs = list(zip(starts, parts, strict=True))
        return Results(
            {name: np.concatenate([part.metrics[name] for part in parts]) for name in parts[0].metrics},
            {start + row: part.failures[row] for start, part in pairs for row in part.failures},
            frozenset(start + row for start, part in pairs for row in part.pruned),
        )

    def _evaluate(self, candidates: IntArray, hopeless: Hopeless | None) -> Results:
        chosen = slot_choices(self.slots, candidates)
        found = self._costs(chosen)
        if not self.quality:
            return Results(found)
        totals = self._totals(chosen, hopeless and partial(hopeless, found))
        quality = totals.metrics(self.quality, self.class_names)
        return Results(found | quality, totals.failures, frozenset(np.flatnonzero(totals.pruned).tolist()))

    def margins(self, candidates: IntArray) -> FloatArray:
        """By how much candidates [K, D] are right about each of up to SAMPLES samples, [K, samples] float32.

        The samples are those of `margin_labels`; rows of candidates that fail are NaN.
        """
        chosen = slot_choices(self.slots, candidates)
        found = [SampleMargins(len(candidates), len(block)) for _, block in self._spread]
        with torch.no_grad():
            for part, (number, block) in zip(found, self._spread, strict=True):
                for start in range(0, len(candidates), self.rows_at_once):
                    rows = np.arange(start, min(start + self.rows_at_once, len(candidates)))
                    self._add_block(part, rows, chosen, number, block)
        return np.concatenate([part.margins for part in found], axis=1)

    @property
    def margin_labels(self) -> IntArray:
        """The true classes [samples] of the samples that margins are for."""
        return np.concatenate([block.labels.cpu().numpy() for _, block in self._spread])

    @cached_property
    def _spread(self) -> list[tuple[int, DataBlock]]:
        return self.judged.spread(SAMPLES)

    def costs(self, candidates: IntArray) -> dict[str, FloatArray]:
        """The cost metrics of candidates [K, D], exactly and without evaluating."""
        return self._costs(slot_choices(self.slots, candidates))

    def _costs(self, chosen: IntArray) -> dict[str, FloatArray]:
        """The cost metrics for format indices [K, S]."""
        return self.cost_model(self.cost, chosen) if self.cost else {}

    def affordable(self, flops: float) -> int:
        """How many candidates can be evaluated for about so many operations, from 1 to 8,192."""
        each = 2 * sum(node.macs for node in self.cost_model.nodes) * self.judged.total
        return int(min(max(flops / max(each, 1), 1), 8192))

    def network(self, candidate: ArrayLike) -> Graph:
        """The graph of one candidate [D]: exactly what was evaluated."""
        chosen = slot_choices(self.slots, np.asarray(candidate, dtype=np.int64)[None])[0]
        return self.graph.quantized(schemes(self.slots, chosen))

    def realise(self, candidate: IntArray) -> Realised:
        """All that makes the network of one candidate [D] again."""
        chosen = slot_choices(self.slots, np.asarray(candidate, dtype=np.int64)[None])[0]
        return self._realiser.of_formats(candidate, schemes(self.slots, chosen))

    at_hand = realise

    @cached_property
    def _realiser(self) -> Realiser:
        return Realiser(self.graph, self._loader, most=self.samples, device=self.device)

    def _calibration_loader(self) -> Any:
        try:
            return self.data.train_dataloader()
        except UserError:  # no training split: a network trained elsewhere
            return self._loader()

    def _loader(self) -> Any:
        return getattr(self.data, f"{self.loader}_dataloader")()

    def _prepare(self, slots: Sequence[Any], calibration: DataBlock, compare_to: float) -> None:
        """The plan, or else one pass per candidate; the number of classes; costs; shares of memory."""
        inputs = calibration.inputs
        self.plan: Plan | None = None
        self.alone_because = self.graph.capture_error
        if self.graph.capture == "fx":
            try:
                self.plan = make_plan(self.graph, slots, inputs)
            except CannotShareError as reason:
                self.alone_because = str(reason)
        if self.plan is not None:
            self.slots, self.classes = self.plan.slots, self.plan.classes
            self.shares = shares(self.plan, self.memory, self.device)
            self.single: Memo | PassPerCandidate = Memo(self.plan, self.shares.memo)
        else:
            self.single = PassPerCandidate(self.graph, slots, inputs)
            self.slots, self.classes = self.single.slots, self.single.classes
        one = tuple(x[:1].clone() for x in inputs)  # the network may change its inputs
        nodes = [meta.cost for meta in propagate(self.graph, one).values() if meta.cost is not None]
        self.cost_model = Costs(self.graph, self.slots, nodes, compare_to)

    @property
    def rows_at_once(self) -> int:
        """Candidates whose totals, formats and versions fit an eighth of the memory."""
        steps = len(self.plan.steps) if self.plan is not None else 0
        each = 16 * self.classes**2 + 8 * (4 * len(self.slots) + 2 * steps + 8)
        fitting = self.memory // 8 // each
        return int(min(max(fitting, 1), AT_ONCE_WITH_OTHERS if self.others else MOST_ROWS))

    def _totals(self, chosen: IntArray, stop: Stop | None) -> Totals:
        """Outcomes of formats [R, S] over all the data: blocks outside, candidates inside."""
        totals = Totals(len(chosen), self.classes, loss="loss" in self.quality, others=self.others)
        if isinstance(self.single, Memo) and not self.judged.is_kept:
            self.single.forget()  # read anew, a loader may give its samples in another order
        with torch.no_grad():
            for number, block in self.judged.numbered(parts=stop is not None):
                rows = totals.active
                if not len(rows):
                    break
                self._add_block(totals, rows, chosen, number, block)
                totals.samples += len(block)
                if stop is not None and totals.samples < self.judged.total:
                    totals.prune(stop(totals.best_possible(self.quality, self.judged.total)))
        return totals

    def _add_block(
        self, totals: Totals | SampleMargins, rows: IntArray, chosen: IntArray, number: int, block: DataBlock
    ) -> None:
        """Adds what the rows [R'] get right in one block; those that can't go together go by halves."""
        done = np.zeros(len(chosen), dtype=bool)

        def consume(part: IntArray, scores: torch.Tensor, versions: IntArray) -> None:
            totals.add(rows[part], scores, versions, block.labels)
            done[rows[part]] = True

        if self.plan is not None and len(rows) > FEW:
            stack, counted = self.shares.stack, self.count
            try:
                walk(self.plan, block.inputs, chosen[rows], consume, stack_bytes=stack, count=counted)
            except Exception as error:  # in the end each of the few that are to blame tells its reason
                logger.info("%d candidates can't be evaluated together: %s", len(rows), describe_error(error))
                left = rows[~done[rows]]
                for half in (left[: len(left) // 2], left[len(left) // 2 :]):
                    self._add_block(totals, half, chosen, number, block)
            return
        widest = max(step.sample_bytes for step in self.plan.steps) if self.plan is not None else np.inf
        with threads_for(widest * len(block)):
            for row in rows:
                try:
                    scores = self.single.scores(number, block.inputs, chosen[row])
                    totals.add(np.array([row]), scores, np.zeros(1, dtype=np.int64), block.labels)
                except Exception as error:
                    totals.failures[int(row)] = describe_error(error)

    @cached_property
    def judged(self) -> JudgedData:
        """The data to judge on."""
        return JudgedData(
            self._loader,
            size=self.shares.block_samples if self.plan is not None else CALIBRATION_SAMPLES,
            most=self.samples,
            room=self.memory // 8,
            classes=self.classes,
            device=self.device,
            names=self.inputs,
        )


def evaluate(graph: Graph, data: Data, *, metrics: Sequence[str], **options: Any) -> dict[str, float]:
    """The metrics of one network as it is, its schemes included; options are those of Evaluator.

    Raises UserError, also where the network itself fails.
    """
    results = Evaluator(graph, None, data, metrics=metrics, **options)(np.zeros((1, 0), dtype=np.int64))
    if results.failures:
        raise UserError(f"the network can't be evaluated: {results.failures[0]}")
    return {name: float(results.metrics[name][0]) for name in metrics}

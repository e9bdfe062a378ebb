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
from widthwise.data.facts import facts_of, part
from widthwise.data.modules import Data
from widthwise.evaluators.blocks import DataBlock, first_block, input_names
from widthwise.evaluators.engine.costs import Costs
from widthwise.evaluators.engine.in_place import CannotShareError
from widthwise.evaluators.engine.memo import Memo
from widthwise.evaluators.engine.memory import default_budget, shares
from widthwise.evaluators.engine.one_by_one import PassPerCandidate
from widthwise.evaluators.engine.plan import Plan
from widthwise.evaluators.engine.planner import make_plan
from widthwise.evaluators.engine.running import SAMPLES, Adds, Running, SampleMargins
from widthwise.evaluators.engine.threads import threads_for
from widthwise.evaluators.engine.walk import Count, walk
from widthwise.evaluators.judged import JudgedData
from widthwise.evaluators.protocol import Hopeless, Results
from widthwise.evaluators.realising import Realiser
from widthwise.metrics.quality.task import Task
from widthwise.metrics.quality.tasks import CLASSIFICATION, metric_of, task_of
from widthwise.network.graph import Graph
from widthwise.network.passes.metadata import propagate
from widthwise.network.realised import Realised
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import fixed_slots, schemes, slot_choices

FEW = 8  # up to here candidates are evaluated one by one with the memo
CALIBRATION_SAMPLES = 1024
MOST_ROWS = 2**17  # candidates

Stop = Callable[[Mapping[str, FloatArray]], NDArray[np.bool_]]

logger = logging.getLogger(__name__)


class Evaluator:
    """Scores candidates of a quantisation space on a network's data, what they share computed once.

    Args:
        graph, space: the network and what may be chosen in it; without a space the graph as it is.
        data: a data module; `loader` names the part to judge on, of which `samples` takes only the first.
        metrics: names of quality and cost metrics; `options` are those of torchmetrics' by metric name.
        task: what the outputs are worth, or its name.
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
        task: Task | str = CLASSIFICATION,
    ) -> None:
        self.graph = graph.copy()
        self.graph.model.to(device).eval()
        self.data, self.device, self.loader, self.samples = data, device, loader, samples
        self.task, self.about = task_of(task), facts_of(data)
        found = {name: metric_of(self.task, name) for name in dict.fromkeys(metrics)}
        self.quality = [name for name, metric in found.items() if metric.kind == "quality"]
        self.costed = [metric for metric in found.values() if metric.kind == "cost"]
        self.cost = [metric.name for metric in self.costed]
        self.count = Count()
        self.memory = default_budget(device) if memory is None else memory
        slots = fixed_slots(self.graph) if space is None else space.slots
        self.inputs = input_names(self.graph)
        calibration = first_block(
            self._calibration_loader(), samples=CALIBRATION_SAMPLES, device=device, names=self.inputs
        )
        outputs = self._prepare(slots, calibration, compare_to)
        self.outputs = _shape_of_one(outputs, calibration)
        self.about = self.about.seen(calibration.inputs[0], calibration.targets)
        self._check(calibration)
        self.tally = self.task.tally(0, self.quality, self.about, self.outputs, options)

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
        running = self._run(chosen, hopeless and partial(hopeless, found))
        quality, failures = running.values(self.quality), running.tally.failures
        return Results(found | quality, failures, frozenset(np.flatnonzero(running.pruned).tolist()))

    def margins(self, candidates: IntArray) -> FloatArray:
        """By how much candidates [K, D] are right about each of up to SAMPLES samples, [K, samples] float32.

        The samples are those of `margin_labels`; rows of candidates that fail are NaN. Raises UserError in a
        task whose answers are not right or wrong.
        """
        if self.task.answers is None:
            raise UserError(f"{self.task.name}: its answers are not right or wrong, so there are no margins")
        chosen = slot_choices(self.slots, candidates)
        answers = self.task.answers
        found = [SampleMargins(len(candidates), len(block), answers) for _, block in self._spread]
        with torch.no_grad():
            for part, (number, block) in zip(found, self._spread, strict=True):
                for start in range(0, len(candidates), self.rows_at_once):
                    rows = np.arange(start, min(start + self.rows_at_once, len(candidates)))
                    self._add_block(part, rows, chosen, number, block)
        return np.concatenate([part.margins for part in found], axis=1)

    def answer_shares(self, metric: str) -> FloatArray | None:
        """What each of the samples of margins counts in a metric if it is answered rightly, [samples].

        None where the metric is no weighted count of right answers.
        """
        if self.task.answers is None or metric not in self.task.answers.metrics:
            return None
        return self.task.answers.shares(metric, torch.from_numpy(self.margin_labels))

    @property
    def margin_labels(self) -> IntArray:
        """The targets [samples] of the samples that margins are for."""
        return np.concatenate([block.targets.cpu().numpy() for _, block in self._spread])

    @cached_property
    def _spread(self) -> list[tuple[int, DataBlock]]:
        return self.judged.spread(SAMPLES)

    def costs(self, candidates: IntArray) -> dict[str, FloatArray]:
        """The cost metrics of candidates [K, D], exactly and without evaluating."""
        return self._costs(slot_choices(self.slots, candidates))

    def _costs(self, chosen: IntArray) -> dict[str, FloatArray]:
        """The cost metrics for format indices [K, S]."""
        return self.cost_model(self.costed, chosen) if self.costed else {}

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
            return part(self.data, "train")
        except UserError:  # no training split: a network trained elsewhere
            return self._loader()

    def _loader(self) -> Any:
        return part(self.data, self.loader)

    def _prepare(self, slots: Sequence[Any], calibration: DataBlock, compare_to: float) -> torch.Tensor:
        """The plan, or else one pass per candidate; costs; shares of memory; what the float network gives."""
        inputs = calibration.inputs
        self.plan: Plan | None = None
        self.alone_because = self.graph.capture_error
        if self.graph.capture == "fx":
            try:
                self.plan, outputs = make_plan(self.graph, slots, inputs, self.task.outputs)
            except CannotShareError as reason:
                self.alone_because = str(reason)
        if self.plan is not None:
            self.slots = self.plan.slots
            self.shares = shares(self.plan, self.memory, self.device)
            self.single: Memo | PassPerCandidate = Memo(self.plan, self.shares.memo)
        else:
            self.single = PassPerCandidate(self.graph, slots, inputs, self.task.outputs)
            self.slots, outputs = self.single.slots, self.single.example
        one = tuple(x[:1].clone() for x in inputs)  # the network may change its inputs
        nodes = [meta.cost for meta in propagate(self.graph, one).values() if meta.cost is not None]
        self.cost_model = Costs(self.graph, self.slots, nodes, compare_to)
        return outputs

    def _check(self, block: DataBlock) -> None:
        """Raises UserError for targets that the network can't be judged by."""
        self.task.check(block.targets, self.outputs, self.about)

    @property
    def rows_at_once(self) -> int:
        """Candidates whose figures, formats and versions fit an eighth of the memory."""
        steps = len(self.plan.steps) if self.plan is not None else 0
        each = self.tally.row_bytes + 8 * (4 * len(self.slots) + 2 * steps + 8)
        return int(min(max(self.memory // 8 // each, 1), MOST_ROWS))

    def _run(self, chosen: IntArray, stop: Stop | None) -> Running:
        """Formats [R, S] over all the data: blocks outside, candidates inside."""
        running = Running(self.tally.fresh(len(chosen)), len(chosen))
        if isinstance(self.single, Memo) and not self.judged.is_kept:
            self.single.forget()  # read anew, a loader may give its samples in another order
        with torch.no_grad():
            for number, block in self.judged.numbered(parts=stop is not None):
                rows = running.active
                if not len(rows):
                    break
                self._add_block(running.tally, rows, chosen, number, block)
                running.samples += len(block)
                if stop is not None and running.samples < self.judged.total:
                    running.prune(stop(running.tally.best_possible(self.quality, self.judged.total)))
        return running

    def _add_block(self, sums: Adds, rows: IntArray, chosen: IntArray, number: int, block: DataBlock) -> None:
        """Adds what the rows [R'] give for one block; those that can't go together go by halves."""
        done = np.zeros(len(chosen), dtype=bool)

        def consume(part: IntArray, outputs: torch.Tensor, versions: IntArray) -> None:
            sums.add(rows[part], outputs, versions, block.targets)
            done[rows[part]] = True

        if self.plan is not None and len(rows) > FEW:
            stack, counted = self.shares.stack, self.count
            try:
                walk(self.plan, block.inputs, chosen[rows], consume, stack_bytes=stack, count=counted)
            except Exception as error:  # in the end each of the few that are to blame tells its reason
                logger.info("%d candidates can't be evaluated together: %s", len(rows), describe_error(error))
                left = rows[~done[rows]]
                for half in (left[: len(left) // 2], left[len(left) // 2 :]):
                    self._add_block(sums, half, chosen, number, block)
            return
        widest = max(step.sample_bytes for step in self.plan.steps) if self.plan is not None else np.inf
        with threads_for(widest * len(block)):
            for row in rows:
                try:
                    outputs = self.single.outputs(number, block.inputs, chosen[row])
                    sums.add(np.array([row]), outputs, np.zeros(1, dtype=np.int64), block.targets)
                except Exception as error:
                    sums.failures[int(row)] = describe_error(error)

    @cached_property
    def judged(self) -> JudgedData:
        """The data to judge on."""
        return JudgedData(
            self._loader,
            size=self.shares.block_samples if self.plan is not None else CALIBRATION_SAMPLES,
            most=self.samples,
            room=self.memory // 8,
            check=self._check,
            device=self.device,
            names=self.inputs,
        )


def _shape_of_one(outputs: torch.Tensor, block: DataBlock) -> tuple[int, ...]:
    """The shape of the outputs for one sample; raises UserError where they are not one row for each."""
    if outputs.ndim == 0 or len(outputs) != len(block):
        raise UserError(
            f"the network returns outputs of shape {list(outputs.shape)} for {len(block)} samples; they must "
            "be one row for each sample"
        )
    return tuple(outputs.shape[1:])


def evaluate(graph: Graph, data: Data, *, metrics: Sequence[str], **options: Any) -> dict[str, float]:
    """The metrics of one network as it is, its schemes included; options are those of Evaluator.

    Raises UserError, also where the network itself fails.
    """
    results = Evaluator(graph, None, data, metrics=metrics, **options)(np.zeros((1, 0), dtype=np.int64))
    if results.failures:
        raise UserError(f"the network can't be evaluated: {results.failures[0]}")
    return {name: float(results.metrics[name][0]) for name in metrics}

"""The evaluator: a batch of candidates to one row of metrics each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from math import prod
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.data.modules import Data
from widthwise.evaluators.engine.adding import add_block
from widthwise.evaluators.engine.margins import Margins
from widthwise.evaluators.engine.memo import Memo
from widthwise.evaluators.engine.prepared import prepare
from widthwise.evaluators.engine.rerun import Rerun
from widthwise.evaluators.engine.running import Adds, Outputs, Running, SampleMargins
from widthwise.evaluators.engine.walk import Count
from widthwise.evaluators.judged import JudgedData
from widthwise.evaluators.judging import FLOAT_BYTES, Judging, JudgingKeywords
from widthwise.evaluators.protocol import Hopeless, Pace, Results
from widthwise.evaluators.realising import Realiser
from widthwise.metrics.quality.follows import Follows
from widthwise.metrics.quality.making import with_targets
from widthwise.metrics.quality.sureness import Sureness
from widthwise.network.graph import Graph
from widthwise.network.passes.settling import settled
from widthwise.network.realised import Realised
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import Slot, schemes, slot_choices

logger = logging.getLogger(__name__)

BATCH_FLOPS = 2e11  # what evaluating one batch may take before it is stored: a few seconds
MOST_AFFORDABLE = 8192  # candidates
OF_WORK = ("macs", "flops", "bops", "ebops")

Stop = Callable[[Mapping[str, FloatArray]], NDArray[np.bool_]]


class Evaluator:
    """Scores candidates of a quantisation space on a network's data, what they share computed once.

    Args:
        graph, space: the network and what may be chosen in it; without a space the graph as it is.
        data: a data module; `loader` ("val") names the part to judge on, of which `samples` takes only the
            first.
        metrics: names of quality and cost metrics, callables `(outputs, targets) -> number`, objects and
            classes of torchmetrics, or `own_metric(...)`; `options` are those of classes by metric name.
        task: what the outputs are worth, or its name; by default the one that fits. output: which of several
            that the network returns is judged, by its key or index ("logits", 1); by default the one of that
            name, or the only one that the targets fit.
        device: cpu, cuda …; memory: bytes that evaluating may take, by default a quarter of what is free.
        compare_to: bits that memory_density compares with.
        judging: all of these but graph, space and data, in one object.

    Formats that follow the data are fixed from the weights, and from what the float network computes on up to
    1,024 training samples. Raises UserError for data that does not fit the network and for unknown metrics.
    """

    def __init__(
        self,
        graph: Graph,
        space: QuantisationSpace | None,
        data: Data,
        judging: Judging | None = None,
        **keywords: Unpack[JudgingKeywords],
    ) -> None:
        self.judging = judging or Judging.of(graph.network, data, **keywords)
        self.data = with_targets(data, graph.network, self.judging.task, self.judging.output)
        self.prepared = prepare(graph, space, self.data, self.judging)
        self.count = Count()

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics that a call gives."""
        return self.judging.columns

    @property
    def pace(self) -> Pace:
        """A few seconds' worth of candidates, by their operations on the data."""
        each = 2 * sum(node.macs for node in self.prepared.costs.nodes) * self.judged.total
        return Pace(trains=False, affordable=int(min(max(BATCH_FLOPS / max(each, 1), 1), MOST_AFFORDABLE)))

    @property
    def describe(self) -> str:
        """How candidates are evaluated."""
        return "; ".join((self.prepared.how, *self.prepared.fitting.reader.notes))

    @property
    def uncounted(self) -> str:
        """What metrics of work leave out, in words; "" where they are not asked for, or have all."""
        asked = [metric.name for metric in self.judging.cost if metric.name in OF_WORK]
        if not asked or not self.prepared.uncounted:
            return ""
        return f"{', '.join(asked)} leave out what has no known count: {', '.join(self.prepared.uncounted)}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the figures should know: parameters without formats, work that isn't counted."""
        in_float = self.prepared.in_float
        told = f"{in_float}; they count 32 bits each, `widthwise inspect` lists them" if in_float else ""
        return tuple(note for note in (told, self.uncounted) if note)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The formats that each tensor may have, calibrated."""
        return self.prepared.slots

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], in their order; those that fail do so alone, with the reason."""
        return self.evaluate_pruning(candidates)

    def evaluate_pruning(self, candidates: IntArray, *, hopeless: Hopeless | None = None) -> Results:
        """As a call; candidates can be stopped early.

        `hopeless` is asked, after each part of the data, which candidates to stop: it is given exact costs
        and the best values that their quality metrics can still reach.
        """
        size = self.prepared.rows_at_once
        starts = range(0, max(len(candidates), 1), size)
        parts = [self._evaluate(candidates[start : start + size], hopeless) for start in starts]
        if len(parts) == 1:
            return parts[0]
        pairs = list(zip(starts, parts, strict=True))
        return Results(
            {name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
            {start + row: part.failures[row] for start, part in pairs for row in part.failures},
            frozenset(start + row for start, part in pairs for row in part.pruned),
            {start + row: part.causes[row] for start, part in pairs for row in part.causes},
        )

    def _evaluate(self, candidates: IntArray, hopeless: Hopeless | None) -> Results:
        chosen = slot_choices(self.slots, candidates)
        found = self._costs(chosen)
        quality = self.judging.quality
        refused = self.prepared.costs.reasons(self.judging.cost, chosen)
        if not quality:
            return Results(found, refused)
        running = self._run(chosen, hopeless and partial(hopeless, found))
        values, failures = running.values(quality), {**running.tally.failures, **refused}
        pruned = frozenset(np.flatnonzero(running.pruned).tolist())
        return Results(found | values, failures, pruned, getattr(running.tally, "causes", {}))

    def _run(self, chosen: IntArray, stop: Stop | None) -> Running:
        """Formats [R, S] over all the data: blocks outside, candidates inside."""
        ready, quality = self.prepared, self.judging.quality
        running = Running(ready.tally.fresh(len(chosen)), len(chosen))
        margins: list[SampleMargins] | None = [] if stop is None and self._margins.come_with_figures else None
        if isinstance(ready.single, Memo | Rerun) and not self.judged.is_kept:
            ready.single.forget()  # read anew, a loader may give its samples in another order
        with torch.no_grad():
            for number, block in self.judged.numbered(parts=stop is not None):
                rows = running.active
                if not len(rows):
                    break
                into: Adds = running.tally
                if margins is not None:
                    into = self._margins.beside(into, margins, len(chosen), block)
                add_block(ready, into, rows, chosen, number, block, count=self.count)
                running.samples += len(block)
                if stop is not None and running.samples < self.judged.total:
                    running.prune(stop(running.tally.best_possible(quality, self.judged.total)))
        if margins and len(running.active):
            self._margins.keep(chosen, margins)
        return running

    def margins(self, candidates: IntArray) -> FloatArray:
        """What candidates [K, D] contribute of each of up to 1,024 samples, [K, values] float32.

        Where the task has answers that are right or wrong, by how much they are right; else what `follows`
        was asked for. The samples are those of `margin_labels`; rows of candidates that fail are NaN. Raises
        UserError in a task that tells nothing of single samples.
        """
        return self._margins.of(slot_choices(self.slots, candidates))

    def few_margins(self, candidates: IntArray) -> tuple[FloatArray, IntArray]:
        """What `margins` tells of candidates [K, D] on about a quarter of its samples, [K, values], and which
        of its values these are, [values]."""
        return self._margins.of_few(slot_choices(self.slots, candidates))

    def outputs(self, candidates: IntArray) -> tuple[list[Tensor], Tensor]:
        """What is judged of candidates [K, D], [n, ...] each, and the targets [n, ...]; on the CPU.

        Raises UserError where a candidate fails.
        """
        into = Outputs(len(candidates))
        self.add_to(into, candidates)
        targets = torch.cat([block.targets.cpu() for block in self.judged.blocks()])
        return [torch.cat(blocks) for blocks in into.kept], targets

    def add_to(self, into: Adds, candidates: IntArray) -> None:
        """Adds the outputs of candidates [K, D] block by block, in the order of the data.

        Raises UserError where a candidate fails.
        """
        chosen, rows = slot_choices(self.slots, candidates), np.arange(len(candidates))
        with torch.no_grad():
            for number, block in self.judged.numbered(parts=False):
                add_block(self.prepared, into, rows, chosen, number, block, count=self.count)
        for row, reason in into.failures.items():
            raise UserError(f"candidate {row}: {reason}")

    @property
    def sureness_of(self) -> int:
        """Of how many candidates it can be said how sure they are: outputs have to fit, and take seconds."""
        each = FLOAT_BYTES * prod(self.prepared.fitting.shape) * self.judged.total
        return min(self.prepared.memory // 4 // max(each, 1), 2 * self.pace.affordable)

    def sureness(
        self,
        candidates: IntArray,
        networks: Callable[[int], nn.Module] | None = None,
        *,
        with_float: bool = False,
    ) -> Sureness:
        """How sure the qualities of candidates [K, D] are, on the samples that they are judged on.

        with_float: and then of the network as it was given, as row K.
        """
        del networks  # its own are at hand
        outputs, targets = self.outputs(candidates)
        if with_float:
            outputs += self.float_outputs()
        return self.judging.sureness(self.data, self.prepared.about, outputs, targets)

    def float_outputs(self) -> list[Tensor]:
        """What the network as it was given gives, as `outputs` of one candidate."""
        # the costs of float may be unknown: those of a table
        alone = Evaluator(self.prepared.graph, None, self.data, self._without_costs)
        return alone.outputs(np.zeros((1, 0), dtype=np.int64))[0]

    def follows(self, metrics: Sequence[str]) -> list[Follows | None]:
        """Of each metric how it follows from what `margins` tells from now on; None where it doesn't."""
        return self._margins.follows(metrics)

    @property
    def margin_labels(self) -> IntArray:
        """The targets [samples, ...] of the samples that margins are for."""
        return self._margins.labels

    @cached_property
    def _margins(self) -> Margins:
        return Margins(self.prepared, self.judged, self.judging.task, self.count)

    def costs(self, candidates: IntArray) -> dict[str, FloatArray]:
        """The cost metrics of candidates [K, D], exactly and without evaluating."""
        return self._costs(slot_choices(self.slots, candidates))

    def without_costs(self) -> Evaluator:
        """The same, whose calls give qualities alone, for who knows the costs already."""
        found = copy(self)
        found.judging = self._without_costs
        return found

    @property
    def _without_costs(self) -> Judging:
        quality = tuple(metric for metric in self.judging.metrics if metric.kind == "quality")
        return replace(self.judging, metrics=quality)

    def keep_in(self, folder: Path) -> None:
        """Keep what costs take long to find in a folder, and use what it keeps."""
        self.prepared.costs.keep_in(folder)

    def _costs(self, chosen: IntArray) -> dict[str, FloatArray]:
        """The cost metrics for format indices [K, S]."""
        cost = self.judging.cost
        return self.prepared.costs(cost, chosen) if cost else {}

    def network(self, candidate: ArrayLike) -> Graph:
        """The graph of one candidate [D]: exactly what was evaluated."""
        chosen = slot_choices(self.slots, np.asarray(candidate, dtype=np.int64)[None])[0]
        plain, kept = settled(self.prepared.graph, schemes(self.slots, chosen))
        return plain.quantized(kept)

    def realise(self, candidate: IntArray) -> Realised:
        """All that makes the network of one candidate [D] again."""
        chosen = slot_choices(self.slots, np.asarray(candidate, dtype=np.int64)[None])[0]
        return self._realiser.of_formats(candidate, schemes(self.slots, chosen))

    at_hand = realise

    @cached_property
    def _realiser(self) -> Realiser:
        judging = self.judging
        return Realiser(self.prepared.graph, self._loader, self.prepared.fitting, most=judging.samples)

    @cached_property
    def judged(self) -> JudgedData:
        """The data to judge on."""
        return self.prepared.judged(self._loader, self.judging)

    @property
    def _loader(self) -> Callable[[], Any]:
        """Fresh loaders; it holds no evaluator, as those it is given to are the evaluator's own."""
        return partial(self.judging.loader, self.data)

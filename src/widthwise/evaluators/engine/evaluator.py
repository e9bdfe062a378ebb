"""The evaluator: a batch of candidates to one row of metrics each."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from math import nan, prod
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.data.blocks import DataBlock
from widthwise.data.modules import Data, load_data
from widthwise.evaluators.engine.adding import add_block
from widthwise.evaluators.engine.answered import Answered, Both
from widthwise.evaluators.engine.memo import Memo
from widthwise.evaluators.engine.prepared import prepare
from widthwise.evaluators.engine.rerun import Rerun
from widthwise.evaluators.engine.running import Adds, Outputs, Running, SampleMargins
from widthwise.evaluators.engine.walk import Count
from widthwise.evaluators.judged import JudgedData
from widthwise.evaluators.judging import FLOAT_BYTES, Judging, JudgingKeywords
from widthwise.evaluators.protocol import Hopeless, Pace, Results
from widthwise.evaluators.realising import Realiser
from widthwise.metrics.quality.follows import Follows, Told, told_of
from widthwise.metrics.quality.making import with_targets
from widthwise.metrics.quality.sureness import Sureness
from widthwise.network.graph import Graph
from widthwise.network.named import MODELS, load_model
from widthwise.network.passes.settling import settled
from widthwise.network.reading import try_on
from widthwise.network.realised import Realised
from widthwise.network.undisturbed import unwrapped
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
        self._answered: Answered | None = None  # from when on margins may be asked for
        self._asked: tuple[str, ...] | None = None  # the metrics that follow from them; None: any

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
        found = "candidates together: values that candidates share are computed once"
        if self.prepared.sharing is None:
            found = f"candidates one pass per candidate with cached weights: {self.prepared.alone_because}"
            if isinstance(self.prepared.single, Rerun):
                found += "; calls alike are answered from memory"
        return "; ".join((found, *self.prepared.fitting.reader.notes))

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
        margins: list[SampleMargins] | None = [] if stop is None and self._keeps_margins else None
        if isinstance(ready.single, Memo | Rerun) and not self.judged.is_kept:
            ready.single.forget()  # read anew, a loader may give its samples in another order
        with torch.no_grad():
            for number, block in self.judged.numbered(parts=stop is not None):
                rows = running.active
                if not len(rows):
                    break
                into = running.tally if margins is None else self._with_margins(running, margins, block)
                add_block(ready, into, rows, chosen, number, block, count=self.count)
                running.samples += len(block)
                if stop is not None and running.samples < self.judged.total:
                    running.prune(stop(running.tally.best_possible(quality, self.judged.total)))
        if margins and self._answered is not None and len(running.active):
            self._answered.keep(chosen, margins)
        return running

    @property
    def _keeps_margins(self) -> bool:
        """Whether the run that scores candidates gives the very margins that `margins` would run them for.

        Where candidates share values, those of margins are shared with those that scored them anyway.
        """
        if self._answered is None or self.prepared.sharing is not None:
            return False
        return self.judged.total <= self._told.samples and self.judged.is_kept

    def _with_margins(self, running: Running, margins: list[SampleMargins], block: DataBlock) -> Both:
        margins.append(SampleMargins(len(running.pruned), len(block), self._told))
        return Both(running.tally, margins[-1])

    def margins(self, candidates: IntArray) -> FloatArray:
        """What candidates [K, D] contribute of each of up to 1,024 samples, [K, values] float32.

        Where the task has answers that are right or wrong, by how much they are right; else what `follows`
        was asked for. The samples are those of `margin_labels`; rows of candidates that fail are NaN. Raises
        UserError in a task that tells nothing of single samples.
        """
        chosen = slot_choices(self.slots, candidates)
        if self._answered is not None and (kept := self._answered.take(chosen)) is not None:
            return kept
        return self._margins_on(self._spread, chosen)

    def few_margins(self, candidates: IntArray) -> tuple[FloatArray, IntArray]:
        """What `margins` tells of candidates [K, D] on about a quarter of its samples, [K, values], and which
        of its values these are, [values]."""
        blocks, samples = self.judged.fewer(self._spread)
        width = sum(self._told.widths)
        columns = (samples[:, None] * width + np.arange(width)).ravel()
        return self._margins_on(blocks, slot_choices(self.slots, candidates)), columns

    def _margins_on(self, blocks: Sequence[tuple[int, DataBlock]], chosen: IntArray) -> FloatArray:
        """For formats [K, S] on numbered blocks."""
        size = self.prepared.rows_at_once
        found = [SampleMargins(len(chosen), len(block), self._told) for _, block in blocks]
        with torch.no_grad():
            for part, (number, block) in zip(found, blocks, strict=True):
                for start in range(0, len(chosen), size):
                    rows = np.arange(start, min(start + size, len(chosen)))
                    add_block(self.prepared, part, rows, chosen, number, block, count=self.count)
        return np.concatenate([part.margins for part in found], axis=1)

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
        self._asked = tuple(metrics)
        self.__dict__.pop("_told", None)
        self.__dict__.pop("_spread", None)
        if self._tells is None:
            self._asked = None
            return [None] * len(metrics)
        labels = torch.from_numpy(self.margin_labels)
        found = [self._told.follows(metric, labels) for metric in metrics]
        if any(one is not None for one in found):
            self._answered = self._answered or Answered()
        return found

    @property
    def margin_labels(self) -> IntArray:
        """The targets [samples, ...] of the samples that margins are for."""
        return np.concatenate([block.targets.cpu().numpy() for _, block in self._spread])

    @cached_property
    def _told(self) -> Told:
        if (found := self._tells) is None:
            name = self.judging.task.name
            raise UserError(f"{name}: nothing is told of single samples, so there are no margins")
        return found

    @property
    def _tells(self) -> Told | None:
        fitting = self.prepared.fitting
        return told_of(self.judging.task, self._asked, fitting.shape, fitting.block.targets)

    @cached_property
    def _spread(self) -> list[tuple[int, DataBlock]]:
        return self.judged.spread(self._told.samples)

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


def evaluate(
    network: Graph | nn.Module | str,
    data: Data | str,
    judging: Judging | None = None,
    **keywords: Unpack[JudgingKeywords],
) -> dict[str, float]:
    """The metrics of one network as it is, its schemes included; keywords are those of Evaluator.

    network: as a graph, or a module, which is captured and stays as it is. data: or its name.

    Raises UserError, also where the network itself fails.
    """
    evaluator = _of_one(network, data, judging, **keywords)
    if told := evaluator.uncounted:
        warnings.warn(told, stacklevel=2)
    results = evaluator(np.zeros((1, 0), dtype=np.int64))
    if results.failures:
        raise UserError(f"the network can't be evaluated: {results.failures[0]}") from results.causes.get(0)
    return {metric.name: float(results[metric.name][0]) for metric in evaluator.judging.metrics}


def standard_errors(
    network: Graph | nn.Module | str,
    data: Data | str,
    judging: Judging | None = None,
    **keywords: Unpack[JudgingKeywords],
) -> dict[str, float]:
    """How sure the qualities of one network are: the standard error of each on that many samples.

    As for `evaluate`; see `widthwise.metrics.quality.sureness` for how they are had. NaN where one can't be,
    or where all outputs together don't fit into the memory.
    """
    evaluator = _of_one(network, data, judging, **keywords)
    names = evaluator.judging.quality
    if not names or not evaluator.sureness_of:
        return dict.fromkeys(names, nan)
    found = evaluator.sureness(np.zeros((1, 0), dtype=np.int64))
    return {name: float(found.errors(name)[0]) for name in names}


def _of_one(
    network: Graph | nn.Module | str,
    data: Data | str,
    judging: Judging | None,
    **keywords: Unpack[JudgingKeywords],
) -> Evaluator:
    """The evaluator of a network as it is."""
    if isinstance(data, str):
        said = keywords.get("task")
        data = load_data(data, task=said if isinstance(said, str) else None)
    floats = network.network if isinstance(network, Graph) else load_model(network)
    if isinstance(network, str) and network in MODELS.own:
        logger.warning(
            "the weights of %s are random, so its quality says little; load trained ones: "
            "ww.load_model(%r, checkpoint=FILE)",
            *(network, network),
        )
    if judging is None:
        judging = Judging.of(floats, data, **keywords)
    data = with_targets(data, floats, judging.task, judging.output)
    if not isinstance(network, Graph):
        network = Graph(floats, try_on(unwrapped(floats), judging.loader(data)).example)
    return Evaluator(network, None, data, judging)

"""What the engine knows before the first candidate: a plan, calibrated formats, costs, shares of memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.data.modules import Data
from widthwise.evaluators.blocks import first_block, input_names
from widthwise.evaluators.engine.costs import Costs
from widthwise.evaluators.engine.in_place import CannotShareError
from widthwise.evaluators.engine.memo import Memo
from widthwise.evaluators.engine.memory import MemoryShares, default_budget, shares
from widthwise.evaluators.engine.one_by_one import PassPerCandidate
from widthwise.evaluators.engine.plan import Plan
from widthwise.evaluators.engine.planner import make_plan
from widthwise.evaluators.judged import JudgedData
from widthwise.evaluators.judging import Judging
from widthwise.metrics.quality.torchmetrics import TorchmetricsAccumulator, torchmetrics_accumulator
from widthwise.network.graph import Graph
from widthwise.network.passes.metadata import propagate
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import Slot, fixed_slots

CALIBRATION_SAMPLES = 1024
AT_ONCE_WITH_OTHERS = 64  # candidates, where each has accumulators of its own
MOST_ROWS = 2**17  # candidates


@dataclass(frozen=True, eq=False)
class Sharing:
    """A plan by which candidates share values, and the bytes that its parts may take."""

    plan: Plan
    shares: MemoryShares


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network ready to be judged with any of its formats.

    slots: calibrated, what follows the data is fixed. sharing: None where each candidate takes a pass of its
        own; `alone_because` says why. single: what evaluates one candidate.
    memory: bytes that evaluating may take. others: accumulators of torchmetrics by the metric's name.
    """

    graph: Graph
    slots: tuple[Slot, ...]
    classes: int
    sharing: Sharing | None
    alone_because: str
    single: Memo | PassPerCandidate
    costs: Costs
    memory: int
    inputs: tuple[str, ...]
    others: Mapping[str, TorchmetricsAccumulator]

    @property
    def rows_at_once(self) -> int:
        """Candidates whose totals, formats and versions fit an eighth of the memory."""
        steps = len(self.sharing.plan.steps) if self.sharing is not None else 0
        each = 16 * self.classes**2 + 8 * (4 * len(self.slots) + 2 * steps + 8)
        fitting = self.memory // 8 // each
        return int(min(max(fitting, 1), AT_ONCE_WITH_OTHERS if self.others else MOST_ROWS))

    @property
    def widest(self) -> float:
        """Bytes of the widest value of one version for one sample; infinite where nobody knows."""
        if self.sharing is None:
            return float("inf")
        return max(step.sample_bytes for step in self.sharing.plan.steps)

    def judged(self, loader: Callable[[], Any], judging: Judging) -> JudgedData:
        """The data to judge on, in blocks of a size that suits the plan."""
        return JudgedData(
            loader,
            size=self.sharing.shares.block_samples if self.sharing is not None else CALIBRATION_SAMPLES,
            most=judging.samples,
            room=self.memory // 8,
            classes=self.classes,
            device=judging.device,
            names=self.inputs,
        )


def prepare(graph: Graph, space: QuantisationSpace | None, data: Data, judging: Judging) -> Prepared:
    """Plan a copy of the network, fix its formats by weights and training samples, and count its costs.

    Raises UserError for data that does not fit the network, for unknown metrics and for too little memory.
    """
    own = graph.copy()
    own.model.to(judging.device).eval()
    quality = [name for name in judging.quality if judging.found[name].source]
    memory = default_budget(judging.device) if judging.memory is None else judging.memory
    names = input_names(own)
    examples = first_block(
        _calibration_loader(data, judging),
        samples=CALIBRATION_SAMPLES,
        device=judging.device,
        names=names,
    ).inputs
    slots = fixed_slots(own) if space is None else space.slots
    plan, alone_because = _plan(own, slots, examples)
    if plan is not None:
        sharing = Sharing(plan, shares(plan, memory, judging.device))
        single: Memo | PassPerCandidate = Memo(plan, sharing.shares.memo)
        slots, classes = plan.slots, plan.classes
    else:
        sharing, single = None, PassPerCandidate(own, slots, examples)
        slots, classes = single.slots, single.classes
    return Prepared(
        graph=own,
        slots=slots,
        classes=classes,
        sharing=sharing,
        alone_because=alone_because,
        single=single,
        costs=_costs(own, slots, examples, judging.compare_to),
        memory=memory,
        inputs=names,
        others={name: torchmetrics_accumulator(name, classes, judging.options.get(name)) for name in quality},
    )


def _plan(graph: Graph, slots: Sequence[Slot], examples: Sequence[Tensor]) -> tuple[Plan | None, str]:
    """How candidates share values, or None and why they can't."""
    if graph.capture != "fx":
        return None, str(graph.capture_error)
    try:
        return make_plan(graph, slots, examples), ""
    except CannotShareError as reason:
        return None, str(reason)


def _costs(graph: Graph, slots: Sequence[Slot], examples: Sequence[Tensor], compare_to: float) -> Costs:
    one = tuple(x[:1].clone() for x in examples)  # the network may change its inputs
    nodes = [meta.cost for meta in propagate(graph, one).values() if meta.cost is not None]
    return Costs(graph, slots, nodes, compare_to)


def _calibration_loader(data: Data, judging: Judging) -> Any:
    try:
        return data.train_dataloader()
    except UserError:  # no training split: a network trained elsewhere
        return getattr(data, f"{judging.part}_dataloader")()

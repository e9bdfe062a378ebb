"""What the engine knows before the first candidate: a plan, calibrated formats, costs, shares of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts, facts_of, part
from widthwise.data.modules import Data
from widthwise.evaluators.blocks import DataBlock, first_block, input_names
from widthwise.evaluators.engine.costs import Costs
from widthwise.evaluators.engine.in_place import CannotShareError
from widthwise.evaluators.engine.memo import Memo
from widthwise.evaluators.engine.memory import MemoryShares, default_budget, shares
from widthwise.evaluators.engine.one_by_one import PassPerCandidate
from widthwise.evaluators.engine.plan import Plan
from widthwise.evaluators.engine.planner import make_plan
from widthwise.evaluators.judged import JudgedData
from widthwise.evaluators.judging import Judging
from widthwise.metrics.quality.task import Tally, Task
from widthwise.network.graph import Graph
from widthwise.network.passes.metadata import propagate
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import Slot, fixed_slots

CALIBRATION_SAMPLES = 1024
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
    memory: bytes that evaluating may take. about: what is known of the data; outputs: the shape of what the
        network gives for one sample. tally: of no candidates, from which those of batches are made.
    """

    graph: Graph
    slots: tuple[Slot, ...]
    sharing: Sharing | None
    alone_because: str
    single: Memo | PassPerCandidate
    costs: Costs
    memory: int
    inputs: tuple[str, ...]
    task: Task
    about: DataFacts
    outputs: tuple[int, ...]
    tally: Tally

    @property
    def rows_at_once(self) -> int:
        """Candidates whose figures, formats and versions fit an eighth of the memory."""
        steps = len(self.sharing.plan.steps) if self.sharing is not None else 0
        each = self.tally.row_bytes + 8 * (4 * len(self.slots) + 2 * steps + 8)
        return int(min(max(self.memory // 8 // each, 1), MOST_ROWS))

    @property
    def widest(self) -> float:
        """Bytes of the widest value of one version for one sample; infinite where nobody knows."""
        if self.sharing is None:
            return float("inf")
        return self.sharing.plan.widest

    def judged(self, loader: Callable[[], Any], judging: Judging) -> JudgedData:
        """The data to judge on, in blocks of a size that suits the plan."""
        return JudgedData(
            loader,
            size=self.sharing.shares.block_samples if self.sharing is not None else CALIBRATION_SAMPLES,
            most=judging.samples,
            room=self.memory // 8,
            check=self.check,
            device=judging.device,
            names=self.inputs,
        )

    def check(self, block: DataBlock) -> None:
        """Raises UserError for targets that the network can't be judged by."""
        self.task.check(block.targets, self.outputs, self.about)


def prepare(graph: Graph, space: QuantisationSpace | None, data: Data, judging: Judging) -> Prepared:
    """Plan a copy of the network, fix its formats by weights and training samples, and count its costs.

    Raises UserError for data that does not fit the network, for unknown metrics and for too little memory.
    """
    own = graph.copy()
    own.model.to(judging.device).eval()
    task = judging.task
    memory = default_budget(judging.device) if judging.memory is None else judging.memory
    names = input_names(own)
    examples = first_block(
        _calibration_loader(data, judging),
        samples=CALIBRATION_SAMPLES,
        device=judging.device,
        names=names,
    )
    slots = fixed_slots(own) if space is None else space.slots
    found, alone_because = _planned(own, slots, examples.inputs, task)
    sharing = None
    if found is not None:
        plan, outputs = found
        sharing = Sharing(plan, shares(plan, memory, judging.device))
        single: Memo | PassPerCandidate = Memo(plan, sharing.shares.memo)
        slots = plan.slots
    else:
        single = PassPerCandidate(own, slots, examples.inputs, task.outputs)
        slots, outputs = single.slots, single.example
    costs = _costs(own, slots, examples.inputs, judging.compare_to)
    shape, about = _shape_of_one(outputs, examples), facts_of(data)
    about = about.seen(examples.inputs[0], examples.targets)
    task.check(examples.targets, shape, about)
    return Prepared(
        graph=own,
        slots=slots,
        sharing=sharing,
        alone_because=alone_because,
        single=single,
        costs=costs,
        memory=memory,
        inputs=names,
        task=task,
        about=about,
        outputs=shape,
        tally=task.tally(0, judging.quality, about, shape, judging.options),
    )


def _planned(
    graph: Graph, slots: Sequence[Slot], examples: Sequence[Tensor], task: Task
) -> tuple[tuple[Plan, Tensor] | None, str]:
    """How candidates share values, with what the float network gives; or None and why they can't."""
    if graph.capture != "fx":
        return None, str(graph.capture_error)
    try:
        return make_plan(graph, slots, examples, task.outputs), ""
    except CannotShareError as reason:
        return None, str(reason)


def _costs(graph: Graph, slots: Sequence[Slot], examples: Sequence[Tensor], compare_to: float) -> Costs:
    one = tuple(x[:1].clone() for x in examples)  # the network may change its inputs
    nodes = [meta.cost for meta in propagate(graph, one).values() if meta.cost is not None]
    return Costs(graph, slots, nodes, compare_to)


def _calibration_loader(data: Data, judging: Judging) -> Any:
    try:
        return part(data, "train")
    except UserError:  # no training split: a network trained elsewhere
        return judging.loader(data)


def _shape_of_one(outputs: Tensor, block: DataBlock) -> tuple[int, ...]:
    """The shape of the outputs for one sample; raises UserError where they are not one row for each."""
    if outputs.ndim == 0 or len(outputs) != len(block):
        raise UserError(
            f"the network returns outputs of shape {list(outputs.shape)} for {len(block)} samples; they must "
            "be one row for each sample"
        )
    return tuple(outputs.shape[1:])

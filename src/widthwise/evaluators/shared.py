"""Evaluating formats in one network that is trained for all of them, by the engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor, nn

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_batches, hash_value, hash_weights
from widthwise.data.facts import part
from widthwise.data.modules import Data
from widthwise.evaluators.drawn import Draw
from widthwise.evaluators.engine.evaluator import Evaluator
from widthwise.evaluators.judged import JudgedData
from widthwise.evaluators.judging import Judging
from widthwise.evaluators.protocol import Hopeless, Pace, Results
from widthwise.evaluators.trained import WAYS
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.quality.follows import Follows
from widthwise.metrics.quality.sureness import Sureness
from widthwise.network.checkpoints import load_tensors
from widthwise.network.graph import Graph
from widthwise.network.passes.adaptive_rounding import is_adaptive
from widthwise.network.realised import Realised
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.settings import QuantisationSearch
from widthwise.spaces.slots import Slot, slot_choices
from widthwise.training.finetuning.kept import keep_shared, kept_shared
from widthwise.training.finetuning.settings import Finetuning
from widthwise.training.finetuning.shared import Choices, train_shared
from widthwise.training.finetuning.tuning import Tuner
from widthwise.training.settings import Settings, check_device
from widthwise.training.supernet import Sandwich

logger = logging.getLogger(__name__)


class SharedEvaluator:
    """Scores candidates of a quantisation space as schemes of one network, trained once for all of them.

    Args:
        graph, space: the trained network in float, which is learned from, and what may be chosen in it.
        data: the network is trained on its training part; candidates are judged on another.
        judging: by what. settings: how it is trained. sandwich: with which schemes in each step.

    The training begins from the network's own weights. Formats that follow weights or data are fixed anew by
    the weights that come of it. Until then, only costs that don't follow from weights are known.
    """

    def __init__(
        self,
        graph: Graph,
        space: QuantisationSpace,
        data: Data,
        judging: Judging,
        settings: Settings,
        sandwich: Sandwich | None = None,
    ) -> None:
        _check(space)
        self.graph, self.space, self.judging = graph, space, judging
        self.settings, self.sandwich = settings, sandwich or Sandwich()
        self.engine = self._float = Evaluator(graph, space, data, judging)
        self.data = self._float.data
        self.tuner = Tuner(
            graph,
            self.data,
            self._float.prepared.fitting,
            Finetuning(training=settings),
            judging.seed,
            judging.device,
        )
        self.tuner.check()
        self.weights: Mapping[str, Tensor] | None = None  # on the CPU
        self._folder: Path | None = None
        self._followed: tuple[str, ...] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics that a call gives."""
        return self.judging.columns

    @property
    def pace(self) -> Pace:
        """The engine's; in one process, as several would all train."""
        return replace(self.engine.pace, apart=False)

    @property
    def describe(self) -> str:
        """How candidates get their weights, and how they are evaluated."""
        training = self.settings
        length = f"{training.epochs} epochs" if training.steps is None else f"{training.steps:,} steps"
        return f"{WAYS['supernet']}, {length}; {self.engine.describe}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the figures should know."""
        return self.engine.notes

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The formats that each tensor may have, calibrated by the weights that there are so far."""
        return self.engine.slots

    @property
    def judged(self) -> JudgedData:
        """The data to judge on."""
        return self.engine.judged

    def keep_in(self, folder: Path) -> None:
        """From now on, keep the weights in a run's folder, and take those that it keeps."""
        self._folder = folder
        self.engine.keep_in(folder)

    def train(self) -> None:
        """Trains the network, or takes the weights that are kept; nothing where it has them already.

        Raises UserError where the training diverges.
        """
        if self.weights is not None:
            return
        kept = None if self._folder is None else kept_shared(self._folder, self._mark)
        weights = self._trained() if kept is None else kept
        made = self._float.prepared.graph.copy()
        load_tensors(made.model, weights, source="the shared network")
        made.model.eval()
        self.engine = Evaluator(made, self.space, self.data, self.judging)
        self.weights = weights
        if self._followed is not None:
            self.engine.follows(self._followed)
        if self._folder is not None:
            self.engine.keep_in(self._folder)
            if kept is None:
                keep_shared(self._folder, self._mark, weights)

    def shared(self) -> Graph:
        """The network in float with the weights that all candidates have."""
        self.train()
        return self.engine.prepared.graph

    def shared_mark(self) -> str:
        """A hash of its weights."""
        return hash_weights(self.shared().model)

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], in their order; those that fail do so alone, with the reason."""
        self.train()
        return self.engine(candidates)

    def evaluate_pruning(self, candidates: IntArray, *, hopeless: Hopeless | None = None) -> Results:
        """As a call, but `hopeless` is asked along the way which candidates to stop."""
        self.train()
        return self.engine.evaluate_pruning(candidates, hopeless=hopeless)

    def costs(self, candidates: IntArray) -> Mapping[str, FloatArray]:
        """The costs [K] of candidates [K, D], exactly; before the training those that no weight changes."""
        if self.weights is not None:
            return self.engine.costs(candidates)
        costs, known = self._float.prepared.costs, self._known_before
        return costs(known, slot_choices(self._float.slots, candidates)) if known else {}

    def follows(self, metrics: Sequence[str]) -> list[Follows | None]:
        """Of each metric how it follows from what `margins` tells from now on; None where it doesn't."""
        self._followed = tuple(metrics)
        return self.engine.follows(metrics)

    def margins(self, candidates: IntArray) -> FloatArray:
        """What candidates [K, D] contribute of each of up to 1,024 samples, [K, S], as the engine has it."""
        self.train()
        return self.engine.margins(candidates)

    def few_margins(self, candidates: IntArray) -> tuple[FloatArray, IntArray]:
        """The same of a part of the samples, and which of the values these are."""
        self.train()
        return self.engine.few_margins(candidates)

    def network(self, candidate: IntArray) -> Graph:
        """The graph of one candidate [D]: exactly what was evaluated."""
        self.train()
        return self.engine.network(candidate)

    def realise(self, candidate: IntArray) -> Realised:
        """All that makes the network of one candidate [D] again, with the weights that all share."""
        self.train()
        return replace(self.engine.realise(candidate), weights=self.weights)

    at_hand = realise

    @property
    def sureness_of(self) -> int:
        """Of how many candidates it can be said how sure they are: outputs have to fit."""
        return self.engine.sureness_of

    def sureness(
        self,
        candidates: IntArray,
        networks: Callable[[int], nn.Module] | None = None,
        *,
        with_float: bool = False,
    ) -> Sureness:
        """How sure the qualities of candidates [K, D] are.

        with_float: and then of the network as it was given, as row K.
        """
        self.train()
        if not with_float:
            return self.engine.sureness(candidates, networks)
        outputs, targets = self.engine.outputs(candidates)
        outputs += self._float.float_outputs()
        return self.judging.sureness(self.data, self._float.prepared.about, outputs, targets)

    @cached_property
    def _known_before(self) -> tuple[Metric, ...]:
        return self._float.prepared.costs.without_weights(self.judging.cost)

    def _trained(self) -> Mapping[str, Tensor]:
        """The weights that the training comes to."""
        prepared = self._float.prepared
        choices = Choices(
            [(slot.layer, slot.tensor) for slot in prepared.slots],
            lambda graph: [slot.formats for slot in prepared.calibrated(graph)],
            Draw.of(self.space, prepared.slots, self.judging.seed, self.sandwich.random),
        )
        try:
            found = train_shared(self.tuner, prepared.graph, choices)
        except UserError as error:
            raise UserError(f"the network that all candidates share: {error}") from error
        for note in found.notes:
            logger.warning("%s", note)
        state = found.graph.model.state_dict()
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    @cached_property
    def _mark(self) -> str:
        """Of all that the training follows from but torch's version: trials were judged by what is kept."""
        slots = [(slot.layer, slot.tensor, *map(repr, slot.formats)) for slot in self._float.prepared.written]
        decisions = [asdict(decision) for decision in self.space.decisions]
        data = hash_batches(part(self.data, "train"))
        how = [asdict(self.settings), asdict(self.sandwich), self.judging.seed]
        return hash_value([hash_weights(self.graph.model), data, slots, decisions, how])


def for_space(
    graph: Graph, space: QuantisationSpace, data: Data, settings: QuantisationSearch, judging: Judging
) -> Evaluator | SharedEvaluator:
    """The evaluator of a search of formats; UserError where a shared network can't be trained so."""
    if settings.training is None:
        return Evaluator(graph, space, data, judging)
    check_device(judging.device, settings.training)
    return SharedEvaluator(graph, space, data, judging, settings.training)


def _check(space: QuantisationSpace) -> None:
    """Raises UserError for formats that are found for weights as they are, which training moves."""
    for slot in space.slots:
        if any(map(is_adaptive, slot.formats)):
            raise UserError(
                f'{slot.layer}: rounding = "adaptive" is found for weights that stay, and a shared '
                'network is trained; leave one of the two out (weights = "supernet" in the setup)'
            )

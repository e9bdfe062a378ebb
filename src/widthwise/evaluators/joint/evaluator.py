"""Evaluating a joint space: candidates taken apart by their widths, the engine on each of the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import nn

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.data.modules import Data
from widthwise.evaluators.engine.evaluator import Evaluator
from widthwise.evaluators.engine.memory import LEAST_BUDGET, default_budget
from widthwise.evaluators.joint.costs import JointCosts
from widthwise.evaluators.joint.networks import Networks, Sizes
from widthwise.evaluators.judging import Judging
from widthwise.evaluators.networks import outputs_that_fit, predicted
from widthwise.evaluators.protocol import Pace, Results
from widthwise.evaluators.realising import Realiser
from widthwise.evaluators.trained import WAYS
from widthwise.metrics.quality.follows import Follows
from widthwise.metrics.quality.sureness import Sureness
from widthwise.metrics.table_file import TableFile
from widthwise.network.calling import positional
from widthwise.network.graph import Graph
from widthwise.network.passes.equalise import made_ready
from widthwise.network.realised import Realised
from widthwise.network.undisturbed import copied
from widthwise.network.widths.unit_scores import Importance
from widthwise.spaces.joint import JointSpace
from widthwise.spaces.settings import JointSearch
from widthwise.spaces.slots import Slot, schemes, slot_choices
from widthwise.training import Settings
from widthwise.training.losses import check_loss
from widthwise.training.settings import check_device
from widthwise.training.sources import Mode, Widths, network_source

BATCH = 16  # candidates that are stored together, where the network of each may have to be trained
READ_OFF = 64  # and where it is a slice of one that is trained
SHARE = 4  # part of the memory that one network's engine may take


class JointEvaluator:
    """Scores candidates of a joint space: for each set of widths one network, for all its formats one engine.

    Args:
        graph: the network, its batch norms folded where formats are to reach them; space: what may be chosen.
        data: networks of other widths are trained on its training part, and judged on another.
        judging: by what candidates are judged.
        mode, settings, importance: where the weights of other widths come from, as `WidthEvaluator` has them.

    A network is trained in float once for all its formats; its figures are then those that the engine gives
    for it alone. Where the training of a width diverges, its candidates fail, with the epoch and the loss.
    """

    def __init__(
        self,
        graph: Graph,
        space: JointSpace,
        data: Data,
        judging: Judging,
        *,
        mode: Mode = "inherit",
        settings: Settings | None = None,
        importance: Importance = "magnitude",
    ) -> None:
        _check_costs(judging)
        self.graph, self.space, self.judging = graph, space, judging
        self.mode, self.settings = mode, settings or Settings()
        self.as_given = Evaluator(graph, space.formats, data, judging)
        self.data, self.fitting = self.as_given.data, self.as_given.prepared.fitting
        floats, sizes = graph.unfolded or graph, space.widths
        self.source = network_source(
            mode,
            floats,
            sizes.groups,
            self.data,
            self.settings,
            Widths(sizes.smallest, sizes.largest, lambda rng: sizes.sizes(sizes.sample(1, rng)[0])),
            task=judging.task,
            output=judging.output,
            importance=importance,
            device=judging.device,
        )
        check_loss(judging.task, self.settings)
        self.networks = Networks(self._made, self._engine)
        self._followed: tuple[str, ...] | None = None
        block, whole = self.fitting.block, bool(self.fitting.reader.whole_because)
        self.cost_model = JointCosts(
            graph,
            space,
            self.as_given.prepared.costs,
            positional(floats.network, block.inputs),
            samples=len(block) if whole else None,
        )
        self._known = self.cost_model.known(judging.cost)

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics that a call gives."""
        return self.judging.columns

    @property
    def pace(self) -> Pace:
        """A candidate takes long where its network is trained; then few are stored together."""
        trains = self.mode != "supernet"
        engine = self.as_given.pace.affordable
        return Pace(trains=trains, affordable=min(engine, BATCH if trains else READ_OFF))

    @property
    def describe(self) -> str:
        """How candidates are evaluated, and where their weights come from."""
        training = self.settings
        length = f"{training.epochs} epochs" if training.steps is None else f"{training.steps:,} steps"
        way = WAYS[self.mode].replace("each candidate", "each set of widths").replace("candidates", "widths")
        return "; ".join((f"{way}, {length}; its formats together", *self.fitting.reader.notes))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the figures should know."""
        return self.as_given.notes

    @property
    def slots_as_given(self) -> tuple[Slot, ...]:
        """The formats that tensors of the network as it is may have, calibrated, with the space's columns."""
        return tuple(
            replace(own, columns=slot.columns)
            for own, slot in zip(self.as_given.slots, self.space.slots, strict=True)
        )

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], in their order; those whose network can't be had fail alone."""
        columns = {name: np.full(len(candidates), np.nan) for name in self.columns}
        failures: dict[int, str] = {}
        for sizes, rows, formats in self._by_widths(candidates):
            try:
                found = self.networks.engine(sizes)(formats)
            except UserError as error:
                failures |= dict.fromkeys(rows.tolist(), str(error))
                continue
            for name in self.columns:
                columns[name][rows] = found[name]
            failures |= {int(rows[row]): reason for row, reason in found.failures.items()}
        return Results({**columns, **self.costs(candidates)}, dict(sorted(failures.items())))

    def costs(self, candidates: IntArray) -> dict[str, FloatArray]:
        """The costs [K] of candidates [K, D] that don't follow from weights, exactly and without training."""
        return self.cost_model(self._known, candidates)

    def follows(self, metrics: Sequence[str]) -> list[Follows | None]:
        """Of each metric how it follows from what `margins` tells from now on; None where it doesn't."""
        self._followed = tuple(metrics)
        return self.as_given.follows(metrics)

    def margins(self, candidates: IntArray) -> FloatArray:
        """What candidates [K, D] contribute of each of up to 1,024 samples, [K, S], as the engine has it."""
        found: FloatArray | None = None
        for sizes, rows, formats in self._by_widths(candidates):
            try:
                engine = self.networks.engine(sizes)
            except UserError:
                continue
            if self._followed is not None:
                engine.follows(self._followed)
            values = engine.margins(formats)
            if found is None:
                found = np.full((len(candidates), values.shape[1]), np.nan, dtype=values.dtype)
            found[rows] = values
        return np.full((len(candidates), 1), np.nan, dtype=np.float32) if found is None else found

    def network(self, candidate: ArrayLike) -> Graph:
        """The graph of one candidate [D]: exactly what was evaluated."""
        sizes, formats = self._one(candidate)
        return self.networks.engine(sizes).network(formats[0])

    def at_hand(self, candidate: IntArray) -> Realised | None:
        """All that makes the network of a candidate [D] again, where its width was made of late."""
        return self.realise(candidate) if self._one(candidate)[0] in self.networks else None

    def realise(self, candidate: IntArray) -> Realised:
        """The same, its width trained again where it is not at hand; UserError where that fails."""
        sizes, formats = self._one(candidate)
        engine = self.networks.engine(sizes)
        results = engine(formats)
        if results.failures:
            raise UserError(results.failures[0])
        quality = {name: float(results[name][0]) for name in self.judging.quality}
        own = schemes(engine.slots, slot_choices(engine.slots, formats)[0])
        graph = engine.prepared.graph.quantized(own)
        return self._realiser.of_formats_and_weights(candidate, graph, own, quality, dict(sizes))

    def _by_widths(self, candidates: IntArray) -> Iterator[tuple[Sizes, IntArray, IntArray]]:
        """Each set of widths among candidates [K, D], in their order: sizes, rows, formats [k, F].

        Those whose network is at hand come first, so that none is made again for want of room.
        """
        widths, formats = self.space.apart(candidates)
        _, first, which = np.unique(widths, axis=0, return_index=True, return_inverse=True)
        sets = [(_key(self.space.widths.sizes(widths[row])), number) for number, row in enumerate(first)]
        order = sorted(sets, key=lambda each: (each[0] not in self.networks, first[each[1]]))
        for sizes, number in order:
            rows = np.flatnonzero(which.reshape(-1) == number)
            yield sizes, rows, formats[rows]

    def _one(self, candidate: ArrayLike) -> tuple[Sizes, IntArray]:
        """The sizes of a candidate [D], and its formats [1, F]."""
        widths, formats = self.space.apart(np.asarray(candidate, dtype=np.int64)[None])
        return _key(self.space.widths.sizes(widths[0])), formats

    def _made(self, sizes: Mapping[str, int]) -> Graph:
        """The network of these sizes in float, as formats are searched in it."""
        made = self.source.network(sizes, self.judging.seed)
        made.model.eval()
        return made_ready(made, folded=bool(self.graph.folded), equalised=bool(self.graph.equalised))

    def _engine(self, graph: Graph) -> Evaluator:
        judging = self.judging
        memory = default_budget(judging.device) if judging.memory is None else judging.memory
        own = replace(judging, memory=max(memory // SHARE, LEAST_BUDGET))
        return Evaluator(graph, self.space.formats_of(graph), self.data, own)

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
        """How sure the qualities of candidates [K, D] are; networks: those that were judged, by row, asked
        for where a width would have to be trained again.

        with_float: and then of the network as it was given, as row K.
        """
        found = []
        for row, candidate in enumerate(candidates):
            sizes, formats = self._one(candidate)
            if self.mode == "supernet" or sizes in self.networks:
                (outputs,), targets = self.networks.engine(sizes).outputs(formats)
                found.append((outputs, targets))
            else:
                found.append(predicted(networks(row), self.data, self.fitting, self.judging))
        if with_float:
            (floats,) = copied(self.graph.network)
            found.append(predicted(floats, self.data, self.fitting, self.judging))
        return self.judging.sureness(self.data, self.fitting.about, [one for one, _ in found], found[0][1])


def _key(sizes: dict[str, int]) -> Sizes:
    return tuple(sizes.items())


def _check_costs(judging: Judging) -> None:
    for metric in judging.cost:
        if isinstance(metric.source, TableFile):
            raise UserError(
                f"metric {metric.name}: costs from a table are for searches of formats or of channels alone, "
                "as its rows are of one of them; leave it out, or take bops, ebops or model_size"
            )


def for_space(
    graph: Graph, space: JointSpace, data: Data, settings: JointSearch, judging: Judging
) -> JointEvaluator:
    """The evaluator of a joint search; UserError where its training needs another device."""
    check_device(judging.device, settings.widths.training)
    return JointEvaluator(
        graph,
        space,
        data,
        judging,
        mode=settings.widths.weights,
        settings=settings.widths.training,
        importance=settings.widths.importance,
    )

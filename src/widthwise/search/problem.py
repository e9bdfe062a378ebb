"""Problems: from a config to all parts of a search."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.config import SearchConfig, load_config
from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import load_object
from widthwise.core.steps import step
from widthwise.data.modules import Data
from widthwise.evaluators.called import evaluator_of
from widthwise.evaluators.judging import Judging
from widthwise.evaluators.protocol import Evaluate, Evaluator, Realises, SharesWeights
from widthwise.evaluators.realising import in_float
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.measurer import Measurer, measurer_of
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.outputs import Output
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.realised import Realised
from widthwise.search.batches import batch_size
from widthwise.search.bounds import within_bounds
from widthwise.search.dataset import load_dataset, source_of, with_data
from widthwise.search.judged_by import judging_of, named_metrics
from widthwise.search.proposing import proposer
from widthwise.search.target import Target, within_target
from widthwise.search.untrained import is_untrained, made_by_name
from widthwise.spaces.kinds import Prepares, SpaceKind, kind_of
from widthwise.spaces.space import Space
from widthwise.spaces.within import Within
from widthwise.strategies import Strategy, strategy_source
from widthwise.study.realised import kept_network
from widthwise.study.run_files import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from optuna.samplers import BaseSampler
    from torch import nn


@dataclass(frozen=True, eq=False)
class Problem:
    """All that a search needs: the network, its data, what may be chosen, and how candidates are judged.

    output: what is judged of what the network returns. base: what makes the float network again.
    network: in float, with the weights that are searched. own_network, own_evaluator: whether it was given,
    and not made from the config. sampler: one of Optuna's, in place of the config's strategy. target: the
    form that it keeps within.
    """

    config: SearchConfig
    data: Data
    network: nn.Module
    graph: Graph
    kind: SpaceKind
    space: Space
    judging: Judging
    evaluator: Evaluator
    aim: Aim
    output: Output
    base: Realised
    own_network: bool = False
    own_evaluator: bool = False
    sampler: BaseSampler | None = None
    target: Target | None = None

    @cached_property
    def named(self) -> bool:
        """Whether the name in the config makes the network that is searched, which can be had by it again.

        One that was given may have been changed: its class and all its layers are compared.
        """
        if not self.own_network:
            return True
        made = made_by_name(self.config)
        return type(made) is type(self.network) and layers_as_text(made) == layers_as_text(self.network)

    @cached_property
    def untrained(self) -> bool:
        """Whether the network has the random weights that it is made with."""
        return is_untrained(self.config, self.network)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all that is known of a candidate: what the evaluator gives, and what is measured."""
        return (*self.evaluator.columns, *(metric.name for metric in self._measured))

    @property
    def _measured(self) -> tuple[Metric, ...]:
        given = self.evaluator.columns
        return tuple(
            metric
            for metric in self.judging.metrics
            if metric.kind == "measured" and metric.source and metric.name not in given
        )

    @cached_property
    def measurer(self) -> tuple[Measurer, tuple[str, ...]] | None:
        """What measures candidates, and the metrics that it gives; None where nothing is measured.

        Raises UserError where candidates can't be measured.
        """
        timing = self.config.search.timing
        return measurer_of(self._measured, self.network, self.graph, self.base, self.evaluator, timing)

    @property
    def strategy_name(self) -> str:
        """What proposes the candidates."""
        if self.sampler is not None:
            return type(self.sampler).__name__
        return self.config.search.strategy.name

    @property
    def strategy_options(self) -> dict[str, Any]:
        """What the config sets of the strategy."""
        return {} if self.sampler is not None else dict(self.config.search.strategy.options)

    @property
    def numbered(self) -> bool:
        """Whether each proposal is drawn by generators of its own, since the version that began with that."""
        return self.sampler is None and strategy_source(self.strategy_name).numbered

    @property
    def is_enumerated(self) -> bool:
        """Whether the strategy goes through candidates without learning."""
        return self.sampler is None and not strategy_source(self.strategy_name).learns

    def strategy(self) -> Strategy:
        """The strategy of the config, fresh; or the sampler as it is."""
        return proposer(
            self.strategy_name if self.sampler is None else self.sampler,
            self.space,
            self.aim,
            self.evaluator,
            seed=self.config.seed,
            options=self.strategy_options,
            uniform_first=self.config.search.uniform_first,
        )

    def batch_size_with(self, *, prune: bool = False, workers: int = 0, natural: int = 1) -> int:
        """Candidates of a batch, for so many workers, and a strategy whose natural batch is so great."""
        pace, enumerated = self.evaluator.pace, self.is_enumerated
        return batch_size(
            pace, self.space.size, enumerated=enumerated, natural=natural, prune=prune, workers=workers
        )

    def within(self) -> Within | None:
        """The candidates that break no constraint by their costs alone, and that the target can write; None
        where all do."""
        constraints = self.config.search.constraints
        return within_bounds(self.space, constraints, self.evaluator, self.target)

    @property
    def in_float(self) -> Graph:
        """The network in float with the weights that candidates have: given, or trained for all of them."""
        return self.evaluator.shared() if isinstance(self.evaluator, SharesWeights) else self.graph

    def trained(self, folder: Path | None = None) -> Problem:
        """The problem once what all candidates share is trained, or read from a run's folder that keeps it.

        Else the problem as it is. Raises UserError where the training diverges.
        """
        if not isinstance(self.evaluator, SharesWeights):
            return self
        if folder is not None:
            self.evaluator.keep_in(folder)
        self.evaluator.train()
        if self.target is None:
            return self
        # formats follow the weights, and which can be written follows formats
        _, _, target = within_target(self.target.name, self.graph, self.space, self.evaluator, None)
        return replace(self, target=replace(target, notes=self.target.notes))

    def network_of(self, candidate: ArrayLike) -> Graph:
        """The network of a candidate [D] as it was judged; UserError where the evaluator can't give it."""
        if not isinstance(self.evaluator, Realises):
            raise UserError("the evaluator was given from Python and gives no networks of its candidates")
        realised = self.evaluator.realise(np.asarray(candidate, dtype=np.int64))
        return realised.graph(self.network)


def load_problem(
    config: SearchConfig,
    *,
    model: nn.Module | None = None,
    data: Data | None = None,
    memory: int | None = None,
    evaluator: Evaluate | Evaluator | None = None,
) -> Problem:
    """All parts of a search; `model`, `data` and `evaluator` take the place of those that the config names.

    memory: bytes that evaluating may take. Raises UserError for what does not fit together.
    """
    network = _network(config, model)
    step("reading the data")
    found = data if data is not None else load_dataset(config, network)
    part = config.search.evaluation.part
    fitting = check_data_fits_model(network, found, config.task, config.output, name=part)
    judging = judging_of(config, fitting.task, memory=memory)
    config = with_data(config, found)
    if config.task is None:
        config = replace(config, task=fitting.task.name)
    step("capturing the network")
    graph, search = Graph(network, fitting.example), config.search
    aim, kind = Aim(search.objectives, search.summed, search.direction), kind_of(search.space)
    if isinstance(kind, Prepares):
        graph = kind.network(graph, search.space)
    space, judge, target = _judged(config, kind, graph, found, judging, evaluator)
    problem = Problem(
        config,
        found,
        network,
        graph,
        kind,
        space,
        judging,
        judge,
        aim,
        fitting.output,
        base=in_float(graph, fitting),
        own_network=model is not None,
        own_evaluator=evaluator is not None,
        target=target,
    )
    for metric in named_metrics(config):
        if metric.name not in problem.columns:
            raise unknown("metric", metric.name, problem.columns, where="what the evaluator gives")
    return problem


def _network(config: SearchConfig, model: nn.Module | None) -> nn.Module:
    """The network that is searched: the one that was given, or the config's with its checkpoint."""
    if model is not None:
        return load_model(model, seed=config.seed)
    network = load_model(source_of(config, "model"), seed=config.seed)
    return network if config.load_name is None else load_model(network, checkpoint=config.load_name)


def _judged(
    config: SearchConfig,
    kind: SpaceKind,
    graph: Graph,
    data: Data,
    judging: Judging,
    evaluator: Evaluate | Evaluator | None,
) -> tuple[Space, Evaluator, Target | None]:
    """What may be chosen within the target, and what judges it: what was given, or the kind's evaluator."""
    search = config.search
    space = kind.space(graph, data, search.space)

    def judged(space: Space) -> Evaluator:
        make = load_object(kind.evaluator, what="evaluator")
        made: Evaluator = make(graph, space, data, search.space, judging)
        return made

    if evaluator is None:
        judge = judged(space)
    else:
        judge = evaluator_of(evaluator, [metric.name for metric in named_metrics(config)])
    if search.target is None:
        return space, judge, None
    return within_target(search.target, graph, space, judge, judged if evaluator is None else None)


def problem_of_run(path: str | Path, *, memory: int | None = None) -> Problem:
    """The parts of the search that a run folder holds, its network with the weights that were searched.

    Raises UserError where the config names no network, and the run doesn't keep the one that was given.
    """
    folder = Path(path).expanduser()
    config = load_config(folder / CONFIG)
    network = kept_network(folder)  # a run keeps it where no name makes it again
    if network is None and (folder / WEIGHTS).is_file():
        network = load_model(source_of(config, "model"), checkpoint=folder / WEIGHTS, seed=config.seed)
    return load_problem(config, model=network, memory=memory).trained(folder)


def layers_as_text(network: nn.Module) -> str:
    """All layers of a network with their settings, the same in every process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(network))  # where functions lie in memory

"""Problems: from a config to all parts of a search."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from widthwise.config import SearchConfig, load_config
from widthwise.config.write import toml_of
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_batches, hash_value, hash_weights
from widthwise.data.facts import facts_of, part
from widthwise.data.modules import Data, load_data
from widthwise.evaluators.engine import Evaluator, evaluate
from widthwise.evaluators.trained import WidthEvaluator
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.task import Task
from widthwise.metrics.quality.tasks import CLASSIFICATION, metric_of, task_of
from widthwise.metrics.spread import spread_of
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.search.answers import teach_answers
from widthwise.search.bounds import within_bounds
from widthwise.search.untrained import is_untrained
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.settings import QuantisationSearch
from widthwise.spaces.width_rules import width_space
from widthwise.spaces.within import Within
from widthwise.strategies import Strategy, strategy, strategy_source
from widthwise.study.fingerprint import fingerprint
from widthwise.study.run_files import CONFIG, WEIGHTS
from widthwise.study.store import StudyRecord, StudySettings
from widthwise.training.settings import check_device

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from torch import nn

    from widthwise.spaces.width import WidthSpace

ALWAYS = ("average_bitwidth", "memory_density", "model_size")  # costs, beside the task's figures
ALWAYS_OF_WIDTHS = ("parameters", "macs")
BATCH_FLOPS = 2e11  # what evaluating one batch may take before it is stored: a few seconds
PRUNING_BATCH = 64  # candidates, or this part of the space, where they are pruned by the batches before
PRUNING_PART = 32
TRAINED_EACH = 4  # candidates that each of several workers trains in a batch


@dataclass(frozen=True, eq=False)
class Problem:
    """All that a search needs: the network, its data, what may be chosen, and how candidates are judged."""

    config: SearchConfig
    data: Data
    network: nn.Module  # in float, with the weights that are searched
    graph: Graph
    space: QuantisationSpace | WidthSpace
    evaluator: Evaluator | WidthEvaluator
    metrics: tuple[Metric, ...]
    aim: Aim
    task: Task
    memory: int | None = None  # bytes that evaluating may take
    sampler: BaseSampler | None = None  # of Optuna, in place of the config's strategy

    @property
    def strategy_name(self) -> str:
        """What proposes the candidates."""
        if self.sampler is not None:
            return type(self.sampler).__name__
        return self.config.search.strategy.name

    @property
    def _strategy_options(self) -> dict[str, Any]:
        return {} if self.sampler is not None else dict(self.config.search.strategy.options)

    @property
    def trains(self) -> bool:
        """Whether each candidate is trained, and so takes long."""
        return isinstance(self.evaluator, WidthEvaluator)

    @property
    def stored_metrics(self) -> tuple[Metric, ...]:
        """Those of a trial: all that the evaluator gives, spreads over several seeds included."""
        judge, known = self.evaluator, {metric.name: metric for metric in self.metrics}
        spreads = judge.quality if isinstance(judge, WidthEvaluator) and judge.repeats > 1 else ()
        columns = (known[name] for name in (*judge.quality, *judge.cost))
        return (*columns, *(spread_of(known[name]) for name in spreads))

    @property
    def batch_size(self) -> int | None:
        """Candidates of a batch where it only says how often is stored; None: as the strategy likes."""
        if isinstance(self.evaluator, WidthEvaluator):
            settings, halving = self.evaluator.settings, self.evaluator.halving
            together = halving.together(settings.steps or settings.epochs) if halving is not None else 1
            return min(together, self.space.size)
        return self._affordable if self._is_enumerated else None

    def batch_size_with(self, *, prune: bool = False, workers: int = 0, natural: int = 1) -> int:
        """Candidates of a batch, for so many workers, and a strategy whose natural batch is so great.

        Candidates are pruned by the front of the batches before, so these are short. Workers wait for the
        last of them at the end of each batch, so each gets several candidates where that changes no proposal.
        """
        usual = self.batch_size
        if prune:
            return min(usual or natural, max(PRUNING_BATCH, self.space.size // PRUNING_PART))
        if not workers:
            return usual if usual is not None else min(natural, self._affordable)
        each = TRAINED_EACH if self.trains and self._is_enumerated else 1
        if usual is not None:
            return workers * each * usual
        return max(workers, min(natural, workers * self._affordable))

    @property
    def _affordable(self) -> int:
        """Candidates that take a few seconds at most: budgets of time are looked at between batches."""
        judge = self.evaluator
        return 1 if isinstance(judge, WidthEvaluator) else judge.affordable(BATCH_FLOPS)

    @property
    def _is_enumerated(self) -> bool:
        return self.sampler is None and not strategy_source(self.strategy_name).learns

    def strategy(self) -> Strategy:
        """The strategy of the config, fresh; or the sampler as it is."""
        made = strategy(
            self.strategy_name if self.sampler is None else self.sampler,
            self.space,
            objectives=self.aim.directions,
            seed=self.config.seed,
            options=self._strategy_options,
            costs=self.costs,
        )
        teach_answers(made, self.aim, self.evaluator)
        return made

    def within(self) -> Within | None:
        """The candidates that break no constraint by their costs alone; None where no cost is bounded."""
        return within_bounds(self.space, self.config.search.constraints, self.evaluator)

    def costs(self, candidates: IntArray) -> FloatArray:
        """What is known of candidates [K, D] without evaluating: values to be maximised, NaN elsewhere."""
        return self.aim.known(self.evaluator.costs(candidates), len(candidates))

    def float_metrics(self) -> dict[str, float]:
        """The metrics of the network as it is, to compare with."""
        search = self.config.search.evaluation
        return evaluate(
            self.graph,
            self.data,
            metrics=[metric.name for metric in self.metrics],
            loader=search.part,
            samples=search.samples,
            compare_to=search.compare_to,
            device=device_of(self.config),
            task=self.task,
        )

    def record(self, name: str) -> StudyRecord:
        """What the store keeps of this search beside its trials."""
        config, search = self.config, self.config.search
        task = {} if self.task.name == CLASSIFICATION else {"task": self.task.name}
        marks = fingerprint(
            space=self.space,
            aim=self.aim,
            metrics=[metric.name for metric in self.stored_metrics],
            strategy=self.strategy_name,
            seed=config.seed,
            options=self._strategy_options,
            weights=hash_weights(self.graph.model),
            data=hash_batches(part(self.data, search.evaluation.part)),
            evaluation=asdict(search.evaluation),
            candidates=hash_value(asdict(search.space)),
            constraints=", ".join(map(str, search.constraints)) or "none",
            **task,
        )
        settings = StudySettings(
            aim=self.aim,
            constraints=search.constraints,
            float_metrics=self.float_metrics(),
            data=facts_of(self.data).note,
            model=config.model or type(self.graph.model).__name__,
            strategy=self.strategy_name,
            untrained=is_untrained(config, self.network),
            repeats=self.evaluator.repeats if isinstance(self.evaluator, WidthEvaluator) else 1,
        )
        return StudyRecord(
            name=name,
            space=self.space,
            metrics=self.stored_metrics,
            settings=settings,
            fingerprint=marks,
            config=toml_of(config),
        )


def load_problem(
    config: SearchConfig,
    *,
    model: nn.Module | None = None,
    data: Data | None = None,
    memory: int | None = None,
) -> Problem:
    """All parts of a search; `model` and `data` take the place of those that the config names.

    memory: bytes that evaluating may take. Raises UserError for what does not fit together.
    """
    network = load_model(model if model is not None else _named(config, "model"), seed=config.seed)
    if model is None and config.load_name is not None:
        network = load_model(network, checkpoint=config.load_name)
    found = data if data is not None else load_dataset(config)
    task = task_of(config.task)
    check_data_fits_model(network, found, task)
    graph = Graph(network)
    search = config.search
    aim = Aim(search.objectives, search.summed, search.direction)
    widths = not isinstance(search.space, QuantisationSearch)
    wanted = [*(objective.metric for objective in search.objectives), *(b.metric for b in search.constraints)]
    always = [metric_of(task, name) for name in (*task.better, *(ALWAYS_OF_WIDTHS if widths else ALWAYS))]
    metrics = tuple({metric.name: metric for metric in (*wanted, *always)}.values())
    build = _width_parts if widths else _quantisation_parts
    space, evaluator = build(config, graph, found, metrics, memory, task)
    return Problem(config, found, network, graph, space, evaluator, metrics, aim, task, memory)


def problem_of_run(path: str | Path, *, memory: int | None = None) -> Problem:
    """The parts of the search that a run folder holds, its network with the weights that were searched.

    Raises UserError where the config names no network, as one that was given from Python has no name.
    """
    folder = Path(path).expanduser()
    config = load_config(folder / CONFIG)
    if not (folder / WEIGHTS).is_file():
        return load_problem(config, memory=memory)
    network = load_model(_named(config, "model"), checkpoint=folder / WEIGHTS, seed=config.seed)
    return load_problem(config, model=network, memory=memory)


def load_dataset(config: SearchConfig) -> Data:
    """The data that a config names, split and batched as it says."""
    options = asdict(config.data)
    return load_data(_named(config, "dataset"), batch_size=config.batch_size, seed=config.seed, **options)


def device_of(config: SearchConfig) -> str:
    """The device for the config's accelerator: the GPU where one is asked for and there is one."""
    return "cuda" if config.accelerator in ("gpu", "auto") and torch.cuda.is_available() else "cpu"


def _quantisation_parts(
    config: SearchConfig,
    graph: Graph,
    data: Data,
    metrics: tuple[Metric, ...],
    memory: int | None,
    task: Task,
) -> tuple[QuantisationSpace, Evaluator]:
    search = config.search
    assert isinstance(search.space, QuantisationSearch)
    space = QuantisationSpace.from_config(graph, search.space)
    evaluator = Evaluator(
        graph,
        space,
        data,
        metrics=[metric.name for metric in metrics],
        loader=search.evaluation.part,
        samples=search.evaluation.samples,
        compare_to=search.evaluation.compare_to,
        device=device_of(config),
        memory=memory,
        task=task,
    )
    return space, evaluator


def _width_parts(
    config: SearchConfig,
    graph: Graph,
    data: Data,
    metrics: tuple[Metric, ...],
    memory: int | None,
    task: Task,
) -> tuple[WidthSpace, WidthEvaluator]:
    del memory  # candidates are trained one at a time
    search = config.search
    assert not isinstance(search.space, QuantisationSearch)
    check_device(device_of(config), search.space.training)
    space = width_space(graph, search.space, example=data)
    evaluator = WidthEvaluator(
        graph,
        space,
        data,
        metrics=[metric.name for metric in metrics],
        mode=search.space.weights,
        settings=search.space.training,
        repeats=search.space.repeats,
        importance=search.space.importance,
        halving=search.space.halving,
        objectives=[objective.name for objective in search.objectives],
        loader=search.evaluation.part,
        samples=search.evaluation.samples,
        device=device_of(config),
        seed=config.seed,
        compare_to=search.evaluation.compare_to,
        task=task,
    )
    return space, evaluator


def _named(config: SearchConfig, key: str) -> str:
    name: str | None = getattr(config, key)
    if name is None:
        raise UserError(f"{config.source}: {key}: is missing; set it in the config or give --{key}")
    return name

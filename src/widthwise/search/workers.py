"""The evaluator of a search on workers: each makes the same problem from the config and the weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from widthwise.config.write import toml_of
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_batches, hash_value, hash_weights
from widthwise.core.threads import cores
from widthwise.data import facts
from widthwise.evaluators.protocol import Evaluate, Evaluator, Realises
from widthwise.evaluators.workers.evaluator import ParallelEvaluator
from widthwise.evaluators.workers.processes import ProcessWorkers
from widthwise.evaluators.workers.worker import Build

if TYPE_CHECKING:
    from widthwise.config import SearchConfig
    from widthwise.evaluators.workers.workers import Workers
    from widthwise.search.problem import Problem

logger = logging.getLogger(__name__)

NAMED = {"model": "network", "dataset": "data"}


BuildOf = Callable[[int | None], Build]
"""What workers need, where so many share this machine's memory; None: each has a machine's."""


@runtime_checkable
class KnowsCosts(Protocol):
    """An evaluator that can leave its costs to the driver, where they take long to find."""

    def without_costs(self) -> Evaluate:
        """The same, which gives qualities alone."""
        ...


@contextmanager
def judge_of(
    problem: Problem,
    *,
    ray: str | None = None,
    gpus: float | None = None,
    trial_timeout: float | None = None,
    prune: bool = False,
) -> Iterator[tuple[Evaluator, int]]:
    """The problem's evaluator, and how many workers it has: its own (0), or processes, or actors of Ray.

    ray: "local" or the address of a cluster; then each worker gets `gpus`, a share of one or several, and as
    many are used as fit, or as the config has jobs. Raises UserError before anything is started.
    """
    several = several_asked_for(problem, ray, gpus)
    if several and not problem.evaluator.pace.apart:
        logger.info("candidates go on from one training, so one process evaluates them")
        several = False
    if not several:
        yield problem.evaluator, 0
        return
    if prune:
        raise UserError("--prune stops candidates by the front of one process; leave out --jobs and --ray")
    if problem.evaluator.pace.together > 1:
        raise UserError("halving compares candidates within one process; leave out --jobs and --ray")
    workers = start_workers(problem, partial(build_of, problem), ray=ray, gpus=gpus)
    evaluator = ParallelEvaluator(
        workers,
        metrics=problem.evaluator.columns,
        costs=problem.evaluator.costs,
        own=problem.evaluator if isinstance(problem.evaluator, Realises) else None,
        pace=problem.evaluator.pace,
        trial_timeout=trial_timeout,
    )
    with evaluator:
        yield evaluator, workers.count


def several_asked_for(problem: Problem, ray: str | None, gpus: float | None) -> bool:
    """Whether processes, or actors of Ray, are to evaluate in place of this process."""
    if ray is None and gpus is not None:
        raise UserError("gpus: shares of GPUs are given to workers of Ray; give --ray too")
    return ray is not None or problem.config.search.jobs != 1


def start_workers(problem: Problem, build: BuildOf, *, ray: str | None, gpus: float | None) -> Workers:
    """Processes of this machine, as many as the config has jobs, or actors of Ray, as `judge_of` has them."""
    jobs = problem.config.search.jobs
    if ray is None:
        jobs = jobs if jobs > 0 else cores()
        return ProcessWorkers(build(jobs), jobs)
    from widthwise.evaluators.workers.cluster import RayWorkers

    return RayWorkers(
        build(None),
        address=ray,
        jobs=jobs if jobs > 1 else None,
        gpus=gpus,
        use_gpus=problem.config.accelerator in ("gpu", "auto"),
    )


def check_named(problem: Problem) -> None:
    """Raises UserError where the config does not name what the search was given, so workers can't make it."""
    config = problem.config
    if problem.own_evaluator:
        raise UserError(
            "evaluator: was given, and workers make theirs from the config; leave out --jobs and --ray"
        )
    for declared in config.metrics:
        if declared.is_from_python:
            name = declared.metric.name
            raise UserError(
                f"metric {name}: was given from Python, and workers make theirs from the config; name it "
                f'there, as metrics.{name}.source = "module:callable"'
            )
    for key, what in NAMED.items():
        if getattr(config, key) is None:
            raise UserError(
                f"{config.source}: {key}: is missing, and workers make the {what} by its name; "
                f"name it as module:callable, or use one process"
            )
    if not problem.named:
        raise UserError(
            f"{config.source}: model {config.model}: makes another network than the one that is searched, "
            "and workers make it by its name; name it as module:callable, or use one process"
        )


def build_of(problem: Problem, sharing: int | None) -> Build:
    """What workers need to make this problem's evaluator; `sharing`: so many share this machine's memory.

    Raises UserError where the config does not name what the search was given.
    """
    from safetensors.torch import save

    from widthwise.evaluators.engine.memory import default_budget
    from widthwise.search.judged_by import device_of

    check_named(problem)
    config = problem.config
    memory = problem.judging.memory
    if memory is None and sharing is not None:
        memory = default_budget(device_of(config)) // sharing
    arguments = {
        "config": toml_of(config),
        "source": config.source,
        "memory": memory,
        "folder": os.getcwd(),  # noqa: PTH109
        "marks": marks(problem),
    }
    tensors = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in problem.network.state_dict().items()
    }
    return Build("widthwise.search.workers:make_evaluator", arguments, {"weights": save(tensors)})


def make_evaluator(arguments: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Evaluate:
    """In a worker: the evaluator of the problem that the driver has; UserError where it comes out another."""
    evaluator = make_problem(arguments, blobs).evaluator
    return evaluator.without_costs() if isinstance(evaluator, KnowsCosts) else evaluator


def make_problem(arguments: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Problem:
    """In a worker: the driver's problem, from what `build_of` says; UserError where it comes out another."""
    from widthwise.config import load_config
    from widthwise.core.toml import parse_toml
    from widthwise.search.problem import load_problem

    folder = arguments["folder"]
    if os.path.isdir(folder):  # noqa: PTH112
        os.chdir(folder)  # where paths of the config start; on other machines it may be missing
    config: SearchConfig = load_config(parse_toml(arguments["config"], label=arguments["source"]))
    problem = load_problem(config, model=_network(config, blobs["weights"]), memory=arguments["memory"])
    check_marks(arguments, marks(problem))
    return problem


def check_marks(arguments: Mapping[str, Any], found: Mapping[str, str]) -> None:
    """In a worker: raises UserError where what it made has other marks than the driver says."""
    if other := [name for name, mark in found.items() if arguments["marks"][name] != mark]:
        raise UserError(
            f"{arguments['source']}: workers make other {' and '.join(other)} than the search has, from the "
            "names in its config; name what it was given as module:callable, seeded, or use one process"
        )


def marks(problem: Problem) -> dict[str, str]:
    """Hashes of what a worker's problem must have in common with the driver's."""
    part = problem.config.search.evaluation.part
    return {
        "weights": hash_weights(problem.network),
        "data": hash_batches(facts.part(problem.data, part)),
        "space": hash_value([asdict(decision) for decision in problem.space.decisions]),
    }


def _network(config: SearchConfig, weights: bytes) -> Any:
    from safetensors.torch import load

    from widthwise.network.named import load_model

    network = load_model(str(config.model), seed=config.seed)
    try:
        network.load_state_dict(load(weights))
    except RuntimeError as error:
        raise UserError(
            f"model {config.model}: is another network than the one that is searched: "
            f"{' '.join(str(error).split())}"
        ) from error
    return network

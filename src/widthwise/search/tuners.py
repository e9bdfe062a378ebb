"""Who trains candidates on: this process, or workers that each make the same problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.config import load_config
from widthwise.config.write import toml_of
from widthwise.core.hashing import hash_batches, hash_value
from widthwise.core.toml import parse_toml
from widthwise.data.facts import part
from widthwise.evaluators.protocol import Pace
from widthwise.evaluators.workers.evaluator import ParallelEvaluator
from widthwise.search.tuned_candidates import TunedCandidates
from widthwise.search.workers import build_of, check_marks, make_problem, several_asked_for, start_workers

if TYPE_CHECKING:
    from widthwise.evaluators.workers.worker import Build
    from widthwise.search.problem import Problem
    from widthwise.training.finetuning.settings import Finetuning

Tuners = TunedCandidates | ParallelEvaluator


@contextmanager
def tuners_of(
    problem: Problem, settings: Finetuning, folder: Path, *, ray: str | None = None, gpus: float | None = None
) -> Iterator[tuple[Tuners, int]]:
    """What trains candidates of a run on, and how many it trains at once.

    It is this process where neither the config's jobs nor `ray` says otherwise; see `judge_of`. The networks
    are the same whoever trains them. Raises UserError where workers can't make the problem.
    """
    if not several_asked_for(problem, ray, gpus):
        yield TunedCandidates(problem, settings, folder), 1
        return

    def build(sharing: int | None) -> Build:
        return _build_of(problem, settings, folder, sharing)

    workers = start_workers(problem, build, ray=ray, gpus=gpus)
    columns = TunedCandidates.columns_of(problem)
    with ParallelEvaluator(workers, metrics=columns, pace=Pace(trains=True, affordable=1)) as evaluator:
        yield evaluator, workers.count


def make_tuned(arguments: Mapping[str, Any], blobs: Mapping[str, bytes]) -> TunedCandidates:
    """In a worker: what trains candidates on, as the driver's would."""
    problem = make_problem(arguments, blobs)
    settings = load_config(parse_toml(arguments["tuning"], label=arguments["source"])).search.finetune
    assert settings is not None
    check_marks(arguments, _marks(problem, settings))
    folder = Path(arguments["run"])
    return TunedCandidates(problem.trained(folder if folder.is_dir() else None), settings)


def _build_of(problem: Problem, settings: Finetuning, folder: Path, sharing: int | None) -> Build:
    """As of the problem, with how candidates are trained and where the run is."""
    build = build_of(problem, sharing)
    config = replace(problem.config, searching=replace(problem.config.search, finetune=settings))
    more = {
        "tuning": toml_of(config),  # apart: a network for all formats is trained as the problem's own says
        "run": str(folder.resolve()),
        "marks": {**build.arguments["marks"], **_marks(problem, settings)},
    }
    return replace(build, target="widthwise.search.tuners:make_tuned", arguments={**build.arguments, **more})


def _marks(problem: Problem, settings: Finetuning) -> dict[str, str]:
    """Hashes of what a worker must have in common with the driver beside the problem's."""
    return {
        "settings": hash_value(asdict(settings)),
        "training data": hash_batches(part(problem.data, "train")),
    }

"""Who trains candidates on: this process, or workers that each make the same problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.config import load_config
from widthwise.config.write import toml_of
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_batches, hash_value
from widthwise.core.threads import cores
from widthwise.core.toml import parse_toml
from widthwise.data.facts import part
from widthwise.evaluators.protocol import Pace, SharesWeights
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
    problem: Problem,
    settings: Finetuning,
    folder: Path,
    count: int,
    *,
    ray: str | None = None,
    gpus: float | None = None,
) -> Iterator[tuple[Tuners, int]]:
    """What trains so many candidates of a run on, and how many it trains at once.

    It is this process where neither the config's jobs nor `ray` says otherwise; see `judge_of`. The networks
    are the same whoever trains them. Raises UserError where workers can't make the problem.
    """
    if not several_asked_for(problem, ray, gpus) or (ray is None and count == 1):
        yield TunedCandidates(problem, settings, folder), 1
        return

    def build(sharing: int | None) -> Build:
        return _build_of(problem, settings, folder, sharing)

    jobs = problem.config.search.jobs
    if ray is None:
        jobs = min(jobs if jobs > 0 else cores(), count)
    search = replace(problem.config.search, jobs=jobs)
    some = replace(problem, config=replace(problem.config, searching=search))
    workers = start_workers(some, build, ray=ray, gpus=gpus)
    columns = TunedCandidates.columns_of(problem)
    with ParallelEvaluator(workers, metrics=columns, pace=Pace(trains=True, affordable=1)) as evaluator:
        yield evaluator, workers.count


def make_tuned(arguments: Mapping[str, Any], blobs: Mapping[str, bytes]) -> TunedCandidates:
    """In a worker: what trains candidates on, as the driver's would."""
    folder = Path(arguments["run"])
    problem = make_problem(arguments, blobs).trained(folder if folder.is_dir() else None)
    settings = _settings(arguments["tuning"], arguments["source"])
    check_marks(arguments, _marks(problem, settings))
    return TunedCandidates(problem, settings)


def _build_of(problem: Problem, settings: Finetuning, folder: Path, sharing: int | None) -> Build:
    """As of the problem, with how candidates are trained and where the run is."""
    build = build_of(problem, sharing)
    config = replace(problem.config, searching=replace(problem.config.search, finetune=settings))
    text = toml_of(config)  # apart: a network for all formats is trained as the problem's own config says
    read = _settings(text, problem.config.source)
    if read != settings:
        raise UserError(f"settings: {settings} come out as {read} for workers; use one process")
    marks = {**build.arguments["marks"], **_marks(problem, read)}
    more = {"tuning": text, "run": str(folder.resolve()), "marks": marks}
    return replace(build, target="widthwise.search.tuners:make_tuned", arguments={**build.arguments, **more})


def _settings(text: str, source: str) -> Finetuning:
    """How a config has candidates trained."""
    found: Finetuning | None = load_config(parse_toml(text, label=source)).search.finetune
    assert found is not None
    return found


def _marks(problem: Problem, settings: Finetuning) -> dict[str, str]:
    """Hashes of what a worker must have in common with the driver beside the problem's."""
    found = {
        "settings": hash_value(asdict(settings)),
        "training data": hash_batches(part(problem.data, "train")),
    }
    if isinstance(problem.evaluator, SharesWeights):
        found["shared weights"] = problem.evaluator.shared_mark()
    return found

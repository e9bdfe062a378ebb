"""widthwise search: a whole search, from a config to the best trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli import options
from widthwise.cli.folders import run_folder
from widthwise.cli.output import Output, make_console, print_json
from widthwise.core.errors import UserError, unknown

if TYPE_CHECKING:
    from torch import nn

    from widthwise.config import SearchConfig
    from widthwise.data.modules import Data
    from widthwise.search.problem import Problem
    from widthwise.study.run_folder import Run
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

KEEP = ("all", "front")
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="The run folder; by default runs/ and the config's name."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")]
ForceNew = Annotated[bool, typer.Option("--force-new", help="Start beside the run that is there, as NAME-2.")]
Storage = Annotated[
    str | None,
    typer.Option("--storage", metavar="URL", help="Keep trials there, as postgresql+psycopg://host/db."),
]
Keep = Annotated[str, typer.Option("--keep", metavar="all|front", help="Which trials are written.")]
Prune = Annotated[
    bool, typer.Option("--prune", help="Stop candidates that can't reach the front; it stays the same.")
]
MaxFailures = Annotated[
    int | None, typer.Option("--max-failures", help="More failed trials than this in a row stop the search.")
]
TrialTimeout = Annotated[
    float | None, typer.Option("--trial-timeout", metavar="SECONDS", help="A trial that takes longer fails.")
]
Train = Annotated[bool, typer.Option("--train", help="Train the network first, as the config says.")]
Pick = Annotated[
    str | None,
    typer.Option(
        "--pick", metavar="RULE", help='knee, best:METRIC, "best accuracy with model_size <= 2KiB".'
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", help="Evaluate by so many processes; -1: one for each core."),
]
Ray = Annotated[
    str | None, typer.Option("--ray", metavar="ADDRESS|local", help="Evaluate by workers of a Ray cluster.")
]
Gpus = Annotated[
    float | None, typer.Option("--gpus", metavar="SHARE", help="GPUs of each Ray worker, as 0.25.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(search)


def search(
    config: options.Config,
    model: options.Model = None,
    dataset: options.Dataset = None,
    load: options.Load = None,
    trials: Annotated[int | None, typer.Option("--trials", help="At most so many candidates.")] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="And so much time.")
    ] = None,
    strategy: options.Strategy = None,
    seed: options.Seed = None,
    out: Out = None,
    resume: Resume = False,
    force_new: ForceNew = False,
    storage: Storage = None,
    keep: Keep = "all",
    prune: Prune = False,
    memory: options.Memory = None,
    max_failures: MaxFailures = None,
    trial_timeout: TrialTimeout = None,
    device: options.Device = None,
    assign: options.Set = None,
    train: Train = False,
    pick: Pick = None,
    jobs: Jobs = None,
    ray: Ray = None,
    gpus: Gpus = None,
    untrusted: options.Untrusted = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Search the widths of a network, as a config says."""
    output = Output(quiet=quiet, silent=json)
    given = {
        "--model": model,
        "--dataset": dataset,
        "--load": load,
        "--trials": trials,
        "--timeout": timeout,
        "--seed": seed,
        "--jobs": jobs,
    }
    read = options.read_config(config, given, assign, strategy=strategy, device=device)
    if not isinstance(keep, str) or keep not in KEEP:
        raise unknown("way to keep trials", keep, KEEP, where="--keep")
    how: dict[str, Any] = {
        "memory": options.size_in_bytes(memory, "--memory"),
        "storage": storage,
        "keep": keep,
        "prune": prune,
        "ray": ray,
        "gpus": gpus,
    }
    limits = _limits(read, max_failures, trial_timeout)
    options.announce_code(read, output, untrusted=untrusted)
    options.warn_of_ignored_keys(read, output)
    folder, resume = run_folder(read, out, resume=resume, force_new=force_new)
    options.check_device(device)
    from widthwise.report.terminal import resume_command

    study, problem = run(read, folder, output, how, limits=limits, resume=resume, train=train, rule=pick)
    if json:
        print_study_json(study, pick, problem)
        if study.interrupted is not None:
            output.warn(f"stopped before its end; go on: {resume_command(folder)}")
    else:
        conclude(study, problem, folder, output, rule=pick)
    raise typer.Exit(study.exit_status)


def run(
    config: SearchConfig,
    folder: Path,
    output: Output,
    how: dict[str, Any],
    *,
    limits: Any = None,
    resume: bool = False,
    train: bool = False,
    rule: str | None = None,
) -> tuple[Study, Problem]:
    """Search in a folder, with what is printed before and while it runs."""
    from widthwise.cli.training import train_first
    from widthwise.report.progress import SearchProgress
    from widthwise.search.launch import check_search
    from widthwise.search.launch import search as search_problem

    if rule is not None:
        check_rule(rule, config)
    model: nn.Module | None = None
    data: Data | None = None
    if train:
        check_search(config, limits=limits, keep=how.get("keep", "all"), prune=how.get("prune", False))
        config, model, data = train_first(config, folder, output, resume=resume)
    searched: list[Problem] = []
    with SearchProgress(make_console(stderr=True), enabled=not output.quiet) as progress:

        def started(run: Run, problem: Problem) -> None:
            searched.append(problem)
            introduce(run.path, problem, output, resumed=resume)
            progress.start()

        study = search_problem(
            model,
            data,
            config,
            out=folder,
            resume=resume,
            force_new=False,
            limits=limits,
            progress=progress,
            started=started,
            **how,
        )
    return study, searched[0]


def introduce(folder: Path, problem: Problem, output: Output, *, resumed: bool) -> None:
    """What is searched, on what data, by whom, and where it will be."""
    from widthwise.report.problem import problem_lines, warnings_of

    for line in problem_lines(problem):
        output.note(line)
    output.note(f"run:         {folder}{' (resumed)' if resumed else ''}")
    for warning in warnings_of(problem):
        output.warn(warning)


def check_rule(rule: str, config: SearchConfig) -> None:
    """Raises UserError where a rule for picking can't be read: now, not when the search is over."""
    from widthwise.metrics.goals.picking import check_rule as check
    from widthwise.metrics.quality.tasks import metric_of, task_of
    from widthwise.search.problem import ALWAYS, ALWAYS_OF_WIDTHS
    from widthwise.spaces.settings import WidthSearch

    search = config.search
    always = ALWAYS_OF_WIDTHS if isinstance(search.space, WidthSearch) else ALWAYS
    wanted = [*(o.metric for o in search.objectives), *(b.metric for b in search.constraints)]
    task = task_of(config.task)
    stored = [metric_of(task, name) for name in (*task.better, *always)]
    check(rule, [*wanted, *stored], where="--pick")


def conclude(
    study: Study, problem: Problem, folder: Path, output: Output, *, rule: str | None = None
) -> None:
    """The best trials, why it ended, and what can be done now."""
    from widthwise.report.terminal import ending_lines, near_lines, where_lines
    from widthwise.search.nearest import nearest_by_cost

    output.note()
    print_best(study, output)
    for line in near_lines([] if study.summary.trials else nearest_by_cost(problem)):
        output.say(line)
    for line in (*ending_lines(study), *where_lines(study, folder)):
        output.say(line)
    if rule is not None:
        print_picked(study, rule, output)


def print_best(study: Study, output: Output, *, most: int | None = None) -> None:
    """The table of the best trials, or the nearest where there are none."""
    from widthwise.report import terminal
    from widthwise.study.nearest import nearest_trials

    many = terminal.MOST_ROWS if most is None else most
    for line in terminal.best_lines(study, most=many):
        output.say(line)
    if study.front:
        output.show(terminal.best_table(study, output.console.width, most=many))
        for line in terminal.noise_lines(study):
            output.say(line)
        return
    for line in terminal.near_lines(nearest_trials(study)):
        output.say(line)


def print_picked(study: Study, rule: str, output: Output) -> None:
    """The trial that a rule picks: its metrics, and what it chooses for each layer."""
    from widthwise.report.terminal import config_lines, trial_table

    trial = picked(study, rule)
    output.say(f"\nPicked by {rule!r}: trial {trial.number}")
    output.show(trial_table(study, trial, output.console.width))
    for line in config_lines(trial.config):
        output.say(line)


def picked(study: Study, rule: str) -> Trial:
    """The trial that a rule picks; UserError where there is none to pick from."""
    if not study.front:
        raise UserError("--pick: there is nothing to pick from; no trial succeeded within the bounds")
    return study.pick(rule)


def print_study_json(study: Study, rule: str | None, problem: Problem | None = None) -> None:
    """What front.json holds, what a rule picks, and what comes nearest where nothing is within the bounds."""
    from widthwise.search.nearest import nearest_by_cost
    from widthwise.study.nearest import nearest_trials
    from widthwise.study.study import finite, trial_as_json

    content = study.as_json()
    near = nearest_trials(study)
    if problem is not None and not study.summary.trials:
        near = nearest_by_cost(problem)
    if near:
        content["nearest"] = finite([found.as_json() for found in near])
    if rule is not None:
        content["picked"] = finite(trial_as_json(picked(study, rule)))
    print_json(content)


def _limits(config: SearchConfig, max_failures: int | None, trial_timeout: float | None) -> Any:
    """When the search stops: the config's limits and those of the command line."""
    from widthwise.search.limits import Limits

    limits = Limits(trials=config.search.trials, timeout=config.search.timeout)
    if max_failures is not None:
        limits = replace(limits, max_failures=max_failures)
    return limits if trial_timeout is None else replace(limits, trial_timeout=trial_timeout)

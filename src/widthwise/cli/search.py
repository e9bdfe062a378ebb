"""widthwise search: a whole search, from a config to the best trials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from widthwise.cli import configs, options
from widthwise.cli.finetune import told_line
from widthwise.cli.folders import run_folder
from widthwise.cli.groups import grouped
from widthwise.cli.output import Output, make_console, reading
from widthwise.cli.results import conclude, introduce, print_study_json
from widthwise.cli.workers import Workers
from widthwise.core.errors import unknown
from widthwise.study.run_files import Keep

if TYPE_CHECKING:
    from torch import nn

    from widthwise.config import SearchConfig
    from widthwise.data.modules import Data
    from widthwise.search.limits import Limits
    from widthwise.search.problem import Problem
    from widthwise.study.run_folder import Run
    from widthwise.study.study import Study

Train = Annotated[bool, typer.Option("--train", help="Train the network first, as the config says.")]
Pick = Annotated[
    str | None,
    typer.Option(
        "--pick", metavar="RULE", help='knee, best:METRIC, "best accuracy with model_size <= 2KiB".'
    ),
]
NoPage = Annotated[bool, typer.Option("--no-page", help="Write no page, report.html, at the end.")]


@dataclass(frozen=True)
class Proposals:
    """Who proposes candidates, and how many."""

    trials: Annotated[
        int | None,
        typer.Option("--trials", help="At most so many candidates; by default the config's bound."),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="And so much time; by default the config's bound."),
    ] = None
    strategy: options.Strategy = None
    seed: options.Seed = None
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="FORM",
            help="Only what can be exported as it: hls4ml, c, qonnx …",
            autocompletion=options.forms,
        ),
    ] = None


@dataclass(frozen=True)
class Place:
    """The run folder."""

    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="The run folder; by default runs/ and the config's name."
        ),
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False
    force_new: Annotated[
        bool, typer.Option("--force-new", help="Start beside the run that is there, as NAME-2.")
    ] = False


@dataclass(frozen=True)
class Trials:
    """What becomes of trials: where they are kept, which, and when they are stopped."""

    storage: Annotated[
        str | None,
        typer.Option("--storage", metavar="URL", help="Keep trials there, as postgresql+psycopg://host/db."),
    ] = None
    keep: Annotated[str, typer.Option("--keep", metavar="all|front", help="Which trials are written.")] = (
        "all"
    )
    prune: Annotated[
        bool, typer.Option("--prune", help="Stop candidates that can't reach the front; it stays the same.")
    ] = False
    memory: options.Memory = None
    max_failures: Annotated[
        int | None,
        typer.Option(
            "--max-failures", help="More failed trials than this in a row stop the search; by default 100."
        ),
    ] = None
    trial_timeout: Annotated[
        float | None,
        typer.Option(
            "--trial-timeout",
            metavar="SECONDS",
            help="A trial that takes longer fails; by default none does.",
        ),
    ] = None


RESUMED, START = "resumed", "started: nothing was there to resume"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(grouped(search))


def search(
    config: options.Config,
    *,
    network: options.Network,
    proposals: Proposals,
    place: Place,
    trials: Trials,
    setup: options.Setup,
    train: Train = False,
    pick: Pick = None,
    no_page: NoPage = False,
    workers: Workers,
    untrusted: options.Untrusted = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Search the widths of a network, as a config says."""
    output = Output(quiet=quiet, silent=json)
    given = options.given(network, proposals, workers)
    read = configs.read_config(config, given, setup, strategy=proposals.strategy, untrusted=untrusted)
    if proposals.trials is None and proposals.strategy is not None:
        read = _whole_space(read, setup, output)
    how = _how(read, trials, workers)
    configs.announce_code(
        read, output, untrusted=untrusted, typed=configs.typed(given, setup, proposals.strategy)
    )
    configs.warn_of_ignored_keys(read, output)
    folder, resume = run_folder(read, place.out, resume=place.resume, force_new=place.force_new)
    if resume:
        how = replace(how, storage=configs.storage_of(folder, how.storage))
    options.check_device(setup.device)
    from widthwise.report.terminal import resume_command

    how_begun = START if place.resume and not resume else RESUMED if resume else ""
    study, problem = run(
        read, folder, output, how, resume=resume, begun=how_begun, train=train, rule=pick, page=not no_page
    )
    if json:
        print_study_json(study, pick, problem)
        if study.interrupted is not None:
            output.warn(f"stopped before its end; go on: {resume_command(folder)}")
    else:
        conclude(study, problem, folder, output, rule=pick)
    raise typer.Exit(study.exit_status)


def _whole_space(config: SearchConfig, setup: options.Setup, output: Output) -> SearchConfig:
    """The config without its budget of trials, if that is not meant for the strategy put in place of its own.

    What enumerates proposes all there is, unless the same command says how many.
    """
    from widthwise.strategies import strategy_source

    strategy, trials = config.search.strategy.name, config.search.trials
    said = any("trials" in assignment.partition("=")[0] for assignment in setup.assign or ())
    if trials is None or said or strategy_source(strategy).learns:
        return config
    output.note(
        f"trials:      all of {strategy}, not the {trials:,} that {config.source} has; --trials bounds them"
    )
    return replace(config, searching=replace(config.search, trials=None))


@dataclass(frozen=True)
class How:
    """How a search is done, by the names that `widthwise.search` has for it."""

    limits: Limits | None = None
    memory: int | None = None
    storage: str | None = None
    keep: Keep = "all"
    prune: bool = False
    ray: str | None = None
    gpus: float | None = None


def _how(config: SearchConfig, trials: Trials, workers: Workers) -> How:
    """As the command line says; its limits are added to those of the config."""
    kinds = get_args(Keep)
    if trials.keep not in kinds:
        raise unknown("way to keep trials", trials.keep, kinds, where="--keep")
    memory = options.size_in_bytes(trials.memory, "--memory")
    from widthwise.search.limits import Limits

    limits = Limits(trials=config.search.trials, timeout=config.search.timeout)
    if trials.max_failures is not None:
        limits = replace(limits, max_failures=trials.max_failures)
    if trials.trial_timeout is not None:
        limits = replace(limits, trial_timeout=trials.trial_timeout)
    keep = cast(Keep, trials.keep)
    return How(limits, memory, trials.storage, keep, trials.prune, workers.ray, workers.gpus)


def run(
    config: SearchConfig,
    folder: Path,
    output: Output,
    how: How,
    *,
    resume: bool = False,
    begun: str = "",
    train: bool = False,
    rule: str | None = None,
    page: bool = True,
) -> tuple[Study, Problem]:
    """Search in a folder, with what is printed before and while it runs.

    begun: what is to be said of its start. page: write one to look at.
    """
    from widthwise.cli.training import train_first
    from widthwise.report.progress import SearchProgress
    from widthwise.search.finishing import finish
    from widthwise.search.launch import check_search
    from widthwise.search.launch import search as search_problem

    if rule is not None:
        check_rule(rule, config)
    model: nn.Module | None = None
    data: Data | None = None
    if train:
        check_search(config, limits=how.limits, keep=how.keep, prune=how.prune)
        config, model, data = train_first(config, folder, output, resume=resume)
    searched: list[Problem] = []
    with SearchProgress(make_console(stderr=True), enabled=not output.quiet) as progress:

        def started(run: Run, problem: Problem) -> None:
            searched.append(problem)
            introduce(run.path, problem, output, how=begun)
            progress.start()

        study = search_problem(
            model,
            data,
            config,
            out=folder,
            resume=resume,
            force_new=False,
            progress=progress,
            started=started,
            page=False,  # it comes when the line that moves is gone
            tuning=lambda *told: output.note(told_line(*told)),
            **vars(how),
        )
    if study.interrupted is None:
        with reading(wanted=not output.quiet) as doing:
            finish(searched[0], study, folder, rule=rule, page=page, step=doing.step)
    return study, searched[0]


def check_rule(rule: str, config: SearchConfig) -> None:
    """Raises UserError where a rule for picking can't be read: now, not when the search is over."""
    from widthwise.metrics.goals.picking import check_rule as check
    from widthwise.search.judged_by import metrics_to_pick

    check(rule, metrics_to_pick(config), where="--pick")

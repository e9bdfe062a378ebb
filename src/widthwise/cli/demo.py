"""widthwise demo: a search of each task, from training to the best trials, in seconds."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli import options
from widthwise.cli.options import KEYS
from widthwise.cli.output import Output
from widthwise.core.errors import unknown
from widthwise.study.run_files import WEIGHTS, free_folder

if TYPE_CHECKING:
    from widthwise.study.study import Study

# all but the first by the example of that name
TASKS = ("classification", "regression", "binary", "multilabel", "segmentation", "tokens", "closeness")
TPE_TRIALS = 20
EPOCHS = 60


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where run folders are made.")] = Path(
        "runs"
    ),
    task: Annotated[
        str | None,
        typer.Option("--task", help=f"A search of this task: {', '.join(TASKS)}.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of training and search.")] = 0,
    quiet: options.Quiet = False,
) -> None:
    """Train a network on real data, search its bit widths."""
    if task is not None and task not in TASKS:
        raise unknown("task with a demo", task, TASKS, where="--task")
    output = Output(quiet=quiet)
    if task in (None, "classification"):
        _first_lab(out, seed, output)
    _one(str(task), out, seed, output)


def _one(task: str, out: Path, seed: int, output: Output) -> None:
    """The search of a task's example."""
    from widthwise.cli.results import conclude
    from widthwise.cli.search import How, run
    from widthwise.config import example_text, load_config

    folder = free_folder(out.expanduser() / f"demo-{task}")
    study, problem = run(
        load_config(_tables(example_text(task)), {"seed": seed}), folder, output, How(), train=True
    )
    conclude(study, problem, folder, output)
    _go_on(study, folder, output)
    raise typer.Exit(study.exit_status)


def _first_lab(out: Path, seed: int, output: Output) -> None:
    """The first lab's search, by brute force and by TPE."""
    from widthwise.cli.results import conclude
    from widthwise.cli.search import How, run
    from widthwise.config import example_text, load_config

    config = load_config(_tables(example_text("jsc-tiny")), {"seed": seed, "max_epochs": EPOCHS})
    first = free_folder(out.expanduser() / "demo-brute-force")
    second = free_folder(out.expanduser() / "demo-tpe")
    output.note("1. All 18 schemes of the network's only layer (brute force)")
    study, problem = run(config, first, output, How(), train=True)
    conclude(study, problem, first, output)
    if study.exit_status:
        raise typer.Exit(study.exit_status)
    learned = load_config(
        replace(config, load_name=str(first / WEIGHTS)),
        {"search.strategy.name": "tpe", "search.strategy.setup.sampler": "tpe", KEYS["--trials"]: TPE_TRIALS},
    )
    output.note(f"\n2. The same search with TPE, {TPE_TRIALS} trials")
    study, problem = run(learned, second, output, How())
    conclude(study, problem, second, output)
    _go_on(study, second, output)
    raise typer.Exit(study.exit_status)


def _go_on(study: Study, folder: Path, output: Output) -> None:
    """What was found, in a sentence, where it is to be seen, and three commands that lead on."""
    from widthwise.report.shown.axes import axes_of
    from widthwise.report.shown.overview import found_line
    from widthwise.study.picked import pick_of
    from widthwise.study.run_files import PAGE

    if (trial := pick_of(study, None)) is None:
        return
    run = shlex.quote(str(folder))
    output.note(f"\nFound: {found_line(study, trial, axes_of(study))}")
    output.note(f"The page: open {shlex.quote(str(folder / PAGE))} in a browser")
    output.note("From here:")
    for command, what in (
        (f"widthwise explain {run}", "which tensor costs quality, did mixing help, what to search next"),
        (f"widthwise export {run} --pick knee --to torch --out deployed", "its files, run and compared"),
        ("widthwise init MODEL --dataset FILE", "the same for a network and data of your own"),
    ):
        output.note(f"  {command}")
        output.note(f"      {what}")


def _tables(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)

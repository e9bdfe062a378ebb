"""widthwise finetune: members of a run's front trained on with their formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli import configs, options
from widthwise.cli.groups import grouped
from widthwise.cli.output import Output, print_json
from widthwise.cli.results import print_best
from widthwise.cli.workers import Workers
from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from widthwise.config import SearchConfig
    from widthwise.study.finetuned import Finetuned
    from widthwise.training.finetuning.settings import Finetuning


@dataclass(frozen=True)
class Which:
    """Which trials."""

    trials: Annotated[
        str | None,
        typer.Option(
            "--trials",
            metavar="N,M",
            help="Their numbers, with commas between; by default as --candidates says.",
        ),
    ] = None
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick",
            metavar="RULE",
            help='The trial that this picks: knee, best:METRIC, "best accuracy with model_size <= 2KiB".',
        ),
    ] = None
    candidates: Annotated[
        str | None,
        typer.Option(
            "--candidates",
            metavar="front|all",
            help="Those of the front, or the best of all; by default the config's, or front.",
        ),
    ] = None
    most: Annotated[
        int | None,
        typer.Option(
            "--most", help="So many of them, at most; by default the config's, or 16 of a front, 27 of all."
        ),
    ] = None


@dataclass(frozen=True)
class How:
    """How each is trained."""

    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="train|bias_correction|adaptive_rounding",
            help="The last two go layer by layer, in less time; by default the config's, or train.",
        ),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", help="Steps of the optimiser, a batch each; by default the config's, or 1000."
        ),
    ] = None
    lr: Annotated[
        float | None, typer.Option("--lr", help="Learning rate; by default the config's, or 0.002.")
    ] = None
    distil: Annotated[
        float | None,
        typer.Option(
            "--distil",
            help="Share of the loss, 0 to 1, that is the distance from the outputs of float; by default the "
            "config's, or 1.",
        ),
    ] = None
    batch_norm: Annotated[
        str | None,
        typer.Option(
            "--batch-norm",
            metavar="frozen|measured",
            help="Statistics of batch norms: kept, or measured again; by default the config's, or frozen.",
        ),
    ] = None
    step_sizes: Annotated[
        bool | None,
        typer.Option(
            "--step-sizes/--no-step-sizes",
            help="Train the steps between values of formats too; by default the config's, or not.",
            show_default=False,
        ),
    ] = None
    mixup: Annotated[
        float | None,
        typer.Option(
            "--mixup",
            help="Share, 0 to 1, of another sample that is at most mixed into each; by default the config's, "
            "or 0.",
        ),
    ] = None
    noise: Annotated[
        float | None,
        typer.Option(
            "--noise",
            help="Noise on each feature, in its standard deviations; by default the config's, or 0.",
        ),
    ] = None
    crop: Annotated[
        int | None,
        typer.Option("--crop", help="Move images by at most so many pixels; by default the config's, or 0."),
    ] = None


KEYS = {
    "candidates": "search.finetune.candidates",
    "most": "search.finetune.most",
    "method": "search.finetune.method",
    "steps": "search.training.steps",
    "lr": "search.training.learning_rate",
    "distil": "search.training.distil",
    "batch_norm": "search.finetune.batch_norm",
    "step_sizes": "search.finetune.step_sizes",
    "mixup": "search.finetune.mixup",
    "noise": "search.finetune.noise",
    "crop": "search.finetune.crop",
}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(grouped(finetune))


def finetune(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    *,
    which: Which,
    how: How,
    workers: Workers,
    storage: options.Storage = None,
    untrusted: options.Untrusted = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train networks of a run on with their formats.

    By default those of its front, as its config says. The better of before and after stands for the trial.
    """
    output = Output(quiet=quiet, silent=json)
    storage = configs.storage_of(run, storage)
    of_run = configs.config_of_run(run, untrusted=untrusted, storage=storage)
    configs.announce_code(of_run, output, untrusted=untrusted)
    settings = _settings(of_run, {**vars(which), **vars(how)})
    numbers = _numbers(which.trials)
    from widthwise.report.finetuned import finetuned_table
    from widthwise.search.finetuning import finetune as tune
    from widthwise.search.finishing import keep_page
    from widthwise.study.run_folder import load_run

    done: list[Finetuned] = []

    def told(count: int, total: int, found: Finetuned, new: bool) -> None:
        done.append(found)
        output.note(told_line(count, total, found, new))

    study = tune(
        load_run(run, storage=storage),
        trials=numbers,
        pick=which.pick,
        settings=settings,
        jobs=workers.jobs,
        ray=workers.ray,
        gpus=workers.gpus,
        progress=told,
    )
    if json:
        print_json([{k: v for k, v in found.as_json().items() if k != "realised"} for found in done])
    else:
        output.show(finetuned_table(study, done))
        print_best(study, output)
    if study.interrupted is not None:
        output.warn(f"stopped before its end; go on: widthwise finetune {run}")
    else:
        keep_page(study, run)
    raise typer.Exit(study.exit_status or int(all(found.reason is not None for found in done)))


def told_line(count: int, total: int, found: Finetuned, new: bool) -> str:
    """What became of a trial, while others are to come; new: that it was found now."""
    if not new:
        return f"{count} of {total}: trial {found.number}: as an earlier fine-tuning left it"
    if found.reason is not None:
        return f"{count} of {total}: trial {found.number} failed: {found.reason}"
    first, last = found.losses
    stands = "better" if found.better else "no better, so it stays as searched"
    return f"{count} of {total}: trial {found.number}, loss {first:.3g} to {last:.3g}: {stands}"


def _settings(config: SearchConfig, given: dict[str, Any]) -> Finetuning | None:
    """As the run's config says but for what is given; None: as it says."""
    said = {KEYS[name]: value for name, value in given.items() if name in KEYS and value is not None}
    if not said:
        return None
    from widthwise.config import load_config

    names = {key: f"--{name.replace('_', '-')}" for name, key in KEYS.items()}
    tables = {"search.finetune.batch_norm": "frozen"} if config.search.finetune is None else {}
    return load_config(config, {**tables, **said}, options=names).search.finetune


def _numbers(text: str | None) -> list[int]:
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if bad := [part for part in parts if not part.isdecimal()]:
        raise UserError(f"--trials: {bad[0]} is no trial's number; write them with commas between, as 3,7")
    return [int(part) for part in parts]

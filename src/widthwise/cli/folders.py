"""Which folder a search runs in, when there is a run already: nothing is resumed or started in silence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from widthwise.cli.output import is_interactive
from widthwise.core.errors import UserError
from widthwise.study.run_files import check_new, free_folder, is_free, is_run, run_path

if TYPE_CHECKING:
    from widthwise.config import SearchConfig


def run_folder(config: SearchConfig, out: Path | None, *, resume: bool, force_new: bool) -> tuple[Path, bool]:
    """The folder to search in, and whether to go on with what is there.

    Where there is a run already, the person at the terminal is asked; nobody there is an error that names the
    options. Where there is nothing yet to go on with, it is started. Imports nothing heavy.
    """
    if resume and force_new:
        raise UserError("--resume and --force-new contradict one another; leave one out")
    folder = run_path(config.source, config.model, out)
    if resume:
        _check_one_to_resume(folder, given=out is not None)
        return folder, not is_free(folder)
    if force_new:
        return free_folder(folder), False
    if is_run(folder) and is_interactive():
        return _asked(folder)
    check_new(folder)
    return folder, False


def _check_one_to_resume(folder: Path, *, given: bool) -> None:
    """Raises UserError where --out is not given and another run of the same name could be meant."""
    beside = sorted(folder.parent.glob(f"{folder.name}-[0-9]*")) if folder.parent.is_dir() else []
    runs = [path for path in (folder, *beside) if is_run(path)]
    if not given and runs not in ([], [folder]):
        there = "there are" if len(runs) > 1 else "there is"
        raise UserError(f"--resume: {there} {', '.join(map(str, runs))}; say which with --out")


def _asked(folder: Path) -> tuple[Path, bool]:
    beside = free_folder(folder)
    typer.echo(
        f"{folder} has a run already: (r)esume it, start a (n)ew one in {beside}, or (c)ancel?", err=True
    )
    while True:
        answer = typer.prompt("r, n or c", default="c", err=True).strip().lower()[:1]
        if answer == "r":
            return folder, True
        if answer == "n":
            return beside, False
        if answer == "c":
            raise typer.Abort

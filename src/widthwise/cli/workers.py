"""The options that say who evaluates or trains candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True)
class Workers:
    """Who evaluates or trains."""

    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            help="Use so many processes; -1: one for each core; by default as the config says.",
        ),
    ] = None
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS|local", help="Use workers of a Ray cluster."),
    ] = None
    gpus: Annotated[
        float | None,
        typer.Option(
            "--gpus",
            metavar="SHARE",
            help="GPUs of each Ray worker, as 0.25; by default one, where the config asks for a GPU.",
        ),
    ] = None

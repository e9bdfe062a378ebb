"""widthwise export-optuna and dashboard: a run for Optuna's tools."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from widthwise.cli import configs, options
from widthwise.cli.output import Output
from widthwise.core.errors import UserError

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
HOST = "127.0.0.1"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("export-optuna")(export_optuna)
    app.command()(dashboard)


def export_optuna(
    run: RunFolder,
    url: Annotated[str, typer.Argument(metavar="URL", help="Of Optuna's database: sqlite:///trials.db.")],
    storage: options.Storage = None,
) -> None:
    """Copy all trials into a database of Optuna."""
    from widthwise.report.to_optuna import to_optuna
    from widthwise.study.run_folder import load_run

    study = load_run(run, storage=configs.storage_of(run, storage))
    _quiet()
    made = to_optuna(study, url)
    Output().say(f"Wrote study {made.study_name}: {len(made.trials):,} trials")


def dashboard(
    run: RunFolder,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Of this machine.")] = 8080,
    storage: options.Storage = None,
) -> None:
    """Open Optuna's dashboard on a copy of a run."""
    if find_spec("optuna_dashboard") is None:
        raise UserError("the dashboard isn't installed: pip install 'widthwise[dashboard]'")
    from widthwise.report.to_optuna import to_optuna
    from widthwise.study.run_folder import load_run

    study = load_run(run, storage=configs.storage_of(run, storage))
    _quiet()
    import optuna

    memory = optuna.storages.InMemoryStorage()
    to_optuna(study, memory)
    from optuna_dashboard import run_server

    Output().say(f"http://{HOST}:{port}/ until Ctrl-C; a copy in memory, the run stays as it is")
    try:
        run_server(memory, host=HOST, port=port)
    except OSError as error:
        raise UserError(f"--port {port}: can't be used: {error.strerror}; choose another") from error


def _quiet() -> None:
    """Optuna tells of what is new in itself, which is no concern of who runs this."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

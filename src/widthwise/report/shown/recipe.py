"""How to get the picked network: the commands, the config, versions, seeds and where the data is from."""

from __future__ import annotations

import platform
import shlex
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.core.toml import parse_toml

if TYPE_CHECKING:
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

PACKAGES = ("widthwise", "torch", "numpy")


@dataclass(frozen=True)
class Recipe:
    """commands: to export the pick, to see trials, to go on. facts: name and value. config: as resolved."""

    commands: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    config: str


def recipe_of(study: Study, pick: Trial | None) -> Recipe:
    """For the picked trial, where there is one."""
    run = str(study.folder)
    commands = []
    if study.folder is not None:
        if pick is not None:
            number = str(pick.number)
            commands.append(
                shlex.join(
                    ["widthwise", "export", run, "--trial", number, "--to", "qonnx", "--out", "exported"]
                )
            )
        commands.append(shlex.join(["widthwise", "trials", run, "--format", "csv"]))
        again = ["widthwise", "search", str(study.folder / "config.toml")]
        commands.append(shlex.join([*again, "--resume", "--out", run] if study.finished is None else again))
    settings, record = study.record.settings, study.record
    facts = [
        ("network", settings.model or "given from Python"),
        ("data", settings.data or "not described"),
        ("strategy", settings.strategy or "of one's own"),
        ("seed", _seed(record.config)),
        ("begun", record.created),
        *(
            (f"mark of {name}", value)
            for name, value in record.fingerprint.items()
            if name in ("weights", "data")
        ),
        ("page made with", ", ".join([*map(_version, PACKAGES), f"Python {platform.python_version()}"])),
    ]
    return Recipe(tuple(commands), tuple(facts), record.config)


def _seed(config: str) -> str:
    try:
        return str(parse_toml(config, label="config.toml").get("seed", "none"))
    except UserError:
        return "not known"


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # run from a checkout
        return package

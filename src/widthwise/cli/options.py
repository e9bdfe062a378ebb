"""Options that several commands share, and the config that they make together with a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    pass

# which key of a config each option stands for; errors name the option
KEYS = {
    "--model": "model",
    "--dataset": "dataset",
    "--load": "load_name",
    "--label": "data.label",
    "--header": "data.header",
    "--targets": "data.targets",
    "--standardise": "data.standardise",
    "--seed": "seed",
    "--batch-size": "batch_size",
    "--epochs": "max_epochs",
    "--lr": "learning_rate",
    "--trials": "search.strategy.setup.n_trials",
    "--timeout": "search.strategy.setup.timeout",
    "--jobs": "search.strategy.setup.n_jobs",
    "--target": "search.constraints.target",
}
DEVICES = {"cpu": "cpu", "cuda": "gpu", "gpu": "gpu", "auto": "auto"}


def _models(incomplete: str) -> list[str]:
    from widthwise.network.named import MODELS

    return [name for name in MODELS.entries if name.startswith(incomplete)]


def _data_sets(incomplete: str) -> list[str]:
    from widthwise.data.modules import DATA

    return [name for name in DATA.entries if name.startswith(incomplete)]


def _strategies(incomplete: str) -> list[str]:
    from widthwise.strategies.registry import REGISTRY

    return [name for name in REGISTRY.entries if name.startswith(incomplete)]


def forms(incomplete: str) -> list[str]:
    """The names of export forms that begin so."""
    from widthwise.network.forms import EXPORTERS

    return [name for name in EXPORTERS.entries if name.startswith(incomplete)]


Config = Annotated[str, typer.Argument(metavar="CONFIG", help="TOML file; widthwise init writes one.")]
OptionalConfig = Annotated[
    str | None, typer.Argument(metavar="CONFIG", help="TOML file; or give --model.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A built-in network, as jsc-tiny, or your own, as module:callable.",
        autocompletion=_models,
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="A built-in data set, as jsc, a .npz, .csv or .parquet file, or module:callable.",
        autocompletion=_data_sets,
    ),
]
Load = Annotated[
    str | None, typer.Option("--load", metavar="CHECKPOINT", help="Weights: .safetensors, .pt, .ckpt, .npz.")
]
Label = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="COLUMN",
        help="The label's column (or array) by name or number; repeat it for several targets.",
    ),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether the first line of a .csv names its columns; by default as it looks.",
        show_default=False,
    ),
]
Targets = Annotated[
    str | None,
    typer.Option(
        "--targets",
        metavar="classes|numbers",
        help="What the targets are; by default as they look.",
        show_default=False,
    ),
]
Standardise = Annotated[
    bool | None,
    typer.Option(
        "--standardise/--no-standardise",
        help="Scale features by the training part; by default tables are.",
        show_default=False,
    ),
]
Strategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        "--sampler",
        help="Who proposes: frontier, brute-force, grid, random, local, gradient, tpe, nsga2, nsga3, qmc, "
        "gp, cmaes, optunahub/PACKAGE or module:Class; by default the config's.",
        metavar="NAME",
        autocompletion=_strategies,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Seed of everything that is random; by default the config's, or 0."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any key of the config, by its dotted path; repeatable."),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", help="cpu, cuda, or auto: a GPU where there is one; by default the config's, or cpu."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no more than the result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file that is there.")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="WIDTHWISE_STORAGE",
        show_envvar=False,
        help="The database with the trials of a run that has them outside of its folder.",
    ),
]
Untrusted = Annotated[bool, typer.Option("--untrusted", help="Refuse configs that run code of their own.")]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="What evaluating may take, as 2GiB; by default a quarter of what is free.",
    ),
]


@dataclass(frozen=True)
class Network:
    """Which network, on which data, and what a file of data is taken for."""

    model: Model = None
    dataset: Dataset = None
    load: Load = None
    label: Label = None
    header: Header = None
    targets: Targets = None
    standardise: Standardise = None


@dataclass(frozen=True)
class Setup:
    """Where it runs, and what else of the config is set."""

    device: Device = None
    assign: Set = None


def given(*groups: object, **others: Any) -> dict[str, Any]:
    """Of groups of options, and of others by name, those that stand for a key of a config: by KEYS."""
    found = {key: value for group in groups for key, value in vars(group).items()} | others
    named = {f"--{key.replace('_', '-')}": None if value == [] else value for key, value in found.items()}
    return {name: value for name, value in named.items() if name in KEYS}


def check_device(device: str | None) -> None:
    """Raises UserError where an option asks for a GPU and there is none (in a config that is only a wish)."""
    if device in ("cuda", "gpu"):
        from widthwise.training.settings import Settings
        from widthwise.training.settings import check_device as check

        check("cuda", Settings())


def size_in_bytes(text: str | None, option: str) -> int | None:
    """The bytes of 512MiB or 2GB or a plain number; UserError where that is no size."""
    from widthwise.metrics.units import UNITS

    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(|[kmg]?i?b)\s*", text.lower())
    size = int(float(match[1]) * UNITS.get(match[2], 0)) if match else 0
    if size < 1:
        raise UserError(f"{option}: {text!r} is no size; write it as 2GiB, 512MiB or a number of bytes")
    return size

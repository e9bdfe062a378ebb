"""Options that several commands share, and the config that they make together with a file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.core.errors import UserError, unknown
from widthwise.core.plain import plain

if TYPE_CHECKING:
    from pathlib import Path

    from widthwise.cli.output import Output
    from widthwise.config import SearchConfig

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
    str | None, typer.Argument(metavar="[CONFIG]", help="TOML file; or give --model.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="A built-in network, or module:callable.", autocompletion=_models),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="A built-in data set, a .npz, .csv or .parquet file, or module:callable.",
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
        help="Who proposes: tpe, frontier, grid …; by default the config's.",
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


def read_config(
    config: str | None,
    options: Mapping[str, Any],
    setup: Setup,
    *,
    strategy: str | None = None,
    untrusted: bool = False,
) -> SearchConfig:
    """The config of a file (None: of options alone) with what the command line sets; imports no torch.

    options: by the names in KEYS, None where not given. untrusted: it may name no code.
    """
    from widthwise.config import load_config
    from widthwise.strategies import strategy_source

    changes: dict[str, Any] = {KEYS[name]: value for name, value in options.items()}
    if strategy is not None:
        name = strategy_source(strategy, where="--strategy").name
        changes |= {"search.strategy.name": name, "search.strategy.setup.sampler": name}
    if (device := setup.device) is not None:
        if device not in DEVICES:
            raise unknown("device", device, DEVICES, where="--device")
        changes["accelerator"] = DEVICES[device]
    changes |= _assigned(setup.assign or ())
    if config is not None:
        _check_is_no_network(config)
    source: str | dict[str, Any] = {} if config is None else config
    named = {KEYS[name]: name for name, value in options.items() if value is not None}
    return load_config(source, changes, options=named, untrusted=untrusted)


def _check_is_no_network(config: str) -> None:
    """Raises UserError where a network is named in the place of a config."""
    from pathlib import Path

    from widthwise.core.importing import meant_object
    from widthwise.network.named import MODELS

    if Path(config).suffix == ".toml" or (Path(config).is_file() and Path(config).suffix != ".py"):
        return
    meant = config if MODELS.get(config) is not None or ":" in config else None
    if (network := meant_object(config) or meant) is not None:
        raise UserError(f"{config}: is no config; a network is named as --model {network}")


def with_data_of_model(config: SearchConfig, *, elsewhere: bool = True) -> SearchConfig:
    """The config with the data set that its built-in network is made for, where it names none.

    elsewhere: also one that is not part of the package.
    """
    from widthwise.data.modules import FROM_ELSEWHERE
    from widthwise.network.named import MODELS

    made_for = MODELS.own.get(config.model or "")
    if config.dataset is not None or made_for is None:
        return config
    name = made_for.about
    return replace(config, dataset=name) if elsewhere or name not in FROM_ELSEWHERE else config


def typed(options: Mapping[str, Any], setup: Setup, strategy: str | None = None) -> frozenset[str]:
    """What stands on the command line: the values of these options, and of --set."""
    values = (*options.values(), *_assigned(setup.assign or ()).values(), strategy)
    return frozenset(value.strip("\"'") for value in values if isinstance(value, str))


def announce_code(
    config: SearchConfig, output: Output, *, untrusted: bool, typed: Collection[str] = ()
) -> None:
    """Say what a config runs beside widthwise, before it is imported; UserError where that is not wanted.

    What somebody typed in this command needs no telling; a file may be from anybody.
    """
    from widthwise.config.trust import check

    found = dict.fromkeys(str(code) for code in check(config, untrusted=untrusted) if code.name not in typed)
    if found:
        output.warn(f"this config runs code: {', '.join(found)}")


def storage_of(run: Path, given: str | None) -> str | None:
    """The database of a run that keeps its trials outside of its folder: as given, or as somebody confirms.

    A folder may be from anybody: without an answer nothing that it names is connected to. Raises
    ElsewhereError where nobody can be asked.
    """
    from widthwise.cli.output import is_interactive
    from widthwise.study.sources import ElsewhereError, run_source

    try:
        run_source(run, given)
    except ElsewhereError as error:
        if not is_interactive():
            raise
        typer.confirm(plain(f"{run} keeps its trials in {error.url}; connect to it?"), abort=True, err=True)
        return error.url
    return given


def config_of_run(run: Path, *, untrusted: bool = False, storage: str | None = None) -> SearchConfig:
    """The config in a run folder; UserError where it is none, or where code is not wanted and it names some.

    The store holds the config that the search had, by which networks are made again: it is checked as well,
    for a folder from somebody else may hold two.
    """
    from widthwise.config import load_config
    from widthwise.search.opening import load_run
    from widthwise.study.run_files import CONFIG

    load_run(run, untrusted=untrusted, storage=storage)  # raises where it is no run folder
    return load_config(run.expanduser() / CONFIG)


def warn_of_ignored_keys(config: SearchConfig, output: Output) -> None:
    """One warning for all keys that have no meaning here."""
    if config.ignored:
        count = "a key has" if len(config.ignored) == 1 else f"{len(config.ignored)} keys have"
        output.warn(f"{config.source}: {count} no meaning here, and no effect: {', '.join(config.ignored)}")


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


def _assigned(assignments: Sequence[str]) -> dict[str, str]:
    found = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {assignment}: is no KEY=VALUE, as in search.strategy.setup.n_trials=50")
        found[key.strip()] = value.strip()
    return found

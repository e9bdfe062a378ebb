"""The config that a command reads: of a file or a run, with what the command line sets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from widthwise.cli.options import DEVICES, KEYS, Setup
from widthwise.core.errors import UserError, unknown
from widthwise.core.plain import plain

if TYPE_CHECKING:
    from pathlib import Path

    from widthwise.cli.output import Output
    from widthwise.config import SearchConfig


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


def _assigned(assignments: Sequence[str]) -> dict[str, str]:
    found = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {assignment}: is no KEY=VALUE, as in search.strategy.setup.n_trials=50")
        found[key.strip()] = value.strip()
    return found

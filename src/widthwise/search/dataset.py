"""The data that a config names, read as the task has it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from widthwise.config.schema import DataOptions, SearchConfig
from widthwise.core.errors import UserError
from widthwise.data.facts import facts_of
from widthwise.data.modules import Data, load_data
from widthwise.data.served import DataModule
from widthwise.data.targets import OF_TASKS
from widthwise.metrics.quality.fits import check_data_fits_model

if TYPE_CHECKING:
    from torch import nn


def load_dataset(config: SearchConfig, network: nn.Module | None = None) -> Data:
    """The data that a config names, split and batched as it says.

    Where no task is said and the network shows that whole numbers are no classes, they are read again as
    numbers: so that what is split is the same when the task is said, as it is in what a run keeps.
    """
    name = source_of(config, "dataset")
    data = _read(config, name, config.task)
    if network is None or config.task is not None or not facts_of(data).class_names:
        return data
    try:
        found = check_data_fits_model(network, data, None, config.output).task.name
    except UserError:  # which is said where they are put together
        return data
    return _read(config, name, found) if OF_TASKS.get(found) == "numbers" else data


def with_data(config: SearchConfig, data: Data) -> SearchConfig:
    """The config with the name of data that was given, where that makes the same data again; else without one
    that makes other data."""
    if not isinstance(data, DataModule) or data.loaded is None:
        return config
    source, options = data.loaded
    read = DataOptions(**options)
    if source == config.dataset and data.seed == config.seed and config.data in (_untold(read), read):
        return config
    if (data.seed, data.batch_size) != (config.seed, config.batch_size):  # which it has from the config
        return replace(config, dataset=None)
    return replace(config, dataset=source, data=read)


def _untold(options: DataOptions) -> DataOptions:
    """The options as they are where it isn't said what targets are, which reading finds."""
    return replace(options, targets=None)


def source_of(config: SearchConfig, key: str) -> str:
    """What a config names as its model or dataset; UserError where it is missing."""
    name: str | None = getattr(config, key)
    if name is None:
        raise UserError(f"{config.source}: {key}: is missing; set it in the config or give --{key}")
    return name


def _read(config: SearchConfig, name: str, task: str | None) -> Data:
    options = {"task": task, **asdict(config.data)}
    return load_data(name, batch_size=config.batch_size, seed=config.seed, **options)

"""The network and the data that a config names, as the commands that train and test introduce them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from widthwise.cli.output import Output
from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from widthwise.config import SearchConfig
    from widthwise.data.modules import Data
    from widthwise.metrics.quality.fits import Fit


def network_and_data(config: SearchConfig) -> tuple[nn.Module, Data]:
    from widthwise.network.named import load_model
    from widthwise.search.dataset import load_dataset

    check_named(config)
    network = load_model(str(config.model), seed=config.seed)
    if config.load_name is not None:
        load_model(network, checkpoint=config.load_name)
    return network, load_dataset(config, network)


def check_named(config: SearchConfig) -> None:
    for key in ("model", "dataset"):
        if getattr(config, key) is None:
            raise UserError(f"{config.source}: {key}: is missing; set it in the config or give --{key}")


def introduce(config: SearchConfig, network: nn.Module, data: Data, output: Output) -> Fit:
    """What is trained or tested, on what, and as what; UserError where they don't fit."""
    from widthwise.metrics.quality.fits import check_data_fits_model
    from widthwise.report.problem import data_lines, judged_lines, network_line, task_line
    from widthwise.search.untrained import is_untrained

    fitting = check_data_fits_model(network, data, config.task, config.output)
    for line in data_lines(data):
        output.note(line)
    untrained = is_untrained(config, network)
    output.note(f"network:     {network_line(config, network, untrained=untrained)}")
    for line in (f"task:        {task_line(fitting.output)}", *judged_lines(fitting.output)):
        output.note(line)
    return fitting


def judged(config: SearchConfig) -> dict[str, Any]:
    """What outputs are worth, and which of them is judged."""
    return {"task": config.task, "output": config.output}

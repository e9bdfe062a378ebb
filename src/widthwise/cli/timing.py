"""The measured metrics that `widthwise test` is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from widthwise.config import SearchConfig
    from widthwise.data.modules import Data
    from widthwise.export.latency.latency import Latency
    from widthwise.metrics.catalogue import Metric
    from widthwise.metrics.timing import Timing
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial


def float_times(
    config: SearchConfig, network: nn.Module, data: Data, metrics: Sequence[Metric]
) -> Mapping[str, float]:
    """How long a network takes that has no formats, of the metrics those that are measured."""
    if not any(metric.kind == "measured" for metric in metrics):
        return {}
    from widthwise.export.latency.latency import measure_float
    from widthwise.metrics.quality.fits import check_data_fits_model

    inputs = check_data_fits_model(network, data, config.task, config.output).block.inputs
    return _asked(measure_float(network, inputs, timing_in(config)), metrics)


def times_of_trial(
    config: SearchConfig, study: Study, trial: Trial, metrics: Sequence[Metric]
) -> Mapping[str, float]:
    """The same of a trial's network."""
    if not any(metric.kind == "measured" for metric in metrics):
        return {}
    from widthwise.export.latency.latency import measure

    return _asked(measure(study, trial, timing=timing_in(config)), metrics)


def timing_in(config: SearchConfig) -> Timing:
    """How a config has latencies measured."""
    from widthwise.metrics.timing import Timing

    return config.searching.timing if config.searching is not None else Timing()


def _asked(found: Latency, metrics: Sequence[Metric]) -> Mapping[str, float]:
    figures = found.as_json()
    asked = [metric.name for metric in metrics if metric.kind == "measured"]
    for name in asked:
        if name not in figures:
            raise UserError(f"metric {name}: is measured in a search alone; leave it out")
    return {name: figures[name] for name in asked}

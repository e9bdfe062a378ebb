"""One network as it is, its schemes included: its metrics, and how sure they are."""

from __future__ import annotations

import logging
import warnings
from math import nan
from typing import Unpack

import numpy as np
from torch import nn

from widthwise.core.errors import UserError
from widthwise.data.modules import Data, load_data
from widthwise.evaluators.engine.evaluator import Evaluator
from widthwise.evaluators.judging import Judging, JudgingKeywords
from widthwise.metrics.quality.making import with_targets
from widthwise.network.graph import Graph
from widthwise.network.named import MODELS, load_model
from widthwise.network.reading import try_on
from widthwise.network.undisturbed import unwrapped

logger = logging.getLogger(__name__)


def evaluate(
    network: Graph | nn.Module | str,
    data: Data | str,
    judging: Judging | None = None,
    **keywords: Unpack[JudgingKeywords],
) -> dict[str, float]:
    """The metrics of one network as it is, its schemes included; keywords are those of Evaluator.

    network: as a graph, or a module, which is captured and stays as it is. data: or its name.

    Raises UserError, also where the network itself fails.
    """
    evaluator = _of_one(network, data, judging, **keywords)
    if told := evaluator.uncounted:
        warnings.warn(told, stacklevel=2)
    results = evaluator(np.zeros((1, 0), dtype=np.int64))
    if results.failures:
        raise UserError(f"the network can't be evaluated: {results.failures[0]}") from results.causes.get(0)
    return {metric.name: float(results[metric.name][0]) for metric in evaluator.judging.metrics}


def standard_errors(
    network: Graph | nn.Module | str,
    data: Data | str,
    judging: Judging | None = None,
    **keywords: Unpack[JudgingKeywords],
) -> dict[str, float]:
    """How sure the qualities of one network are: the standard error of each on that many samples.

    As for `evaluate`; see `widthwise.metrics.quality.sureness` for how they are had. NaN where one can't be,
    or where all outputs together don't fit into the memory.
    """
    evaluator = _of_one(network, data, judging, **keywords)
    names = evaluator.judging.quality
    if not names or not evaluator.sureness_of:
        return dict.fromkeys(names, nan)
    found = evaluator.sureness(np.zeros((1, 0), dtype=np.int64))
    return {name: float(found.errors(name)[0]) for name in names}


def _of_one(
    network: Graph | nn.Module | str,
    data: Data | str,
    judging: Judging | None,
    **keywords: Unpack[JudgingKeywords],
) -> Evaluator:
    """The evaluator of a network as it is."""
    if isinstance(data, str):
        said = keywords.get("task")
        data = load_data(data, task=said if isinstance(said, str) else None)
    floats = network.network if isinstance(network, Graph) else load_model(network)
    if isinstance(network, str) and network in MODELS.own:
        logger.warning(
            "the weights of %s are random, so its quality says little; load trained ones: "
            "ww.load_model(%r, checkpoint=FILE)",
            *(network, network),
        )
    if judging is None:
        judging = Judging.of(floats, data, **keywords)
    data = with_targets(data, floats, judging.task, judging.output)
    if not isinstance(network, Graph):
        network = Graph(floats, try_on(unwrapped(floats), judging.loader(data)).example)
    return Evaluator(network, None, data, judging)

"""What networks that are at hand give on the samples to judge on, each run by itself; how sure that is."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING

from widthwise.data.facts import samples_of
from widthwise.evaluators.engine.memory import default_budget
from widthwise.evaluators.judging import FLOAT_BYTES
from widthwise.training.scoring import predict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from widthwise.data.modules import Data
    from widthwise.evaluators.judging import Judging
    from widthwise.metrics.quality.fits import Fit
    from widthwise.metrics.quality.sureness import Sureness


def predicted(model: nn.Module, data: Data, fitting: Fit, judging: Judging) -> tuple[Tensor, Tensor]:
    """Outputs [n, ...] and targets [n, ...] of the samples to judge on."""
    batches = fitting.reader.batches(judging.loader(data), most=judging.samples)
    return predict(model, batches, device=judging.device, task=judging.task, output=fitting.output)


def outputs_that_fit(data: Data, fitting: Fit, judging: Judging) -> int:
    """Of how many networks the outputs fit into a quarter of the memory; 0 where samples can't be counted."""
    there = samples_of(data, judging.part) or 0
    each = FLOAT_BYTES * prod(fitting.shape) * there
    return default_budget(judging.device) // 4 // max(each, 1) if there else 0


def sureness_of_networks(models: Iterable[nn.Module], data: Data, fitting: Fit, judging: Judging) -> Sureness:
    """How sure the qualities of these networks are, on the samples that candidates are judged on."""
    found = [predicted(model, data, fitting, judging) for model in models]
    return judging.sureness(data, fitting.about, [one for one, _ in found], found[0][1])

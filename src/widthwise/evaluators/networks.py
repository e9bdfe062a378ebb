"""How sure figures are of networks that are at hand, each run by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from widthwise.training.scoring import predict

if TYPE_CHECKING:
    from torch import nn

    from widthwise.data.modules import Data
    from widthwise.evaluators.judging import Judging
    from widthwise.metrics.quality.fits import Fit
    from widthwise.metrics.quality.sureness import Sureness


def sureness_of_networks(models: Sequence[nn.Module], data: Data, fitting: Fit, judging: Judging) -> Sureness:
    """How sure the qualities of these networks are, on the samples that candidates are judged on."""
    found = []
    for model in models:
        batches = fitting.reader.batches(judging.loader(data), most=judging.samples)
        found.append(predict(model, batches, device=judging.device, task=judging.task, output=fitting.output))
    return judging.sureness(data, fitting.about, [one for one, _ in found], found[0][1])

"""Figures of classification that no confusion matrix holds: of the highest scores, of how sure they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.metrics.per_class import class_index, per_class
from widthwise.metrics.quality.ranking import mean_of_known
from widthwise.metrics.quality.summed import Combine, Rankings

BINS = 15  # of confidence, as Guo et al. 2017 have it
TOP = 5


def highest(name: str) -> int | None:
    """How many of the highest scores `top_accuracy` or `top_accuracy[3]` looks at; None for other metrics.

    Raises UserError for a number that is none.
    """
    if name == "top_accuracy":
        return TOP
    match = re.fullmatch(r"top_accuracy\[(.+)\]", name)
    if match is None:
        return None
    if not match[1].isdecimal() or not int(match[1]):
        raise UserError(f"{name}: {match[1]} is no number of classes; write it as top_accuracy[3]")
    return int(match[1])


@dataclass(frozen=True, eq=False)
class Extras:
    """Of scores [n, C]: how often the class is among the highest, and confidences by bin.

    tops: of how many of the highest. binned: whether confidences are asked for.
    """

    classes: int
    names: Sequence[str] = ()
    tops: Sequence[int] = ()
    binned: bool = False

    @property
    def columns(self) -> Mapping[str, tuple[int, Combine]]:
        """Sums over the samples."""
        bins = BINS if self.binned else 1
        each: tuple[int, Combine] = (bins, "sum")
        return {"top": (max(len(self.tops), 1), "sum"), "sure": each, "right": each, "seen": (1, "sum")}

    def fresh(self) -> Extras:
        """Itself: blocks change nothing."""
        return self

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Of scores [V, n, C] for labels [n]."""
        versions, samples, _ = outputs.shape
        nothing = torch.zeros((versions, 1), dtype=torch.float64)
        found = {"top": nothing, "sure": nothing, "right": nothing, "seen": torch.tensor([samples])}
        if self.tops:
            place = _places(outputs, targets)
            found["top"] = torch.stack([(place < top).sum(1) for top in self.tops], 1)
        if self.binned:
            sure, answer = outputs.double().softmax(-1).max(-1)
            # the bins are (0, 1/15], (1/15, 2/15] …, as torchmetrics has them
            bins = (sure * BINS).ceil().long().clamp(1, BINS) - 1
            inside = torch.zeros((versions, BINS), dtype=torch.float64, device=outputs.device)
            found["sure"] = inside.scatter_add(1, bins, sure)
            found["right"] = inside.scatter_add(1, bins, (answer == targets).double())
        return found

    def values(self, metrics: Sequence[str], found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """The metrics [R]."""
        seen = found["seen"][:, 0]
        values: dict[str, FloatArray] = {}
        for name in metrics:
            top = highest(name)
            if top is None:
                values[name] = np.abs(found["sure"] - found["right"]).sum(axis=1) / seen
            else:
                values[name] = found["top"][:, list(self.tops).index(top)] / seen
        return values

    def hopes(
        self, metrics: Sequence[str], found: Mapping[str, FloatArray], left: FloatArray
    ) -> Mapping[str, FloatArray]:
        """If all that is left were among the highest."""
        total = found["seen"][:, 0] + left
        tops = {name: top for name in metrics if (top := highest(name)) is not None}
        return {
            name: (found["top"][:, list(self.tops).index(top)] + left) / total for name, top in tops.items()
        }

    def rankings(self, names: Sequence[str]) -> Rankings | None:
        """Those of one class against all others; None where none is asked for."""
        return Rankings(names, self._fed, self._together) if names else None

    def _together(self, name: str, each: Mapping[str, FloatArray]) -> FloatArray:
        """A ranking's figure [R] from those of each class [R, C]: the mean over the classes that have one."""
        asked = per_class(name)
        if asked is None:
            return mean_of_known(each[name])
        return each[asked[0]][:, class_index(name, self.classes, self.names)]

    def _fed(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities [V, n, C] and the class of each sample as [n, C], for rankings of one against all."""
        return outputs.double().softmax(-1), one_hot(targets, self.classes)


def _places(outputs: Tensor, targets: Tensor) -> Tensor:
    """How many classes are before the true one, [V, n]: of equal scores the first class is."""
    labels = targets[None, :, None].expand(len(outputs), -1, 1)
    own = outputs.gather(-1, labels)
    earlier = torch.arange(outputs.shape[-1], device=outputs.device) < labels
    return ((outputs > own) | ((outputs == own) & earlier)).sum(-1)

"""Tokens: a token of a vocabulary for each position of a text, as language models tell the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.data.names import MASKS
from widthwise.data.targets import IGNORED
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.per_class import per_class
from widthwise.metrics.quality.class_scores import class_feed
from widthwise.metrics.quality.losses import Losses
from widthwise.metrics.quality.places import (
    check_labels,
    distance_of_places,
    loss_of_places,
    losses_of_rows,
    pieces,
)
from widthwise.metrics.quality.summed import Combine, SummedTally
from widthwise.metrics.quality.task import Answers, LossSettings, Options, float_outputs
from widthwise.metrics.quality.tasks import TOKENS, own_metrics
from widthwise.metrics.quality.torchmetrics import accumulators


@dataclass(frozen=True)
class Tokens:
    """Outputs are scores [n, T, vocabulary] before softmax; targets are tokens [n, T], -100: left out.

    Figures are over all positions that count together. Nothing of the size of the scores is made beside them,
    and nothing grows with the square of the vocabulary.
    """

    name: str = TOKENS
    metrics: Mapping[str, Metric] = field(default_factory=lambda: own_metrics(TOKENS))
    better: Sequence[str] = ("loss", "accuracy")
    answers: tuple[Answers, ...] = field(
        default_factory=lambda: (
            Losses("loss", _losses, _that_count),
            Losses("perplexity", _losses, _that_count, then="exponential"),
            Losses("accuracy", _wrong, _that_count, sign=-1),
        )
    )

    def targets(
        self, inputs: Mapping[str, Tensor], given: Tensor | None, run: Callable[[], Tensor]
    ) -> Tensor:
        """The next token of each position.

        Labels that repeat the inputs, as Hugging Face's collators give them, and no labels at all stand for
        the inputs one position on. Where a mask says that a position is padding, it is left out.
        """
        found = next((x for name, x in inputs.items() if _are_tokens(name, x, given)), None)
        if given is None and found is None:
            raise UserError("the data has neither labels nor whole numbers [n, T] that could be tokens")
        mask = next((inputs[name] for name in MASKS if name in inputs), None)
        if found is None or (given is not None and not _repeats(given, found)):
            assert given is not None  # for there were tokens, or that was told
            return given
        labels = found if given is None else given
        if mask is not None and mask.shape == labels.shape:
            labels = labels.masked_fill(mask == 0, IGNORED)
        return torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)

    def outputs(self, result: Any) -> Tensor:
        """The scores; raises UserError where they are no floats."""
        return float_outputs(result, "let it return scores [n, T, vocabulary], floats")

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        """Raises UserError for targets that aren't a token for each position."""
        if len(outputs) < 2:
            raise UserError(
                f"{about.title}: the network gives {['n', *outputs]}; tokens takes [n, T, vocabulary]"
            )
        said = "tokens takes a whole number for each position, [n, T] for scores [n, T, vocabulary]"
        check_labels(targets, outputs[:-1], outputs[-1], about, said)

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """The mean cross entropy of the positions that count."""
        return loss_of_places(outputs.flatten(0, -2), targets.flatten(), settings)

    def weighed_classes(self, outputs: tuple[int, ...]) -> int:
        """How many tokens weights are for."""
        return outputs[-1]

    def distance(self, outputs: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Kullback-Leibler divergence of a position's scores from the teacher's, both softened."""
        return distance_of_places(outputs.flatten(0, -2), teacher.flatten(0, -2), temperature)

    def tally(
        self,
        rows: int,
        metrics: Sequence[str],
        about: DataFacts,
        outputs: tuple[int, ...],
        options: Options | None = None,
    ) -> SummedTally:
        """Losses and right tokens, and torchmetrics' own of the positions that count."""
        for name in metrics:
            if per_class(name):
                raise UserError(f"{name}: is not for tokens; allowed: {', '.join(self.metrics)}")
        others = accumulators(metrics, class_feed(outputs[-1], rows_that_count), options)
        return SummedTally(rows, Positions(prod(outputs[:-1])), self.metrics, others)


@dataclass(frozen=True, eq=False)
class Positions:
    """Losses, right answers and how many positions count, of texts of so many positions."""

    positions: int

    @property
    def columns(self) -> Mapping[str, tuple[int, Combine]]:
        """Sums over the positions."""
        return dict.fromkeys(("loss", "right", "counted", "broken"), (1, "sum"))

    def fresh(self) -> Positions:
        """Itself: blocks change nothing."""
        return self

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Of scores [V, n, T, C] for tokens [n, T]: version by version, a few positions at a time."""
        labels = targets.flatten()
        counts = labels != IGNORED
        wanted = labels.masked_fill(~counts, 0)
        found = [self._of_one(version.flatten(0, -2), wanted, counts) for version in outputs]
        loss, right, broken = (torch.tensor(column)[:, None] for column in zip(*found, strict=True))
        return {"loss": loss, "right": right, "broken": broken, "counted": counts.sum()[None]}

    def _of_one(self, scores: Tensor, wanted: Tensor, counts: Tensor) -> tuple[float, float, float]:
        """Loss, right answers and whether a score is NaN, of scores [n T, C] for tokens [n T] that count."""
        loss, right = 0.0, 0
        for part in pieces(len(wanted), scores.shape[-1]):
            rows, counted = scores[part], counts[part]
            loss += float(losses_of_rows(rows, wanted[part])[counted].sum(dtype=torch.float64))
            right += int((rows.argmax(-1) == wanted[part])[counted].sum())
        return loss, float(right), float(np.isnan(loss))

    def values(self, metrics: Sequence[str], found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """The metrics [R]."""
        counted = found["counted"][:, 0]
        loss = found["loss"][:, 0] / counted
        with np.errstate(over="ignore"):
            own = {"loss": loss, "perplexity": np.exp(loss), "accuracy": found["right"][:, 0] / counted}
        return {name: own[name] for name in metrics}

    def hopes(
        self, metrics: Sequence[str], found: Mapping[str, FloatArray], left: FloatArray
    ) -> Mapping[str, FloatArray]:
        """If all positions that are left were right, without loss, and counted."""
        more = left * self.positions
        total = found["counted"][:, 0] + more
        loss, right = found["loss"][:, 0] / total, (found["right"][:, 0] + more) / total
        with np.errstate(over="ignore"):
            own = {"loss": loss, "perplexity": np.exp(loss), "accuracy": right}
        return {name: own[name] for name in metrics}


def _that_count(targets: Tensor) -> Tensor:
    """How many positions of each sample count, [n]."""
    return (targets != IGNORED).flatten(1).sum(1)


def _losses(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropies [V, n] over the positions of a sample that count."""
    return _means(outputs, targets, losses_of_rows)


def _wrong(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of the positions of a sample that are wrong, [V, n], of those that count."""
    return _means(outputs, targets, lambda rows, tokens: rows.argmax(-1) != tokens)


def _means(outputs: Tensor, targets: Tensor, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Means [V, n] of what scores [places, C] lose for tokens [places], a few positions at a time."""
    counts = targets != IGNORED
    wanted = targets.masked_fill(~counts, 0).flatten()
    parts = list(pieces(len(wanted), outputs.shape[-1]))
    found = [
        torch.cat([of(rows[part], wanted[part]).double() for part in parts])
        for rows in (version.flatten(0, -2) for version in outputs)
    ]
    lost = torch.stack(found).reshape(len(outputs), *targets.shape).where(counts, 0.0)
    return lost.flatten(2).sum(2) / counts.flatten(1).sum(1).clamp(min=1)


def rows_that_count(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Scores [positions, C] of outputs [n, T, C], and their tokens [positions]: where they count."""
    counted = targets != IGNORED
    return outputs[counted], targets[counted]


def _are_tokens(name: str, x: Tensor, given: Tensor | None) -> bool:
    """Whether an input holds tokens, of the shape of the labels that are given."""
    whole = not x.is_floating_point() and x.dtype != torch.bool and name not in MASKS and x.ndim == 2
    return whole and (given is None or x.shape == given.shape)


def _repeats(labels: Tensor, tokens: Tensor) -> bool:
    """Whether labels [n, T] are the tokens themselves, where they count."""
    counts = labels != IGNORED
    return bool((labels[counts] == tokens[counts]).all())

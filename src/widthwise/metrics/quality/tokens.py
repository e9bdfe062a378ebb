"""Tokens: at each place of a sequence the token that comes next, of a vocabulary of any size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.data.targets import IGNORED
from widthwise.metrics.catalogue import Metric, find_metric
from widthwise.metrics.quality.class_scores import as_logits
from widthwise.metrics.quality.summed import Combine, SummedTally
from widthwise.metrics.quality.task import Answers, LossSettings, Options
from widthwise.metrics.quality.tasks import TOKENS, own_metrics
from widthwise.metrics.quality.torchmetrics import Feed, accumulator

AT_ONCE = 2**22  # scores that are worked on together, whatever the vocabulary


@dataclass(frozen=True)
class Tokens:
    """Outputs are scores [n, length, C] before softmax; targets [n, length] the token that comes next at each
    place, or -100 where none counts.

    Targets are as far along as the outputs: the data shift them, not the task. Every place counts the same,
    however the batches are padded.
    """

    name: str = TOKENS
    metrics: Mapping[str, Metric] = field(default_factory=lambda: own_metrics(TOKENS))
    better: Sequence[str] = ("loss",)
    answers: Answers | None = None

    def outputs(self, result: Any) -> Tensor:
        """The scores; raises UserError where they are no floats."""
        if not isinstance(result, Tensor) or not result.is_floating_point():
            kind = str(result.dtype) if isinstance(result, Tensor) else type(result).__name__
            raise UserError(
                f"the network returns a {kind}; let it return scores [n, length, vocabulary], floats"
            )
        return result

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        """Raises UserError for targets that aren't tokens, one for each place."""
        if targets.is_floating_point() or len(outputs) != 2 or tuple(targets.shape[1:]) != outputs[:1]:
            kind = str(targets.dtype).removeprefix("torch.")
            raise UserError(
                f"{about.title}: its targets are {kind} of shape {list(targets.shape)}, the network gives "
                f"{[len(targets), *outputs]}; tokens takes whole numbers [n, length] for scores "
                "[n, length, vocabulary]"
            )
        counted = targets[targets != IGNORED]
        if len(counted) and not 0 <= int(counted.min()) <= int(counted.max()) < outputs[1]:
            low, high = int(counted.min()), int(counted.max())
            raise UserError(
                f"{about.title}: token {low if low < 0 else high} is out of range; the network has scores "
                f"for 0 to {outputs[1] - 1}, and {IGNORED} is left out"
            )

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """The mean cross entropy of the tokens that count; 0 where there are none."""
        summed = cross_entropy(
            outputs.flatten(0, 1),
            targets.flatten().long(),
            ignore_index=IGNORED,
            label_smoothing=settings.label_smoothing,
            reduction="sum",
        )
        return summed / (targets != IGNORED).sum().clamp(min=1)

    def distance(self, outputs: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Kullback-Leibler divergence from the teacher's at each place, both softened, and their mean."""
        wanted = (teacher.flatten(0, 1) / temperature).softmax(dim=1)
        found = log_softmax(outputs.flatten(0, 1) / temperature, dim=1)
        return temperature**2 * kl_div(found, wanted, reduction="batchmean")

    def tally(
        self,
        rows: int,
        metrics: Sequence[str],
        about: DataFacts,
        outputs: tuple[int, ...],
        options: Options | None = None,
    ) -> SummedTally:
        """Sums of entropies and right answers, and accumulators for metrics of torchmetrics."""
        given, feed = options or {}, _feed(outputs[-1])
        others = {
            name: accumulator(name, feed, given.get(name)) for name in metrics if find_metric(name).source
        }
        return SummedTally(rows, Next(), self.metrics, others)


@dataclass(frozen=True)
class Next:
    """Of the tokens that count: their cross entropies, right answers, and how many there are."""

    @property
    def columns(self) -> Mapping[str, tuple[int, Combine]]:
        """Sums over the tokens."""
        return {"entropy": (1, "sum"), "right": (1, "sum"), "seen": (1, "sum")}

    def fresh(self) -> Next:
        """Itself: blocks change nothing."""
        return self

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Of scores [V, n, length, C] for targets [n, length]; nothing as large as a version's is made."""
        versions = [self._of_version(scores, targets.flatten()) for scores in outputs]
        entropy, right = (torch.stack(parts)[:, None] for parts in zip(*versions, strict=True))
        return {"entropy": entropy, "right": right, "seen": (targets != IGNORED).sum().reshape(1)}

    def _of_version(self, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        entropy = right = torch.zeros((), dtype=torch.float64, device=scores.device)
        for part, wanted in _parts(scores.flatten(0, 1), targets):
            losses = cross_entropy(part.float(), wanted, ignore_index=IGNORED, reduction="none")
            entropy = entropy + losses.sum(dtype=torch.float64)
            right = right + (part.argmax(1) == wanted).sum()
        return entropy, right

    def values(self, metrics: Sequence[str], found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """The metrics [R]; perplexity beyond the largest float is infinite."""
        with np.errstate(over="ignore"):
            loss = (found["entropy"] / found["seen"])[:, 0]
            each = {
                "loss": loss,
                "perplexity": np.exp(loss),
                "accuracy": (found["right"] / found["seen"])[:, 0],
            }
        return {name: each[name] for name in metrics}

    def hopes(
        self, metrics: Sequence[str], found: Mapping[str, FloatArray], left: FloatArray
    ) -> Mapping[str, FloatArray]:
        """None: how many tokens are left is not known of samples."""
        return {}

    def of(self, name: str, each: Mapping[str, FloatArray]) -> FloatArray:
        """A metric [R] from those of its one output [R, 1]."""
        only: FloatArray = each[name][:, 0]
        return only

    def fed(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """[V, tokens, C] and [tokens], those that count."""
        counted = targets.flatten() != IGNORED
        return outputs.flatten(1, 2)[:, counted], targets.flatten()[counted].long()


def _parts(scores: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores [tokens, C] with targets [tokens], so many that their scores are few."""
    size = max(1, AT_ONCE // scores.shape[1])
    for start in range(0, len(scores), size):
        yield scores[start : start + size], targets[start : start + size].long()


def _feed(vocabulary: int) -> Feed:
    """How metrics of torchmetrics are fed, with what `Next.fed` gives: a few tokens stand for all."""
    tokens = torch.arange(min(vocabulary, 8)).repeat(2)
    outputs = torch.zeros(len(tokens), vocabulary)
    outputs[torch.arange(len(tokens)), tokens] = 4.0
    said = f"the scores of {vocabulary:,} tokens"
    return Feed(
        outputs, tokens, said, {"num_classes": vocabulary}, {"task": "multiclass"}, lambda *_: as_logits
    )

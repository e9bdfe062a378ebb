"""Labels of places, the pixels of an image or the tokens of a text: what both tasks of such labels need."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, xlogy
from torch.nn.functional import cross_entropy, log_softmax

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.data.targets import IGNORED
from widthwise.metrics.quality.task import LossSettings

VOID = 255  # as image data sets have it, where there are not so many classes
AT_ONCE = 2**22  # scores that are worked on together: 16 MiB


def without_void(labels: Tensor, classes: int) -> Tensor:
    """The labels, those of places that don't count being IGNORED."""
    return labels.masked_fill(labels == VOID, IGNORED) if classes <= VOID else labels


def labels_of(targets: Tensor, places: tuple[int, ...]) -> Tensor:
    """Targets [n, places] as they are, those [n, 1, places] without that axis, and whole floats as numbers.

    Masks come so from readers of images, and one logit a place takes them so in torch's binary losses.
    """
    if tuple(targets.shape[1:]) == (1, *places):
        targets = targets[:, 0]
    return targets.long() if targets.is_floating_point() and are_whole(targets) else targets


def are_whole(targets: Tensor) -> bool:
    """Whether all of these floats are whole numbers."""
    return bool((targets.isfinite() & (targets == targets.round())).all())


def check_labels(labels: Tensor, places: tuple[int, ...], classes: int, about: DataFacts, said: str) -> None:
    """Raises UserError for labels that aren't whole numbers below `classes`, one for each of the places.

    said: what the task takes.
    """
    if labels.is_floating_point() or labels.is_complex() or tuple(labels.shape[1:]) != places:
        kind = str(labels.dtype).removeprefix("torch.")
        raise UserError(
            f"{about.title}: its targets are {kind} of shape {list(labels.shape)}, the network has {classes} "
            f"classes for places of shape {list(places)}; {said}"
        )
    known = without_void(labels, classes)
    counted = known[known != IGNORED]
    low, high = (int(counted.min()), int(counted.max())) if counted.numel() else (0, 0)
    if low < 0 or high >= classes:
        raise UserError(
            f"{about.title}: label {low if low < 0 else high} is out of range; the network has {classes} "
            f"classes, so labels run from 0 to {classes - 1}, and {IGNORED} is left out"
        )


def loss_of_places(by_class: Tensor, labels: Tensor, settings: LossSettings) -> Tensor:
    """Mean cross entropy of scores [n, C, ...] for labels [n, ...], over the places that count."""
    labels = without_void(labels, by_class.shape[1])
    if bool((labels == IGNORED).all()):
        return loss_of_nothing(by_class)
    given, smoothing = settings.class_weights, settings.label_smoothing
    weight = None if given is None else by_class.new_tensor(given)
    return cross_entropy(by_class, labels, weight=weight, ignore_index=IGNORED, label_smoothing=smoothing)


def loss_of_nothing(outputs: Tensor) -> Tensor:
    """The loss of a batch whose labels are all left out: 0, where a mean would be NaN."""
    return outputs.sum() * 0


def distance_of_places(rows: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of scores [places, C] from the teacher's, both softened, of a place."""
    wanted = (teacher / temperature).softmax(-1)
    found = log_softmax(rows / temperature, -1)
    # kl_div of torch is the same to the last bit, but has no rule for several networks at once
    return temperature**2 * ((xlogy(wanted, wanted) - wanted * found).sum() / len(rows))


def pieces(samples: int, scores: int) -> Iterator[slice]:
    """Samples of so many scores each, as many at a time as are worked on together."""
    size = max(1, AT_ONCE // max(1, scores))
    for start in range(0, samples, size):
        yield slice(start, min(start + size, samples))


def losses_of_rows(rows: Tensor, labels: Tensor) -> Tensor:
    """Cross entropies [places] of scores [places, C] in one pass; NaN where a score is."""
    return torch.logsumexp(rows, -1) - rows.gather(-1, labels[:, None])[:, 0]

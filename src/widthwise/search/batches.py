"""How many candidates a batch has, by how long they take and by who evaluates them."""

from __future__ import annotations

from widthwise.evaluators.protocol import Pace

PRUNING_BATCH = 64  # candidates, or this part of the space, where they are pruned by the batches before
PRUNING_PART = 32
TRAINED_EACH = 4  # candidates that each of several workers trains in a batch


def usual_batch(pace: Pace, size: int, *, enumerated: bool) -> int | None:
    """Candidates of a batch of a space of `size` where it only says how often is stored; None: as the
    strategy likes, which learns after each batch."""
    if pace.trains and (enumerated or pace.at_once == 1 or pace.together > 1):
        # what enumerates may have several that share a training
        return min(max(pace.together, pace.affordable) if enumerated else pace.together, size)
    return pace.affordable if enumerated else None


def batch_size(
    pace: Pace, size: int, *, enumerated: bool, natural: int = 1, prune: bool = False, workers: int = 0
) -> int:
    """Candidates of a batch, for so many workers, and a strategy whose natural batch is so great.

    Candidates are pruned by the front of the batches before, so these are short. Workers wait for the
    last of them at the end of each batch, so each gets several candidates where that changes no proposal.
    """
    usual = usual_batch(pace, size, enumerated=enumerated)
    if prune:
        return min(usual or natural, max(PRUNING_BATCH, size // PRUNING_PART))
    if not workers:
        return usual if usual is not None else min(natural, pace.affordable)
    each = TRAINED_EACH if pace.trains and enumerated else 1
    if usual is not None:
        return workers * each * usual
    return max(workers, min(natural, workers * pace.affordable))

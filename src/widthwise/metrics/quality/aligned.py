"""Outputs in the shape of their targets, for what is one's own: a difference would spread them out else."""

from __future__ import annotations

from torch import Tensor


def aligned(outputs: Tensor, targets: Tensor, *, before: int = 0) -> Tensor:
    """Outputs [n, 1] for targets [n] as [n], and so wherever only axes of length 1 are different.

    A difference of [n, 1] and [n] is [n, n], which nobody means. before: axes before that of the samples.
    """
    given, wanted = outputs.shape[before:], targets.shape
    if given == wanted or [x for x in given[1:] if x != 1] != [x for x in wanted[1:] if x != 1]:
        return outputs
    return outputs.reshape(*outputs.shape[:before], *wanted)

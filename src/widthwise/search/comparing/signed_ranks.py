"""Which differences between strategies are more than chance: signed ranks (Wilcoxon), corrected (Holm)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from widthwise.core.arrays import FloatArray

Measure = Literal["share at the end", "mean share"]
DECIMALS = 9  # differences that are equal but for rounding must share a rank


@dataclass(frozen=True)
class PairTest:
    """Two strategies over the same seeds.

    better, worse, equal: seeds in which `first` had more, less or as much. difference: the median of first -
    second. p: two-sided, of this pair alone; holm: corrected for all pairs tested by this measure.
    """

    measure: Measure
    first: str
    second: str
    better: int
    worse: int
    equal: int
    difference: float
    p: float
    holm: float


def signed_rank_p(differences: FloatArray) -> float:
    """Two-sided p of paired differences [S] under Wilcoxon's signed-rank test; 1 where all are zero.

    Zeros are discarded (Wilcoxon 1945). Up to 13 others it is exact, ties included: scipy then goes through
    all signs, or has the distribution in closed form where no two are tied.
    """
    from scipy.stats import wilcoxon

    rounded = np.round(differences, DECIMALS)
    left = rounded[rounded != 0]
    return float(wilcoxon(left).pvalue) if len(left) else 1.0


def holm(ps: Sequence[float]) -> list[float]:
    """The p values corrected so that the chance of any false finding keeps its level (Holm 1979)."""
    corrected = [0.0] * len(ps)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = highest
    return corrected


def pair_tests(measure: Measure, scores: Mapping[str, FloatArray]) -> tuple[PairTest, ...]:
    """All pairs of strategies, by a score [S] per seed for each, more is better."""
    pairs = list(combinations(scores, 2))
    differences = [np.round(scores[first] - scores[second], DECIMALS) for first, second in pairs]
    ps = [signed_rank_p(difference) for difference in differences]
    return tuple(
        PairTest(
            measure,
            first,
            second,
            int((difference > 0).sum()),
            int((difference < 0).sum()),
            int((difference == 0).sum()),
            float(np.median(difference)) + 0.0,  # no -0.0
            p,
            corrected,
        )
        for (first, second), difference, p, corrected in zip(pairs, differences, ps, holm(ps), strict=True)
    )


def least_p(seeds: int) -> float:
    """The smallest two-sided p that so many seeds can show: all differences of one sign."""
    return float(2.0 ** (1 - seeds))

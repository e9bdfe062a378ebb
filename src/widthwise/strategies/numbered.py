"""Random numbers of single proposals: they follow from the seed and the proposal's number alone.

So a search that is resumed needs no generator's history: what it proposes next depends on how many were
proposed, and on what was told of them.
"""

from __future__ import annotations

import numpy as np


def generator(seed: int, number: int, stream: int = 0) -> np.random.Generator:
    """Those of one proposal; `stream` keeps several uses apart."""
    return np.random.default_rng([seed, stream, number])


def derived_seed(seed: int, number: int) -> int:
    """A seed of 32 bits for one proposal."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])

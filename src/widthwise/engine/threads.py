"""Threads for small work: waiting for one another would take longer than the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL = 2**20  # bytes of a value, up to which one thread is faster than two


@contextmanager
def threads_for(value_bytes: float) -> Iterator[None]:
    """Torch's own number of threads inside, but a single one where values are small."""
    usual = torch.get_num_threads()
    if usual == 1 or value_bytes > SMALL:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)

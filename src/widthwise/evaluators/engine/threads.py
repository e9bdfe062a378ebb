"""Threads by the size of values: where they are small, one is faster than two."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from widthwise.core.threads import one_torch_thread

SMALL = 2**20  # bytes of a value, up to which one thread is faster than two


def threads_for(value_bytes: float) -> AbstractContextManager[None]:
    """Torch's own number of threads inside, but a single one where values are small."""
    return one_torch_thread() if value_bytes <= SMALL else nullcontext()

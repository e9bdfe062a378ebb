"""How far long work is that has no result yet (calibrating, a supernet, tables), told to whoever listens.

It goes by a logger, so that what works deep inside needs to know nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LOGGER = logging.getLogger("widthwise.steps")


@dataclass(frozen=True)
class Step:
    """What is done now, and how much of it: `done` of `total`; None where nobody knows how much there is."""

    doing: str
    done: int = 0
    total: int | None = None


def step(doing: str, done: int = 0, total: int | None = None) -> None:
    """Tell that something is begun, or how far it is."""
    if LOGGER.isEnabledFor(logging.DEBUG):
        LOGGER.debug("%s %d/%s", doing, done, total, extra={"step": Step(doing, done, total)})


@contextmanager
def listening(told: Callable[[Step], None]) -> Iterator[None]:
    """Inside, `told` hears every step of this process, and no log does."""
    handler = _Teller(told)
    before = LOGGER.level, LOGGER.propagate
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.propagate = False
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(before[0])
        LOGGER.propagate = before[1]


class _Teller(logging.Handler):
    """Hands steps on."""

    def __init__(self, told: Callable[[Step], None]) -> None:
        super().__init__(logging.DEBUG)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        found = getattr(record, "step", None)
        if isinstance(found, Step):
            self._told(found)

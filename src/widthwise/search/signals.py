"""Ctrl-C and SIGTERM as an orderly stop: work is dropped at once, but never in the middle of storing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Raised inside interruptible work; no `except Exception` on the way swallows it."""


class StopSignals:
    """What arrived: `received` is the signal's number, None so far.

    The first signal ends interruptible work, or waits for the end of what must not be cut. The second one
    acts as if nobody had listened.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._open = False

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, a signal raises Interrupted; so does entering after one arrived."""
        if self.received is not None:
            raise Interrupted
        self._open = True
        try:
            yield
        finally:
            self._open = False
        if self.received is not None:  # someone inside swallowed it, as destructors and callbacks do
            raise Interrupted

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of both signals."""
        del frame
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received = number
        if self._open:
            raise Interrupted


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Listen while inside; does nothing outside the main thread and for signals that are ignored (nohup)."""
    signals = StopSignals()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, signals.handle)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

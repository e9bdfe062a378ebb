"""How far reading trials is: after a second a line that moves on a terminal, elsewhere nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from widthwise.core.counting import count_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

AFTER = 1.0  # seconds without a line: most are done by then


@dataclass
class ReadingProgress:
    """To be given to what reads trials as `progress`, inside `with`, and to be told of `steps` after it.

    live: stderr's console; None: nothing is wanted there.
    """

    live: Console | None
    _moving: Live | None = None
    _shown: str = ""  # instead of counts
    _read: tuple[int, int] = (0, 0)
    _since: float = field(default_factory=time.monotonic)
    _begun: float = field(default_factory=time.monotonic)  # what is shown now

    def __call__(self, read: int, total: int) -> None:
        """Take in how many trials are read, of how many."""
        if read < self._read[0]:  # they are read again
            self._begun = time.monotonic()
        self._read, self._shown = (read, total), ""
        self._show()

    def step(self, doing: str) -> None:
        """Take in what is done now, of which nobody knows how far it is."""
        self._shown, self._begun = doing, time.monotonic()
        self._show()

    def __enter__(self) -> ReadingProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._moving is not None:
            self._moving.stop()
            self._moving = None

    def __rich__(self) -> Text:
        """The line, its clock running on."""
        from rich.text import Text

        took = time.monotonic() - self._begun
        text = f"{self._shown} · {took:,.1f} s" if self._shown else reading_line(*self._read, took)
        return Text(text, no_wrap=True, overflow="ellipsis")

    def _show(self) -> None:
        console = self.live
        if self._moving is not None or console is None or time.monotonic() - self._since < AFTER:
            return
        if console.is_terminal and not console.is_dumb_terminal:
            from rich.live import Live

            self._moving = Live(
                self,
                console=console,
                refresh_per_second=8,
                transient=True,
                redirect_stdout=False,  # results go there meanwhile
                redirect_stderr=False,
            )
            self._moving.start(refresh=True)


def reading_line(read: int, total: int, seconds: float) -> str:
    """`reading trials 320,000/1,000,000 · 160,000 a second · 4.2 s left`."""
    rate = read / seconds if seconds > 0 else 0.0
    speed = f" · {rate:,.0f} a second · {(total - read) / rate:,.1f} s left" if rate else ""
    return f"reading trials {count_text(read)}/{count_text(total)}{speed}"

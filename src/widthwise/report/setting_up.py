"""The steps of a long set-up: after a second a line that moves on a terminal, elsewhere one now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from widthwise.core.counting import count_text
from widthwise.core.plain import plain
from widthwise.core.steps import Step
from widthwise.report.terminal import shown_seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

AFTER = 1.0  # seconds without a line: most are done by then
SECONDS_BETWEEN_LINES = 10.0


class StepProgress:
    """To be told of steps, as `core.steps.listening` does; shows them on `console`, stderr's, until `stop`.

    None: nothing is shown. After `stop` it still takes in steps, for who shows `line` elsewhere.
    """

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._live: Live | None = None
        self._now: Step | None = None
        self._first = 0  # of the counts of what is done now
        self._begun = self._said = self._since = time.monotonic()

    @property
    def told(self) -> bool:
        """Whether there was any step."""
        return self._now is not None

    def __call__(self, step: Step) -> None:
        """Take in what is done now."""
        now = time.monotonic()
        if self._now is None or step.doing != self._now.doing or step.done < self._now.done:
            self._begun, self._first = now, step.done
        self._now = step
        console = self._console
        if console is None or now - self._since < AFTER or self._live is not None:
            return
        if console.is_terminal and not console.is_dumb_terminal:
            from rich.live import Live

            self._live = Live(self, console=console, refresh_per_second=8, transient=True)
            self._live.start()
        elif now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            console.print(self.line(), soft_wrap=True)

    def stop(self) -> None:
        """Take the line away, and show none any more."""
        if self._live is not None:
            self._live.stop()
        self._live = self._console = None

    def line(self) -> str:
        """`calibrating formats, samples 512/1,024 · 85 a second · 6.0 s left`; nothing before any step."""
        step = self._now
        if step is None:
            return ""
        took = time.monotonic() - self._begun
        if step.total is None:
            return plain(f"{step.doing} {count_text(step.done)} · {took:,.1f} s")
        parts = [f"{step.doing} {count_text(step.done)}/{count_text(step.total)}", f"{took:,.1f} s"]
        done = step.done - self._first
        if done > 0 and took > 0:
            rate = done / took
            parts.append(f"{rate:,.0f} a second" if rate >= 1 else f"{1 / rate:,.1f} s each")
            parts.append(f"{shown_seconds((step.total - step.done) / rate)} left")
        return plain(" · ".join(parts))

    def __rich__(self) -> Text:
        """The line, its clock running on."""
        from rich.text import Text

        return Text(self.line(), no_wrap=True, overflow="ellipsis")

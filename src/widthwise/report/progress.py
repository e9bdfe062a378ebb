"""The progress of a search: live on a terminal, elsewhere a plain line every so often."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from widthwise.core.counting import count_text
from widthwise.core.plain import plain
from widthwise.core.steps import listening
from widthwise.report.setting_up import StepProgress
from widthwise.report.terminal import shown_number, shown_seconds
from widthwise.search.limits import Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

SECONDS_BETWEEN_LINES = 10.0
BAR = 24


class SearchProgress:
    """To be given to a search as `progress`, inside `with`; writes to `console`, which is stderr's.

    It begins to show with `start`, so that what is printed before it stands above.
    """

    def __init__(self, console: Console, *, enabled: bool = True) -> None:
        self._steps = StepProgress(console if enabled else None)
        self._listening = ExitStack()
        self._console = console
        self._enabled = enabled
        self._live: Live | None = None
        self._last: Progress | None = None
        self._at = self._said = time.monotonic()

    def start(self) -> None:
        """Begin to show."""
        self._steps.stop()
        self._at = self._said = time.monotonic()
        if self._enabled and self._console.is_terminal and not self._console.is_dumb_terminal:
            from rich.live import Live

            self._live = Live(self, console=self._console, refresh_per_second=8)
            self._live.start()

    def __call__(self, progress: Progress) -> None:
        """Take in how far the search is."""
        self._last, self._at = progress, time.monotonic()
        if self._live is None and self._enabled and self._at - self._said >= SECONDS_BETWEEN_LINES:
            self._said = self._at
            parts = (_counts(progress, progress.seconds), _best(progress))
            self._console.print(" · ".join(filter(None, parts)), soft_wrap=True)

    def __rich__(self) -> RenderableType:
        """The live line, its clock running on between two reports."""
        from rich.text import Text

        if self._last is None:
            waited = f"the first candidates are being evaluated · {time.monotonic() - self._at:.1f} s"
            lines = [waited, *([self._steps.line()] if self._steps.told else [])]
            return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
        seconds = self._last.seconds + time.monotonic() - self._at
        shown = f"{_bar(self._last)} {_counts(self._last, seconds)}"
        best = _best(self._last)
        return Text(f"{shown}\n{best}" if best else shown, no_wrap=True, overflow="ellipsis")

    def __enter__(self) -> Self:
        if self._enabled:
            self._listening.enter_context(listening(self._steps))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        self._steps.stop()
        if self._live is not None:
            if self._last is not None:  # the clock stands where the search ended
                self._at = time.monotonic()
            self._live.stop()


def _bar(progress: Progress) -> str:
    """A bar of BAR places, a third of its time or trials done: ━━━━━━━━────────────────."""
    shares = [progress.trials / progress.total] if progress.total else []
    if progress.timeout:
        shares.append(progress.seconds / progress.timeout)
    done = min(round(BAR * max(shares, default=0.0)), BAR)
    return "━" * done + "─" * (BAR - done)


def _counts(progress: Progress, seconds: float) -> str:
    """18/18 trials · 412 a second · 0.1/20,000 s."""
    total = "" if progress.total is None else f"/{count_text(progress.total)}"
    limit = "" if progress.timeout is None else f"/{progress.timeout:,.0f}"
    rate = f"{progress.rate:,.0f} a second" if progress.rate >= 1 or not progress.rate else _slow(progress)
    parts = [f"{count_text(progress.trials)}{total} trials", rate, f"{seconds:,.1f}{limit} s"]
    if (left := _left(progress, seconds)) is not None and left >= 1:
        parts.append(f"{shown_seconds(left)} left")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.stopped:
        parts.append(f"{progress.stopped:,} stopped early")
    return " · ".join(parts)


def _left(progress: Progress, seconds: float) -> float | None:
    """Seconds until its trials or its time are over, at the rate so far; None where nobody knows."""
    ends = []
    if progress.total is not None and progress.rate > 0:
        ends.append((progress.total - progress.trials) / progress.rate)
    if progress.timeout is not None:
        ends.append(progress.timeout - seconds)
    return max(0.0, min(ends)) if ends else None


def _best(progress: Progress) -> str:
    """The best of each objective, of a trial each, which need not be one trial; nothing so far is nothing."""
    best = ", ".join(
        f"{name} {shown_number(progress.metrics.get(name), value)}" for name, value in progress.best.items()
    )
    if not best:
        return ""
    each = " (each of a trial of its own)" if len(progress.best) > 1 else ""
    return plain(f"best {best}{each} · {progress.front} on the front")


def _slow(progress: Progress) -> str:
    return f"{1 / progress.rate:,.1f} s each"

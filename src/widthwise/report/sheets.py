"""Tables as text, for the terminal and for pages; and how counts and short times are written."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.report.terminal import shown_seconds


@dataclass(frozen=True)
class Sheet:
    """A table as text; columns between the first `left` and the last `words` ones hold numbers."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    words: int = 0

    def holds_numbers(self, column: int) -> bool:
        """Whether the column from 0 holds numbers, and stands to the right."""
        return self.left <= column < len(self.headers) - self.words


def brief_time(seconds: float) -> str:
    """45 µs, 3.1 ms, 2.4 s."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else shown_seconds(seconds)


def plural(count: int, word: str) -> str:
    """1 seed, 10 seeds."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"

"""The epochs of a training: a line that moves on a terminal, elsewhere those of epochs 1, 2, 5, 10, 20 …"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from widthwise.core.figures import shown_figure
from widthwise.core.plain import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

from widthwise.training.history import Epoch


@dataclass
class EpochProgress:
    """To be given to a training as `progress`, inside `with`; `total` epochs are the most there will be.

    live: stderr's console, for the line that moves; log: stdout's, for lines where that is no terminal. None:
    neither is wanted there.
    """

    live: Console | None
    log: Console | None
    total: int
    _moving: Live | None = None
    _since: float = field(default_factory=time.monotonic)

    def __call__(self, epoch: Epoch) -> None:
        """Take in what an epoch led to."""
        if self._moving is not None:
            from rich.text import Text

            self._moving.update(Text(self._line(epoch), no_wrap=True, overflow="ellipsis"))
        elif self.log is not None and (_is_round(epoch.number) or epoch.number == self.total):
            self.log.print(epoch_line(epoch), soft_wrap=True)

    def __enter__(self) -> EpochProgress:
        if self.live is not None and self.live.is_terminal and not self.live.is_dumb_terminal:
            from rich.live import Live

            self._moving = Live("", console=self.live, refresh_per_second=8, transient=True)
            self._moving.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._moving is not None:
            self._moving.stop()

    def _line(self, epoch: Epoch) -> str:
        took = time.monotonic() - self._since
        left = took / epoch.number * (self.total - epoch.number)
        return epoch_line(epoch, f"/{self.total}  {took:,.0f} s, {left:,.0f} s left")


def _is_round(number: int) -> bool:
    digits = str(number)
    return digits[0] in "125" and not digits[1:].strip("0")


def epoch_line(epoch: Epoch, more: str = "") -> str:
    """`epoch   12/100  3 s, 22 s left  loss 0.8013  validation loss 0.8101  accuracy 0.7220`."""
    judged = "  ".join(
        f"{name} {shown_figure(value, 4)}" for name, value in reversed(list(epoch.values.items()))
    )
    return plain(
        f"epoch {epoch.number:>4}{more}  loss {shown_figure(epoch.train_loss, 4)}  validation {judged}"
    )

"""Counting trials as they come: how many, how many failed, and how many failed in a row."""

from __future__ import annotations

from collections.abc import Mapping

from widthwise.evaluators.protocol import is_stopped
from widthwise.study.store.records import Summary


class Counts:
    """`summary` counts over the study; `longest` failed in a row since `forgive`, the last for `reason`."""

    def __init__(self) -> None:
        self.summary = Summary()
        self.longest = 0
        self.reason = ""
        self._running = 0

    def add(self, *, asked: int, evaluated: int, failures: Mapping[int, str], seconds: float) -> None:
        """Take in a batch; failures are by row among those evaluated, seconds those of the whole study.

        Trials that stopped early are no failures.
        """
        stopped = sum(map(is_stopped, failures.values()))
        failures = {row: reason for row, reason in failures.items() if not is_stopped(reason)}
        for row in range(evaluated if failures else 0):
            self._running = self._running + 1 if row in failures else 0
            if self._running > self.longest:
                self.longest, self.reason = self._running, failures[row]
        if evaluated and not failures:
            self._running = 0
        old = self.summary
        self.summary = Summary(
            trials=old.trials + evaluated,
            failed=old.failed + len(failures),
            stopped=old.stopped + stopped,
            cut=old.cut + asked - evaluated,
            batches=old.batches + 1,
            seconds=seconds,
        )

    def forgive(self) -> None:
        """Start counting failures in a row anew: whoever resumes wants to try again."""
        self.longest = self._running = 0

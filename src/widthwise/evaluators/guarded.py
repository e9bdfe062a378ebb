"""Evaluating a batch so that what goes wrong with one candidate is its own failure, with the reason."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error
from widthwise.evaluators.protocol import Evaluate, Results


class TrialTimeout(BaseException):
    """Raised inside an evaluation that took too long; no `except Exception` on the way swallows it."""


def evaluate_guarded(
    evaluator: Evaluate,
    candidates: IntArray,
    *,
    metrics: Sequence[str],
    objectives: Sequence[str],
    trial_timeout: float | None = None,
) -> Results:
    """The `metrics` of candidates [K, D]; those without finite `objectives`, and pruned ones, are among the
    failures.

    One candidate that raises, runs past `trial_timeout` seconds or out of memory fails. Where a batch of
    several runs out of memory its halves are tried. What else a batch raises is nobody's in particular and is
    raised.
    """
    results = _attempt(evaluator, candidates, metrics, trial_timeout)
    failures = dict(results.failures) | results.stopped
    for name in objectives:
        for row in np.flatnonzero(~np.isfinite(results[name])).tolist():
            value = results[name][row]
            failures.setdefault(row, f"{name} is {'NaN' if np.isnan(value) else 'infinite'}")
    return Results(results.columns, dict(sorted(failures.items())), results.pruned)


def _attempt(
    evaluator: Evaluate, candidates: IntArray, metrics: Sequence[str], trial_timeout: float | None
) -> Results:
    alone = len(candidates) == 1
    start = time.monotonic()
    try:
        with _alarm(trial_timeout if alone else None):
            results = _checked(evaluator(candidates), len(candidates), metrics)
    except TrialTimeout:
        return _failed(metrics, f"ran past its {trial_timeout:g} s")
    except Exception as error:
        if alone:
            return _failed(metrics, describe_error(error))
        if not _out_of_memory(error):
            raise
    else:
        took = time.monotonic() - start
        if alone and trial_timeout is not None and took > trial_timeout:
            return _failed(metrics, f"took {took:.1f} s, more than its {trial_timeout:g} s")
        return results
    half = len(candidates) // 2
    parts = [_attempt(evaluator, part, metrics, None) for part in (candidates[:half], candidates[half:])]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in metrics}
    later = {half + row: reason for row, reason in parts[1].failures.items()}
    pruned = parts[0].pruned | {half + row for row in parts[1].pruned}
    halted = dict(parts[0].halted) | {half + row: said for row, said in parts[1].halted.items()}
    return Results(joined, {**parts[0].failures, **later}, pruned, halted=halted)


def _checked(results: Results, count: int, metrics: Sequence[str]) -> Results:
    """Only the metrics asked for, float64 [count] each; UserError where one is missing or misshaped."""
    found: dict[str, FloatArray] = {}
    for name in metrics:
        if name not in results:
            raise unknown("metric", name, results, where="the evaluator's results")
        values = np.asarray(results[name], dtype=np.float64)
        if values.shape != (count,):
            raise UserError(
                f"the evaluator gave {name} as {values.shape} for {count} candidates; want ({count},)"
            )
        found[name] = values
    return Results(found, results.failures, results.pruned, halted=results.halted)


def _failed(metrics: Sequence[str], reason: str) -> Results:
    return Results({name: np.array([np.nan]) for name in metrics}, {0: reason})


def _out_of_memory(error: Exception) -> bool:
    """Python's and torch's; torch has no class of its own for it on a CPU."""
    text = str(error).lower()
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (
        isinstance(error, RuntimeError) and ("allocate memory" in text or "out of memory" in text)
    )


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Raises TrialTimeout inside when the time is over; only in the main thread, the only one that can."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise TrialTimeout

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

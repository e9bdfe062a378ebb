"""One assertion for all checks: what does not hold is said in a sentence."""

from __future__ import annotations


def holds(condition: object, sentence: str) -> None:
    """Raises AssertionError with the sentence, which says what must hold, unless it does."""
    if not condition:
        raise AssertionError(sentence)

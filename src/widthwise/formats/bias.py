"""Exponent biases: what formats take off an exponent's code, kept as None where it is the usual one."""

from __future__ import annotations

from widthwise.formats.base import check_integer


def checked_bias(name: str, bias: int | None, exponent_width: int, low: int, high: int) -> int | None:
    """The bias, or None where it is the usual one anyway; raises UserError unless it lies in [low, high]."""
    if bias is not None:
        check_integer(name, "exponent_bias", bias, low, high)
    return None if bias == usual_bias(exponent_width) else bias


def bias_or_usual(bias: int | None, exponent_width: int) -> int:
    """The bias, or where it is None the usual one."""
    return usual_bias(exponent_width) if bias is None else bias


def usual_bias(exponent_width: int) -> int:
    """2^(exponent_width - 1) - 1, as in IEEE 754: half of the codes lie on either side."""
    return (1 << (exponent_width - 1)) - 1

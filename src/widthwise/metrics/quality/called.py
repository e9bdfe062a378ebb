"""A metric of one's own called on outputs: what it gives is checked, and what goes wrong is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.own import described

SLACK = 1e-6  # of the ends of a range, which rounding may pass


@dataclass(frozen=True, eq=False)
class Called:
    """A metric with the callable that computes it."""

    metric: Metric
    compute: Callable[..., Any]

    def of_all(self, outputs: Tensor, targets: Tensor) -> float:
        """The one number for outputs [n, ...]; raises UserError, chained, for whatever goes wrong."""
        found = self._call(outputs, targets)
        array = _array(found)
        if array is None or array.size != 1:
            raise self._error(f"gave {_what(found, array)}; it must give one number")
        return self.checked(float(array.reshape(())))

    def of_samples(self, outputs: Tensor, targets: Tensor) -> FloatArray:
        """A number for each sample, [n]; raises UserError as `of_all`."""
        found = self._call(outputs, targets)
        array = _array(found)
        if array is None or array.shape != (len(targets),):
            raise self._error(
                f"gave {_what(found, array)} for {len(targets)} samples; it must give one number for each"
            )
        return array.astype(np.float64)

    def checked(self, value: float) -> float:
        """The value; UserError where it is none, or outside the declared range."""
        metric = self.metric
        if np.isnan(value):
            raise self._error("gave NaN")
        for end, sign in ((metric.low, -1), (metric.high, 1)):
            if sign * (value - end) > SLACK * max(1.0, abs(end)):
                bound = "low" if sign < 0 else "high"
                raise self._error(f"gave {value:g}, but {bound} = {end:g}; declare the range that it has")
        return value

    def _call(self, outputs: Tensor, targets: Tensor) -> Any:
        try:
            return self.compute(outputs, targets)
        except Exception as error:  # it is the user's
            raise self._error(f"raised {describe_error(error)}") from error

    def _error(self, what: str) -> UserError:
        source = described(self.metric.source)
        named = source if source == self.metric.name else f"{self.metric.name}: {source}"
        return UserError(f"metric {named} {what}")


def _array(found: Any) -> FloatArray | None:
    """Real numbers as an array; None for what holds none."""
    if isinstance(found, Tensor):
        found = found.detach().cpu().double().numpy() if not found.is_complex() else None
    if isinstance(found, np.ndarray | np.generic | int | float | list | tuple):
        try:
            array = np.asarray(found)
        except ValueError:  # rows of several lengths
            return None
        return array if array.dtype.kind in "biuf" else None
    return None


def _what(found: Any, array: FloatArray | None) -> str:
    if array is None:
        return f"a {type(found).__name__}"
    if array.ndim > 1:
        return f"numbers of shape {list(array.shape)}"
    return "one number" if array.size == 1 else f"{array.size} numbers"

"""Calibration: what follows the data in formats ("auto" frac widths, scales) is fixed once and for all.

Formats of inputs are fixed from what the float network computes on typical data, formats of weights and
biases from their values. What differs from sample to sample (scales of blocks) stays as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.formats.base import Format
from widthwise.network.graph import Layer
from widthwise.network.output_channels import for_weight
from widthwise.network.scheme import TensorName

Formats = tuple[Format | None, ...]  # those that one tensor may have; None is float


class Readings:
    """What layers read as data_in while the float network runs, of those whose formats follow it.

    formats: of data_in, by layer.
    """

    def __init__(self, formats: Mapping[str, Formats]) -> None:
        self._formats = formats
        self._seen: dict[str, list[Tensor]] = defaultdict(list)

    def note(self, layer: str, read: Sequence[Tensor]) -> None:
        """A layer reads these, masks left out; each time that it runs counts."""
        if layer not in self._formats:
            return
        values = input_values(read)
        if fixed_by_inputs(self._formats[layer], values) != self._formats[layer]:
            self._seen[layer] += [x.clone() for x in values]  # a later layer may change them in place

    def fixed(self, layer: str) -> Formats:
        """The layer's formats, fixed by all that it has read."""
        return fixed_by_inputs(self._formats[layer], self._seen[layer])


def input_values(read: Sequence[Tensor]) -> list[Tensor]:
    """Of the tensors that a layer reads as data those that its format applies to: floats."""
    return [x.detach() for x in read if x.is_floating_point()]


def fixed_by_inputs(formats: Formats, values: Sequence[Tensor]) -> Formats:
    """The formats with what follows the data fixed from all these values of inputs [samples, …].

    One that would then fit only as many samples as there are here stays as it is.
    """
    return tuple(fmt and _fixed(fmt, values) for fmt in formats)


def fixed_by_stored(formats: Formats, layer: Layer, tensor: TensorName) -> Formats:
    """The formats with what follows the data fixed from the layer's one weight or bias.

    Several of them are followed by a format one by one, so it stays as it is. Scales of channels are those of
    the module's outputs.
    """
    if tensor == "weight":
        formats = tuple(for_weight(fmt, layer) for fmt in formats)
    stored = layer.stored.get(tensor, ())
    if len(stored) != 1:
        return formats
    one = stored[0]
    return tuple(fmt and fmt.calibrated(one.value if _has_axis(fmt) else one.whole) for fmt in formats)


def _fixed(fmt: Format, values: Sequence[Tensor]) -> Format:
    if not values:
        return fmt
    fixed = fmt.calibrated(_joined(fmt, values))
    try:
        for x in values:
            fixed.quantize(x[:1])
    except UserError:
        return fmt
    return fixed


def _joined(fmt: Format, values: Sequence[Tensor]) -> Tensor:
    """All values in one tensor; for formats with scales along an axis those of the first one's shape."""
    first = values[0]
    alike = [x for x in values if x.ndim and x.shape[1:] == first.shape[1:]]
    if len(alike) == len(values) or _has_axis(fmt):
        return torch.cat(alike) if len(alike) > 1 else first
    return torch.cat([x.flatten() for x in values])


def _has_axis(fmt: Format) -> bool:
    return getattr(fmt, "per", "tensor") != "tensor" or getattr(fmt, "axis", None) is not None

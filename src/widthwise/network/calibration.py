"""Calibration: what follows the data in formats ("auto" frac widths, scales) is fixed once and for all.

Formats of inputs are fixed from what the float network computes on typical data, block by block, formats of
weights and biases from their values. What differs from sample to sample (scales of blocks) stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.formats.base import Format, Observer
from widthwise.formats.observing import Everything
from widthwise.network.layer import Layer
from widthwise.network.output_channels import for_weight, of_layer
from widthwise.network.scheme import TensorName

Formats = tuple[Format | None, ...]  # those that one tensor may have; None is float


class Readings:
    """What fixes the formats of data_in, layer by layer, while the float network runs on block after block.

    formats: of data_in, by layer.
    """

    def __init__(self, formats: Mapping[str, Formats]) -> None:
        self._formats = {layer: list(each) for layer, each in formats.items()}
        self._started: set[str] = set()
        self._observers: dict[tuple[str, int], Observer] = {}
        self._rows: dict[str, dict[tuple[int, ...], Tensor]] = {}  # a sample of each shape that a layer read

    def note(self, layer: str, read: Sequence[Tensor]) -> None:
        """A layer reads these, masks left out; each time that it runs counts."""
        for x in input_values(read) if layer in self._formats else ():
            if layer not in self._started:
                self._start(layer, x)
            observers = [self._observers.get((layer, at)) for at in range(len(self._formats[layer]))]
            if any(observers):
                self._rows[layer].setdefault(tuple(x.shape[1:]), x[:1].clone() if x.ndim else x.clone())
            for observer in observers:
                if observer is not None:
                    observer.see(x)

    @property
    def finished(self) -> bool:
        """Whether each layer has read something, and nothing of it follows the data."""
        return not self._observers and self._started == self._formats.keys()

    @property
    def follows(self) -> bool:
        """Whether anything is still to be fixed by what is read."""
        return bool(self._observers)

    def settle(self) -> None:
        """All data has been read once: fixes what that fixes; if something still `follows`, read it again."""
        for key, observer in list(self._observers.items()):
            layer, at = key
            settled = observer.settled()
            if isinstance(settled, Format):
                del self._observers[key]
                if all(_takes(settled, x) for x in self._rows[layer].values()):
                    self._formats[layer][at] = settled
            else:
                self._observers[key] = settled

    def fixed(self, layer: str) -> Formats:
        """The layer's formats, fixed by all that it has read."""
        return tuple(self._formats[layer])

    def _start(self, layer: str, x: Tensor) -> None:
        self._started.add(layer)
        self._rows[layer] = {}
        for at, fmt in enumerate(self._formats[layer]):
            if fmt is not None and _can_be_fixed(fmt, x):
                self._observers[layer, at] = fmt.observer() or Everything(fmt)


def input_values(read: Sequence[Tensor]) -> list[Tensor]:
    """Of the tensors that a layer reads as data those that its format applies to: floats."""
    return [x.detach() for x in read if x.is_floating_point()]


def fixed_by_stored(formats: Formats, layer: Layer, tensor: TensorName) -> Formats:
    """The formats with what follows the data fixed from the layer's one weight or bias.

    Several of them are followed by a format one by one, so it stays as it is. Scales of channels are those of
    the module's outputs.
    """
    if tensor == "weight":
        formats = tuple(for_weight(fmt, of_layer(layer)) for fmt in formats)
    stored = layer.stored.get(tensor, ())
    if len(stored) != 1:
        return formats
    one = stored[0]
    return tuple(
        fmt and fmt.calibrated(one.value if _has_scales_by_axis(fmt) else one.whole) for fmt in formats
    )


def _can_be_fixed(fmt: Format, x: Tensor) -> bool:
    """Whether it follows the data, and would fit other numbers of samples once it is fixed."""
    two = torch.cat([x[:1], x[-1:]]) if x.ndim and len(x) else x
    fixed = fmt.calibrated(two)
    return fixed != fmt and _takes(fixed, x[:1] if x.ndim else x)


def _takes(fmt: Format, x: Tensor) -> bool:
    try:
        fmt.quantize(x)
    except UserError:
        return False
    return True


def _has_scales_by_axis(fmt: Format) -> bool:
    return getattr(fmt, "per", "tensor") != "tensor" or getattr(fmt, "axis", None) is not None

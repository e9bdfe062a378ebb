"""A quantised layer for code that looks at its layers, and must find those that it made."""

from __future__ import annotations

from typing import Any

from torch import nn

from widthwise.network.quantized import Quantized


class StandIn(Quantized):
    """A quantised layer that passes for the layer: it has its attributes, and isinstance counts it as one.

    Where fx can't follow a network, its own code runs, and may read `layer.weight.dtype` or take another path
    for another class; a MaseGraph is looked at by passes written for the lab. type(…) tells them apart.
    """

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The layer's class, as isinstance sees it beside our own."""
        return type(nn.Module.__getattr__(self, "layer"))

    def __getattr__(self, name: str) -> Any:
        """The layer's own attributes (in_features, weight …)."""
        try:
            return nn.Module.__getattr__(self, name)
        except AttributeError:
            if name == "layer" or name.startswith("__"):
                raise
            return getattr(self.layer, name)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """How copies are made; without this they would be made as the layer's class."""
        return _unfilled, (), dict(self.__dict__)

    def _get_name(self) -> str:
        return "Quantized"


def _unfilled() -> StandIn:
    """A wrapper whose state is set afterwards."""
    return StandIn.__new__(StandIn)

"""Networks with formats refuse tracing by torch.fx, which sees layers but not what formats do to numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx

from widthwise.core.errors import UserError


def check_seen(what: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raises UserError where torch.fx runs a module with formats on stand-ins, by a tracer that goes into it.

    hls4ml's converter does so: it finds the layer within, in float, and loses the formats without a word.
    what: the module.
    """
    stand_ins = isinstance(args, fx.Proxy) or isinstance(kwargs, fx.Proxy)
    if stand_ins or any(isinstance(value, fx.Proxy) for value in (*args, *kwargs.values())):
        raise UserError(
            f"{what}: torch.fx can't see its formats, so whatever traces it (as hls4ml's own converter does) "
            "would make another network of it; write it with `widthwise export RUN --trial N --to hls4ml` or "
            "widthwise.export(study, trial, 'hls4ml', folder), or trace it with Quantized as a leaf"
        )

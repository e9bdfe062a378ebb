"""Which way each number of a tensor is rounded: to the nearest, or up or down as it was found to be best.

What was found is written as "up:" and a bit for each number in the tensor's order, in hexadecimal digits.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.formats.base import wrong

if TYPE_CHECKING:
    from torch import Tensor

NEAREST, ADAPTIVE = "nearest", "adaptive"
FOUND = "up:"
WHOLE = 1e-4  # of a step, from a code

_WRITTEN = re.compile(r"up:(?:[0-9a-f]{2})*")


def check_rounding(format_name: str, value: object) -> None:
    """Raises UserError for what is no way to round."""
    if value in (NEAREST, ADAPTIVE) or (isinstance(value, str) and _WRITTEN.fullmatch(value)):
        return
    raise wrong(format_name, "rounding", value, allowed=(NEAREST, ADAPTIVE))


def is_found(rounding: str) -> bool:
    """Whether it says of each number which way it goes."""
    return rounding.startswith(FOUND)


def written_directions(up: Tensor) -> str:
    """The word for booleans of any shape, true for up."""
    import numpy as np

    return FOUND + np.packbits(up.flatten().cpu().numpy()).tobytes().hex()


def directed(codes: Tensor, rounding: str) -> Tensor:
    """Codes, not whole yet, each rounded as it was found; those that are whole, but for the last bits of a
    float, stay: what was rounded so stays as it is.

    Raises UserError for a tensor of another size.
    """
    import torch

    up = _read(rounding)
    if not 0 <= len(up) - codes.numel() < 8:
        raise UserError(
            f"a rounding that was found for about {len(up)} numbers is for the tensor of these, and this one "
            f"has shape {list(codes.shape)}; round the weight that it was found for"
        )
    nearest = codes.round()
    ups = torch.from_numpy(up[: codes.numel()]).to(codes.device).reshape(codes.shape)
    return torch.where((codes - nearest).abs() <= WHOLE, nearest, codes.floor() + ups)


@lru_cache(maxsize=64)
def _read(rounding: str):  # type: ignore[no-untyped-def]
    """The bits as an array of booleans, filled up to whole bytes."""
    import numpy as np

    packed = np.frombuffer(bytes.fromhex(rounding.removeprefix(FOUND)), dtype=np.uint8)
    return np.unpackbits(packed).astype(bool)

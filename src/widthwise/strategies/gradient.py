"""The strategy that goes along a training: its checkpoints in their order, each trained on from the last."""

from __future__ import annotations

import numpy as np

from widthwise.core.errors import UserError
from widthwise.spaces.path import PathSpace
from widthwise.spaces.settings import TRAINED
from widthwise.strategies.enumerate import Enumeration
from widthwise.strategies.protocol import Setting


class Gradient(Enumeration):
    """The checkpoints of a path of trained widths, from the lowest price of bits to the highest."""

    def __init__(self, setting: Setting) -> None:
        if not isinstance(setting.space, PathSpace):
            raise UserError(
                f'strategy gradient: trains widths, it chooses from no lists; set name = "{TRAINED}" in '
                "[search.search_space], or take another strategy"
            )
        every = np.arange(setting.space.size, dtype=np.int64)
        super().__init__(setting.space, [every], what="checkpoints")

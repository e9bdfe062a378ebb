"""Values told to a format block by block, and what is kept of them."""

from __future__ import annotations

from torch import Tensor

from widthwise.formats.base import Format, Observer


def observed(fmt: Format, blocks: list[Tensor]) -> Format:
    """The format, fixed from the blocks, read as often as it takes."""
    seeing: Observer | Format | None = fmt.observer()
    while not isinstance(seeing, Format):
        assert seeing is not None
        for x in blocks:
            seeing.see(x)
        seeing = seeing.settled()
    return seeing


def held_by(seeing: object) -> int:
    """Elements of the tensors that an object holds."""
    held = 0
    for value in vars(seeing).values():
        for one in value if isinstance(value, tuple | list) else [value]:
            held += one.numel() if isinstance(one, Tensor) else 0
            held += held_by(one) if hasattr(one, "see") else 0
    return held

"""The names that parts of a batch go by."""

from __future__ import annotations

MASKS = ("mask", "attention_mask")  # inputs that are 1 where a sequence is, 0 where it is padded

"""Small work runs in one thread, and torch's own number of threads is as before afterwards."""

from __future__ import annotations

import contextlib

import pytest
import torch

from widthwise.evaluators.engine.threads import SMALL, threads_for


@pytest.mark.parametrize(("size", "inside"), [(SMALL, 1), (SMALL + 1, 3), (float("inf"), 3)])
def test_small_values_take_one_thread(size: float, inside: int):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with contextlib.suppress(KeyError), threads_for(size):
            assert torch.get_num_threads() == inside
            raise KeyError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)

"""ONNX Runtime: levels of optimisation have to agree, what it does not take is one line."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from widthwise.core.errors import UserError
from widthwise.export.onnx_runtime import AtEveryLevel, kernels_note, session

LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


class Session:
    """Gives a number."""

    def __init__(self, value: float) -> None:
        self.value = value

    def get_inputs(self) -> list[object]:
        return []

    def run(self, *_: object) -> list[object]:
        return [(torch.ones(2) * self.value).numpy()]


def test_a_level_that_computes_something_else_is_found() -> None:
    sessions = dict.fromkeys(LEVELS, Session(1.0)) | {"ORT_ENABLE_EXTENDED": Session(1.5)}
    with pytest.raises(UserError, match="ORT_ENABLE_EXTENDED"):
        AtEveryLevel(sessions)()


def test_of_whole_numbers_every_bit_has_to_agree() -> None:
    sessions = dict.fromkeys(LEVELS, Session(1.0)) | {"ORT_ENABLE_ALL": Session(1.0 + 2**-20)}
    assert AtEveryLevel(sessions)()[0] == 1 + 2**-20
    with pytest.raises(UserError, match="ORT_ENABLE_ALL"):
        AtEveryLevel(sessions, exact=True)()


def test_a_file_that_it_does_not_take_is_one_line() -> None:
    with pytest.raises(UserError, match="ONNX Runtime does not take it") as raised:
        session(b"nothing")
    assert "\n" not in str(raised.value)


def test_kernels_are_told_with_how_many_layers_run_in_integers() -> None:
    told = kernels_note(Counter({"QGemm": 2, "QLinearConv": 1, "QLinearAdd": 1, "Gemm": 1}), 4)
    assert "runs 3 of 4 layers with weights in integer kernels: 1 Gemm, 2 QGemm, 1 QLinearAdd" in told

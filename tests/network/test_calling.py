"""Networks are called as their forward allows: by position, by name, with defaults, in any wrapper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from widthwise.data.batches import read_inputs
from widthwise.network.calling import arguments, call, positional, takes_of


class Net(nn.Module):
    def forward(self, a: Any, b: Any = 10, *more: Any, c: Any = 1000, **rest: Any) -> Any:
        return (a, b, more, c, rest)


class Plain(nn.Module):
    def forward(self, left: Tensor, right: Tensor | None = None) -> Tensor:
        return left


@pytest.mark.parametrize(
    ("inputs", "args", "named"),
    [
        ({"a": 1}, (1,), {}),
        ({"a": 1, "b": 2}, (1, 2), {}),
        ({"b": 2, "a": 1}, (1, 2), {}),
        ({"a": 1, "b": 2, "more_0": 3, "more_1": 4}, (1, 2, 3, 4), {}),
        ({"a": 1, "c": 5}, (1,), {"c": 5}),
        ({"b": 2}, (), {"b": 2}),
        ({"a": 1, "d": 6}, (1,), {"d": 6}),
    ],
)
def test_inputs_go_by_position_up_to_the_first_that_is_left_out(inputs: Any, args: Any, named: Any) -> None:
    assert arguments(takes_of(Net()), inputs) == (args, named)


def test_a_call_is_the_users_own() -> None:
    assert call(Net(), {"a": 1, "b": 2, "more_0": 3}) == Net()(1, 2, 3)
    assert call(Net(), {"a": 1, "c": 5, "d": 6}) == Net()(1, c=5, d=6)
    assert positional(Plain(), {"right": 3, "left": 1}) == (1, 3)
    assert positional(Plain(), {"left": 1}) == (1,)


WRAPPED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "itself": lambda net: net,
    "compiled": torch.compile,
    "parallel": nn.DataParallel,
    "both": lambda net: nn.DataParallel(torch.compile(net)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(wrap, id=name, marks=[pytest.mark.slow] if name in ("compiled", "both") else [])
        for name, wrap in WRAPPED.items()
    ],
)
@pytest.mark.filterwarnings("ignore")  # of torch's compiler, as it is imported
def test_a_wrapper_takes_what_the_network_inside_takes(wrap: Callable[[nn.Module], nn.Module]) -> None:
    takes = takes_of(wrap(Plain()))
    assert (takes.names, takes.needed) == (("left", "right"), {"left"})
    x = torch.ones(2, 3)
    assert read_inputs({"left": x, "id": x, "texts": ["a", "b"]}, takes).keys() == {"left"}


@pytest.mark.filterwarnings("ignore")  # of torch.jit, that it is deprecated
def test_a_network_of_jit_says_what_it_takes() -> None:
    takes = takes_of(torch.jit.script(nn.Linear(3, 2)))
    assert (takes.names, takes.needed) == (("input",), {"input"})

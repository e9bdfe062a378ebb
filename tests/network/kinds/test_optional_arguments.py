"""Arguments that have defaults are what they are by default; the data gives the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import widthwise as ww
from helpers.emulation import ALL, assert_rows_equal, loss_of, made_twice, rows
from helpers.networks.decisions import Two

LINEAR = {"linear": ALL}


class Flag(Two):
    def forward(self, x: Tensor, flag: bool = False) -> Tensor:
        h = self.a(x)
        if flag:
            h = h * 3
        return self.b(F.relu(h))


class FlagOn(Two):
    def forward(self, x: Tensor, use_relu: bool = True) -> Tensor:
        h = self.a(x)
        return self.b(F.relu(h) if use_relu else h)


class KeywordOnly(Two):
    def forward(self, x: Tensor, *, scale: float = 2.0, flip: bool = False) -> Tensor:
        h = self.a(x) * scale
        if flip:
            h = -h
        return self.b(F.relu(h))


class Mode(Two):
    def forward(self, x: Tensor, mode: str = "mean", rounds: int = 2) -> Tensor:
        h = self.a(x)
        for _ in range(rounds):
            h = torch.tanh(h) if mode == "mean" else h
        return self.b(h)


class Mask(Two):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        h = F.relu(self.a(x))
        return self.b(h if mask is None else h * mask)


class ManyMasks(Two):
    """As transformers' networks have them."""

    def forward(
        self,
        x: Tensor,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        h = self.a(x)
        if attention_mask is not None:
            h = h + attention_mask
        use_cache = use_cache if use_cache is not None else False
        logits = self.b(F.relu(h))
        if labels is not None:
            return F.cross_entropy(logits, labels), logits
        return {"logits": logits} if return_dict else (logits,)


class ReturnDict(Two):
    def forward(self, x: Tensor, return_dict: bool = True) -> Any:
        logits = self.b(F.relu(self.a(x)))
        return {"logits": logits} if return_dict else (logits,)


class TensorDefault(Two):
    """A tensor as the default: evaluated once, when the class is made."""

    def forward(self, x: Tensor, scale: Tensor = torch.full((8,), 0.5)) -> Tensor:  # noqa: B008
        return self.b(F.relu(self.a(x) * scale))


class Positional(Two):
    def forward(self, *inputs: Tensor) -> Tensor:
        h = self.a(inputs[0])
        return self.b(F.relu(h) if len(inputs) == 1 else h)


class Keywords(Two):
    def forward(self, x: Tensor, **options: Any) -> Tensor:
        h = self.a(x) * options.get("scale", 2.0)
        return self.b(F.relu(h) if not options else h)


class Everything(Two):
    def forward(self, x: Tensor, *others: Any, flag: bool = False, **options: Any) -> Tensor:
        h = self.a(x)
        if flag or others or options:
            return self.b(h)
        return self.b(F.relu(h))


class Passed(nn.Module):
    """Options that a network hands on to its part."""

    def __init__(self) -> None:
        super().__init__()
        self.part = KeywordOnly()

    def forward(self, x: Tensor, **options: Any) -> Tensor:
        return self.part(x, flip=True, **options)


class PassedPositionally(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part = Flag()

    def forward(self, x: Tensor, flag: bool = True) -> Tensor:
        return self.part(x, flag)


class ListDefault(Two):
    def forward(self, x: Tensor, scales: tuple[float, ...] = (0.5, 2.0), names: Any = ()) -> Tensor:
        h = self.a(x)
        for scale in scales:
            h = torch.tanh(h * scale)
        return self.b(h if not names else -h)


class CallableDefault(Two):
    def forward(self, x: Tensor, activation: Callable[[Tensor], Tensor] = torch.sigmoid) -> Tensor:
        return self.b(activation(self.a(x)))


class DtypeDefault(Two):
    def forward(self, x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        return self.b(F.relu(self.a(x.to(dtype))))


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    made.__name__: made
    for made in (
        *(Flag, FlagOn, KeywordOnly, Mode, Mask, TensorDefault, Positional, Keywords, Everything, Passed),
        *(PassedPositionally, ListDefault, CallableDefault, DtypeDefault),
    )
}


@pytest.mark.parametrize("name", NETWORKS)
def test_defaults_hold_in_a_float_row(name: str):
    (model, other), data = made_twice(NETWORKS[name]), rows()
    expected = loss_of(other, data)
    assert ww.evaluate(model, data, metrics=["loss"])["loss"] == pytest.approx(expected, rel=1e-5)
    assert ww.evaluate(ww.Graph(model), data, metrics=["loss"])["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_defaults_hold_for_each_candidate(name: str):
    assert_rows_equal(NETWORKS[name], rows(), LINEAR, weights=2)


@pytest.mark.parametrize(
    "make", [Flag, FlagOn, KeywordOnly, Mode, ListDefault], ids=lambda make: make.__name__
)
def test_options_with_defaults_need_no_way_around_torch_fx(make: Callable[[], nn.Module]):
    assert ww.Graph(make()).capture == "fx"


@pytest.mark.parametrize("make", [ManyMasks, ReturnDict], ids=lambda make: make.__name__)
def test_networks_that_may_give_dicts_are_judged_by_their_logits(make: Callable[[], nn.Module]):
    (model, other), data = made_twice(make), rows()
    other.eval()
    with torch.no_grad():
        given = other(data.inputs[0])
    logits = given["logits"] if isinstance(given, dict) else given[0]
    expected = float(F.cross_entropy(logits.double(), data.labels))
    assert ww.evaluate(model, data, metrics=["loss"])["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("make", [Mask, ManyMasks], ids=lambda make: make.__name__)
def test_batches_may_give_what_has_a_default(make: Callable[[], nn.Module]):
    """A second input, by its position: the branch for it is taken."""
    (model, other), data = made_twice(make), rows()
    mask = torch.linspace(0, 2, 8).repeat(len(data.labels), 1)
    both = type(data)((data.inputs[0], mask), data.labels)
    expected, without = loss_of(other, both), loss_of(other, data)
    assert abs(expected - without) > 1e-4
    assert ww.evaluate(model, both, metrics=["loss"])["loss"] == pytest.approx(expected, rel=1e-5)

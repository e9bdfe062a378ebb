"""Effective bit operations against whole numbers counted one by one, and against HGQ2's own."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import widthwise as ww
from helpers.judged import Batches
from widthwise.formats.exact import significant_bits
from widthwise.spaces.quantisation import QuantisationSpace

FIXED = {
    "name": "integer",
    "data_in_width": [2, 5, 8],
    "data_in_frac_width": [2],
    "weight_width": [2, 4, 8],
    "weight_frac_width": [1, 3],
    "bias_width": [4],
    "bias_frac_width": [2],
}


def span(value: float) -> int:
    """Bits between the first and the last that is set, by whole numbers."""
    code = abs(Fraction(value)).numerator
    return (code // (code & -code)).bit_length() if code else 0


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_significant_bits_are_those_of_the_odd_part(value: float) -> None:
    assert significant_bits(torch.tensor([value])).item() == span(value)
    assert significant_bits(torch.tensor([value], dtype=torch.float64)).item() == span(value)


class Small(nn.Module):
    """A convolution whose kernel goes to 16 places, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.fc = nn.Linear(48, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).flatten(1))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16))
def test_ebops_are_those_counted_weight_by_weight(seed: int) -> None:
    torch.manual_seed(seed)
    model = Small()
    with torch.no_grad():
        model.conv.weight[0, 0] = 0
    graph = ww.Graph(model)
    data = Batches((torch.randn(8, 2, 6, 6),), torch.randint(0, 4, (8,)))
    no_bias = {key: value for key, value in FIXED.items() if not key.startswith("bias")}
    space = QuantisationSpace(
        graph, by="type", seed={"conv2d": {"config": FIXED}, "linear": {"config": no_bias}}
    )
    evaluator = ww.Evaluator(graph, space, data, metrics=["ebops"])
    candidates = space.sample(6, np.random.default_rng(seed))
    found = evaluator.costs(candidates)["ebops"]
    for row, candidate in enumerate(candidates):
        network = evaluator.realise(candidate).complete(model).graph()
        total = 0
        for name, uses in (("conv", 16), ("fc", 1)):
            scheme, layer = network.schemes[name], model.get_submodule(name)
            weights = scheme["weight"].quantize(layer.weight.detach()).flatten().tolist()
            total += uses * scheme["data_in"].bits * sum(span(weight) for weight in weights)
            if layer.bias is not None:
                total += uses * sum(span(b) for b in scheme["bias"].quantize(layer.bias.detach()).tolist())
        assert found[row] == pytest.approx(total, rel=1e-12)


def test_what_has_no_format_counts_as_all_bits_of_a_float() -> None:
    model = nn.Sequential(nn.Linear(5, 3))
    data = Batches((torch.randn(8, 5),), torch.randint(0, 3, (8,)))
    found = ww.evaluate(ww.Graph(model), data, metrics=["ebops"])
    assert found["ebops"] == 15 * 32 * 32 + 3 * 32


def test_ebops_of_dense_layers_are_those_of_hgq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("hgq")
    import keras
    from hgq.config import QuantizerConfig
    from hgq.layers import QDense
    from hgq.utils import trace_minmax

    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))
    data = Batches((torch.randn(64, 16),), torch.randint(0, 5, (64,)))
    graph = ww.Graph(model)
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": FIXED}})
    evaluator = ww.Evaluator(graph, space, data, metrics=["ebops"])
    candidate = space.sample(1, np.random.default_rng(5))[0]
    schemes = evaluator.realise(candidate).complete(model).graph().schemes

    def dense(layer: nn.Linear, name: str) -> QDense:
        scheme = schemes[name]
        width, fraction = scheme["data_in"].width, scheme["data_in"].fraction
        own = {"q_type": "kif", "overflow_mode": "WRAP", "round_mode": "RND_CONV", "homogeneous_axis": ()}
        inputs = QuantizerConfig(
            "kif", "datalane", k0=1, i0=width - 1 - fraction, f0=fraction, overflow_mode="SAT",
            round_mode="RND_CONV", homogeneous_axis=None, heterogeneous_axis=(),
        )  # fmt: skip
        weight, bias = (scheme[part].quantize(getattr(layer, part).detach()) for part in ("weight", "bias"))
        made = QDense(
            layer.out_features,
            iq_conf=inputs,
            kq_conf=QuantizerConfig(place="weight", **own),
            bq_conf=QuantizerConfig(place="bias", **own),
        )
        made.build((None, layer.in_features))
        for quantizer, value, variable in ((made.kq, weight.T, made._kernel), (made.bq, bias, made.bias)):
            variable.assign(value.numpy())
            # each has just the fraction that it needs: bits below its last one are no part of it
            quantizer.quantizer._f.assign(np.vectorize(fraction_of)(value.numpy()))
        return made

    layers = [dense(model[0], "_0"), dense(model[2], "_2")]
    network = keras.Sequential([keras.Input((16,)), layers[0], keras.layers.ReLU(), layers[1]])
    found = trace_minmax(network, data.inputs[0].numpy(), batch_size=64, verbose=0)
    assert found == evaluator.costs(candidate[None])["ebops"][0]


def fraction_of(value: float) -> float:
    """The place of the last bit that is set; far above all for zero, which has none."""
    return float(Fraction(float(value)).denominator.bit_length() - 1) if value else -10.0

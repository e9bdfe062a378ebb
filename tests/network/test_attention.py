"""Attention as plain calls, against torch's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close

from widthwise.core.errors import UserError
from widthwise.network import attention
from widthwise.network.graph import Graph
from widthwise.network.passes.metadata import propagate
from widthwise.report.layers import layer_table


class Opening(fx.Tracer):
    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if isinstance(m, nn.MultiheadAttention):
            return attention.open_multihead(m, *args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


class Wrapped(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.layer(x, y, y)[0]


class OpeningMode(TorchFunctionMode):
    opened = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.multi_head_attention_forward:
            self.opened += 1
            func = attention.open_attention_forward
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"kdim": 6, "vdim": 6}, {"add_bias_kv": True}, {"add_zero_attn": True}]
)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_opened_equals_torch(options: dict[str, Any], batch_first: bool, masked: bool, single: bool) -> None:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, batch_first=batch_first, **options).double().eval()
    other = torch.randn((5, 6 if "kdim" in options else 8) if single else (5, 5, layer.kdim)).double()
    query = torch.randn((5, 8) if single else (5, 5, 8)).double()
    padding = torch.zeros((5,) if single else (5, 5)).bool()
    padding[..., -1] = True
    masks = {"key_padding_mask": padding, "attn_mask": torch.ones(5, 5).triu(1).bool()} if masked else {}
    for more in ({}, {"average_attn_weights": False}, {"need_weights": False}):
        expected = layer(query, other, other, **masks, **more)
        assert_close(attention.open_multihead(layer, query, other, other, **masks, **more), expected)
        with OpeningMode() as mode:
            assert_close(layer(query, other, other, **masks, **more), expected)
        assert mode.opened == 1


def test_traced_equals_torch_and_drops_weights_nobody_reads() -> None:
    model = Wrapped(nn.MultiheadAttention(8, 2, batch_first=True)).eval()
    graph = Opening().trace(model)
    graph.eliminate_dead_code()
    targets = [node.target for node in graph.nodes]
    assert targets.count(attention.attention_products) == 1
    assert attention.attention_weights not in targets
    x, y = torch.randn(3, 4, 8), torch.randn(3, 6, 8)
    assert_close(fx.GraphModule(model, graph)(x, y), model(x, y))


@pytest.mark.parametrize("asks", [False, True], ids=["fx", "running"])
def test_weights_that_nobody_reads_are_no_layer(asks: bool) -> None:
    """Torch averages them over the heads by default; nothing is decided about a mean that is thrown away."""

    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            mixed: Tensor = self.layer(-x if asks and x.max() > 1e9 else x, x, x)[0]
            return mixed

    graph = Graph(Attends(), torch.randn(3, 4, 8))
    assert graph.capture == ("running" if asks else "fx")
    assert {layer.type for layer in graph.layers if layer.tensors} == {"linear", "attention"}
    assert asks or attention.attention_weights not in {node.target for node in graph.fx_graph.nodes}


def test_the_layer_table_leaves_weights_out_of_the_inputs() -> None:
    x = (torch.randn(3, 4, 8),) * 3
    graph = Graph(nn.MultiheadAttention(8, 2, batch_first=True), x)
    table = layer_table(graph, propagate(graph, x))
    names, inputs = ([str(cell) for cell in table.columns[place].cells] for place in (0, 2))
    shown = dict(zip(names, inputs, strict=True))
    linear = [shown[layer.name] for layer in graph.layers if layer.type == "linear"]
    assert linear == ["4x8"] * len(linear)
    assert linear


@pytest.mark.parametrize("gqa", [False, True])
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("mask", ["none", "bool", "float", "causal"])
def test_products_equal_torch(gqa: bool, scale: float | None, mask: str) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, heads, 5, 4).double() for heads in (4, 2 if gqa else 4, 2 if gqa else 4))
    forbids = torch.rand(5, 5) > 0.4
    forbids[0] = False  # a row that may see nothing
    given = {"bool": forbids, "float": torch.randn(5, 5).double()}.get(mask)
    options: dict[str, Any] = {"is_causal": mask == "causal", "scale": scale, "enable_gqa": gqa}
    expected = functional.scaled_dot_product_attention(q, k, v, given, **options)
    found = attention.quantised_products(lambda x: x, q, k, v, given, **options)
    assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_fixed_point_products_equal_numpy() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 5, 4).double() for _ in range(3))

    def read(x: Tensor) -> Tensor:
        return torch.clamp(torch.round(x * 16), -128, 127) / 16

    a, b, c = (np.clip(np.round(x.numpy() * 16), -128, 127) / 16 for x in (q, k, v))
    exponent = np.exp(a @ b.swapaxes(-1, -2) / 2)
    chances = np.round(exponent / exponent.sum(-1, keepdims=True) * 16) / 16
    assert_close(attention.quantised_products(read, q, k, v).numpy(), chances @ c, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_layer_opens_in_a_mode(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first).eval()
    x, causal = torch.randn(3, 4, 8), nn.Transformer.generate_square_subsequent_mask(4)
    for options in ({}, {"src_mask": causal, "is_causal": True}):
        expected = layer(x, **options)
        with OpeningMode() as mode:
            assert_close(layer(x, **options), expected, rtol=1e-5, atol=1e-6)
        assert mode.opened == 1


class Block(nn.Module):
    """The layer's computation with nn.TransformerEncoderLayer's own method for attention."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.layer.norm1(x + self.layer._sa_block(x, mask, None))
        return self.layer.norm2(x + self.layer._ff_block(x))


def test_an_encoder_layer_opens_in_a_trace() -> None:
    model = Block().eval()
    graph = Opening().trace(model)
    traced, x = fx.GraphModule(model, graph), torch.randn(3, 4, 8)
    for mask in (torch.zeros(4, 4), torch.ones(4, 4).triu(1).bool(), torch.randn(6, 4, 4)):
        assert_close(traced(x, mask), model(x, mask), rtol=1e-5, atol=1e-6)
    packed = [node for node in graph.nodes if node.target is torch._C._nn.linear]
    assert len(packed) == 2  # one projection of q, k and v together, and that of the output


def test_a_mask_that_would_only_broadcast_is_refused() -> None:
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True).eval(), torch.randn(3, 4, 8)
    for masks in ({"attn_mask": torch.zeros(2, 4, 4)}, {"key_padding_mask": torch.zeros(1, 4)}):
        with pytest.raises(UserError, match="mask of shape"):
            attention.open_multihead(layer, x, x, x, **masks)

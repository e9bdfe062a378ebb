"""Products that have further names: operands have formats and sums are counted, as matmul's are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import widthwise as ww
from helpers.emulation import ALL, assert_rows_equal, rows
from widthwise.formats.integer import Integer
from widthwise.network.scheme import Scheme

LAYER = {"linear": ALL}
NO_BIAS = ("data_in", "weight")
X = torch.linspace(-1, 1, 24).reshape(4, 6)
Product = Callable[[Tensor, Tensor], Tensor]


def network(product: Product, *shape: int, asks: bool) -> type[nn.Module]:
    """One whose first layer is such a product; asks: for a value, so that torch.fx can't trace it."""

    class OfProduct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.out = nn.Parameter(torch.randn(shape) / 2), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            if asks and x.abs().max() > 1e9:
                x = -x
            return self.out(product(x, self.w).relu())

    return OfProduct


# its type, what it does, the shape of its weight
PRODUCTS: dict[str, tuple[str, Product, tuple[int, ...]]] = {
    "linalg.matmul": ("matmul", torch.linalg.matmul, (6, 8)),
    "inner": ("inner", torch.inner, (8, 6)),
    "tensordot": ("tensordot", lambda x, w: torch.tensordot(x, w, 1), (6, 8)),
    "tensordot over axes": ("tensordot", lambda x, w: torch.tensordot(x, w, dims=([1], [1])), (8, 6)),
    "vecdot": ("vecdot", lambda x, w: torch.linalg.vecdot(x[:, None], w), (8, 6)),
    "vecdot along another axis": ("vecdot", lambda x, w: torch.linalg.vecdot(x[..., None], w, dim=1), (6, 8)),
}


@pytest.mark.parametrize("asks", [False, True], ids=["fx", "running"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_rows_round_the_operands(name: str, asks: bool) -> None:
    kind, product, shape = PRODUCTS[name]
    written = {"matmul": "linalg_matmul", "vecdot": "linalg_vecdot"}.get(kind, kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.emulation._plain", lambda name: kind if name == written else name)
        assert_rows_equal(network(product, *shape, asks=asks), rows(), {kind: NO_BIAS} | LAYER, weights=2)


@pytest.mark.parametrize("asks", [False, True], ids=["fx", "running"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_its_sums_are_counted(name: str, asks: bool) -> None:
    _, product, shape = PRODUCTS[name]
    found = ww.evaluate(network(product, *shape, asks=asks)(), rows(), metrics=["macs", "average_bitwidth"])
    assert found == {"macs": 6 * 8 + 8 * 3, "average_bitwidth": 32}


class Addcmul(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 3), nn.Linear(6, 8)
        self.gain, self.shift = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(8))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.addcmul(self.shift, self.a(x), self.gain)
        return self.b(torch.addcmul(h, h, self.c(x), value=0.5))


def test_addcmul_reads_data_a_factor_and_what_is_added() -> None:
    graph = ww.Graph(Addcmul(), X)
    found = [layer.tensors for layer in graph.layers if layer.type == "addcmul"]
    assert found == [ALL, ("data_in",)]
    assert_rows_equal(Addcmul, rows(), {"addcmul": ALL} | LAYER, weights=4, average=False)


class Experts(nn.Module):
    """As transformers has them: a matrix for each, of which each row takes one."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.out = nn.Linear(6, 4), nn.Linear(8, 3)
        self.experts = nn.Parameter(torch.randn(4, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        chosen, order = self.gate(x).argmax(-1).sort()
        offsets = torch.histc(chosen.float(), bins=4, min=0, max=3).cumsum(0).to(torch.int32)
        padded = F.pad(x, (0, 2))[order]
        made = F.grouped_mm(padded, self.experts.transpose(-2, -1), offs=offsets)
        return self.out(torch.empty_like(made).index_copy_(0, order, made))


@pytest.mark.skipif(not hasattr(F, "grouped_mm"), reason="torch has no grouped products yet")
def test_weights_of_grouped_products_have_formats_and_count() -> None:
    model = Experts().eval()
    graph = ww.Graph(model, X)
    (grouped,) = (layer for layer in graph.layers if layer.type == "grouped_mm")
    assert grouped.tensors == NO_BIAS
    assert grouped.stored["weight"][0].name == "experts"
    fmt = Integer(4, 2)
    with torch.no_grad():
        found = graph.quantized({grouped.name: Scheme(weight=fmt)}).model(X)
        model.experts.copy_(fmt.quantize(model.experts))
        torch.testing.assert_close(found, model(X))
    assert ww.evaluate(model, rows(), metrics=["macs"])["macs"] == 6 * 4 + 8 * 8 + 8 * 3


def test_experts_of_mixtral_have_formats() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.MixtralConfig(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=4,
    )
    graph = ww.Graph(transformers.MixtralForCausalLM(config).eval(), torch.arange(8).reshape(2, 4))
    found = [layer.stored["weight"][0].name for layer in graph.layers if layer.type == "grouped_mm"]
    experts = "model.layers.0.mlp.experts"
    assert found == [f"{experts}.gate_up_proj", f"{experts}.down_proj"]

"""The wrapper: every kind of layer against torch's fake quantisation, gradients, the cache of weights."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.networks import normal
from widthwise.formats import Integer, from_config
from widthwise.formats.base import Format
from widthwise.network.quantized import FunctionLayer, Quantized, parameter_role
from widthwise.network.scheme import Scheme

DATA, WEIGHT, BIAS = Integer(8, 4), Integer(6, 5), Integer(5, 3)
ALL = Scheme(DATA, WEIGHT, BIAS)


def fake(fmt: Integer, x: Tensor) -> Tensor:
    """torch's own fixed point: scale a power of two, zero point 0, half to even."""
    low, high = -(2 ** (fmt.width - 1)), 2 ** (fmt.width - 1) - 1
    return torch.fake_quantize_per_tensor_affine(x, 2.0**-fmt.fraction, 0, low, high)


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = make()
        for parameter in layer.parameters():  # norms start with ones and zeros, which every format holds
            nn.init.normal_(parameter)
        return layer.eval()


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(5, 3), (4, 5)),
    "linear_without_bias": (lambda: nn.Linear(5, 3, bias=False), (4, 5)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (4, 2, 9)),
    "conv2d": (lambda: nn.Conv2d(2, 4, 3, stride=2, groups=2), (4, 2, 7, 7)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2), (2, 2, 4, 4, 4)),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(2, 3, 3), (4, 2, 9)),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2), (4, 2, 5, 5)),
    "conv_transpose3d": (lambda: nn.ConvTranspose3d(2, 3, 2), (2, 2, 3, 3, 3)),
    "batch_norm1d": (lambda: nn.BatchNorm1d(5), (8, 5)),
    "batch_norm2d": (lambda: nn.BatchNorm2d(3), (4, 3, 5, 5)),
    "instance_norm2d": (lambda: nn.InstanceNorm2d(3, affine=True), (4, 3, 5, 5)),
    "layer_norm": (lambda: nn.LayerNorm(5), (4, 5)),
    "group_norm": (lambda: nn.GroupNorm(2, 4), (4, 4, 5)),
    "rms_norm": (lambda: nn.RMSNorm(5), (4, 5)),
    "prelu": (lambda: nn.PReLU(3), (4, 3)),
    "relu": (nn.ReLU, (4, 5)),
    "gelu": (nn.GELU, (4, 5)),
    "tanh": (nn.Tanh, (4, 5)),
    "softmax": (lambda: nn.Softmax(dim=1), (4, 5)),
    "avg_pool2d": (lambda: nn.AvgPool2d(2), (4, 3, 6, 6)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_with_torchs_fake_quantised_input_weight_and_bias(name: str) -> None:
    make, shape = LAYERS[name]
    layer, x = seeded(make), 3 * normal(*shape[1:])(shape[0])
    expected = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter, value in expected.named_parameters():
            value.copy_(fake(BIAS if parameter == "bias" else WEIGHT, value))
        found = Quantized(layer, ALL)(x)
        assert torch.equal(found, expected(fake(DATA, x)))
        assert not torch.equal(found, layer(x))


@pytest.mark.parametrize("name", ["linear", "conv2d", "layer_norm"])
@pytest.mark.parametrize("tensor", ["data_in", "weight", "bias"])
def test_one_tensor_may_be_quantised_alone(name: str, tensor: str) -> None:
    make, shape = LAYERS[name]
    layer, x = seeded(make), normal(*shape[1:])(shape[0])
    expected = copy.deepcopy(layer)
    with torch.no_grad():
        if tensor != "data_in":
            getattr(expected, tensor).copy_(fake(WEIGHT, getattr(layer, tensor)))
        given = fake(WEIGHT, x) if tensor == "data_in" else x
        assert torch.equal(Quantized(layer, Scheme(**{tensor: WEIGHT}))(x), expected(given))


def test_an_embedding_reads_rows_of_its_quantised_table() -> None:
    layer = seeded(lambda: nn.Embedding(9, 4))
    rows = torch.tensor([[0, 8, 3], [1, 1, 2]])
    with torch.no_grad():
        assert torch.equal(Quantized(layer, ALL)(rows), fake(WEIGHT, layer.weight)[rows])


@pytest.mark.parametrize("batch_first", [False, True])
def test_attention_projects_with_quantised_weights(batch_first: bool) -> None:
    layer = seeded(lambda: nn.MultiheadAttention(6, 2, batch_first=batch_first))
    x = normal(3, 6)(2)
    with torch.no_grad():
        found, weights = Quantized(layer, ALL)(x, x, x)
        q = fake(DATA, x) if batch_first else fake(DATA, x).transpose(0, 1)
        projected = q @ fake(WEIGHT, layer.in_proj_weight).T + fake(BIAS, layer.in_proj_bias)
        query, key, value = (
            part.unflatten(-1, (2, 3)).transpose(1, 2) for part in projected.chunk(3, dim=-1)
        )
        shares = torch.softmax(query @ key.transpose(2, 3) / 3**0.5, dim=-1)
        mixed = (shares @ value).transpose(1, 2).flatten(2)
        expected = mixed @ fake(WEIGHT, layer.out_proj.weight).T + fake(BIAS, layer.out_proj.bias)
        expected = expected if batch_first else expected.transpose(0, 1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(weights, shares.mean(1), rtol=1e-5, atol=1e-5)


def test_attentions_mask_is_no_input_to_quantise() -> None:
    layer = seeded(lambda: nn.MultiheadAttention(6, 2, batch_first=True))
    x = normal(3, 6)(2)
    mask = torch.full((3, 3), -torch.inf).triu(1)
    with torch.no_grad():
        masked, _ = Quantized(layer, Scheme(DATA))(x, x, x, attn_mask=mask)
        x = fake(DATA, x)
        assert torch.equal(masked, layer(x, x, x, attn_mask=mask)[0])


FUNCTIONS: dict[str, tuple[Callable[..., Tensor], int]] = {
    "add": (operator.add, 2),
    "sub": (torch.sub, 2),
    "mul": (operator.mul, 2),
    "div": (operator.truediv, 2),
    "matmul": (lambda a, b: torch.matmul(a, b.transpose(1, 2)), 2),
    "bmm": (lambda a, b: torch.bmm(a, b.transpose(1, 2)), 2),
    "relu": (functional.relu, 1),
    "softmax": (lambda a: torch.softmax(a, dim=-1), 1),
    "mean": (lambda a: a.mean(1), 1),
    "linear": (functional.linear, 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_computes_on_quantised_copies_of_all_its_inputs(name: str) -> None:
    function, count = FUNCTIONS[name]
    args = [2 * normal(3, 4)(2), 2 * normal(3, 4)(2).flip(0)][:count]
    if name == "linear":
        args[1] = args[1][0]
    before = [x.clone() for x in args]
    assert torch.equal(
        Quantized(FunctionLayer(function), Scheme(DATA))(*args), function(*(fake(DATA, x) for x in args))
    )
    assert all(torch.equal(x, y) for x, y in zip(args, before, strict=True))


@pytest.mark.parametrize("name", ["integer", "bf16", "mxint8", "ternary"])
def test_a_layer_that_works_in_place_changes_its_own_copy(name: str) -> None:
    fmt = from_config({"name": name} | ({"width": 6} if name == "integer" else {}))
    layer, plain = (Quantized(nn.ReLU(inplace=inplace), Scheme(fmt)) for inplace in (True, False))
    x = normal(4)(3).requires_grad_()
    gradients = []
    for each in (layer, plain):
        y = each(x * 1.0)
        gradients += torch.autograd.grad(y.square().sum(), x)
        assert torch.equal(y, torch.relu(fmt.quantize(x.detach())))
    assert torch.equal(*gradients)
    assert gradients[0].any()
    before = x.detach().clone()
    with torch.no_grad():
        layer(x)
    assert torch.equal(x, before)


def test_numbers_and_indices_are_no_tensors_to_quantise() -> None:
    x = normal(4)(3)
    assert torch.equal(Quantized(FunctionLayer(operator.mul), Scheme(DATA))(x, 0.3), fake(DATA, x) * 0.3)
    rows = torch.tensor([2, 0])
    found = Quantized(FunctionLayer(torch.index_select), Scheme(DATA))(x, 0, rows)
    assert torch.equal(found, fake(DATA, x)[rows])


def test_gradients_pass_straight_through_and_stop_where_a_tensor_saturates() -> None:
    layer = Quantized(nn.Linear(2, 1), Scheme(Integer(4, 1), Integer(4, 2), Integer(4, 2)))
    with torch.no_grad():
        layer.layer.weight.copy_(torch.tensor([[0.3, 9.0]]))  # 9 is beyond 1.75
        layer.layer.bias.copy_(torch.tensor([0.1]))
    x = torch.tensor([[1.2, 0.7], [5.0, -0.2]], requires_grad=True)  # 5 is beyond 3.5
    layer(x).sum().backward()
    quantised = torch.tensor([[1.0, 0.5], [3.5, 0.0]])  # -0.2 / 0.5 = -0.4; 0.7 / 0.5 = 1.4
    assert x.grad.tolist() == [[0.25, 1.75], [0.0, 1.75]]
    assert layer.layer.weight.grad.tolist() == [[float(quantised[:, 0].sum()), 0.0]]
    assert layer.layer.bias.grad.tolist() == [2.0]


@pytest.mark.parametrize("name", ["integer", "scaled_integer", "mxint8", "fp8_e4m3", "ternary"])
def test_training_a_quantised_network_lowers_its_loss(name: str) -> None:
    fmt = from_config({"name": name} | ({"width": 6} if "integer" in name else {}))
    scheme = Scheme(fmt, fmt, fmt)
    model = nn.Sequential(
        Quantized(seeded(lambda: nn.Linear(8, 16)), scheme),
        Quantized(nn.ReLU(), Scheme(fmt)),
        Quantized(seeded(lambda: nn.Linear(16, 3)), scheme),
    )
    x = normal(8)(128)
    y = x[:, :3].argmax(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@dataclass(frozen=True)
class Counting(Format):
    """Multiples of 1/8 that counts how often it is asked."""

    names = ("counting",)
    calls: list[Any] = field(default_factory=list, compare=False)
    tag: int = 0

    def quantize(self, x: Tensor) -> Tensor:
        self.calls.append(x)
        return (x * 8).round() / 8

    @property
    def bits(self) -> float:
        return 8.0

    @property
    def range(self) -> tuple[float, float]:
        return -float("inf"), float("inf")


@pytest.fixture
def counted() -> tuple[Quantized, list[Any]]:
    """A linear layer whose weight is quantised by a format that counts."""
    fmt = Counting()
    return Quantized(seeded(lambda: nn.Linear(4, 3)), Scheme(weight=fmt)), fmt.calls


def value(layer: Quantized) -> Tensor:
    """What the layer uses as its weight: its response to the unit vectors."""
    with torch.no_grad():
        return (layer(torch.eye(4)) - layer.layer.bias).T


def assert_fresh(layer: Quantized) -> None:
    torch.testing.assert_close(value(layer), (layer.layer.weight.detach() * 8).round() / 8, atol=1e-6, rtol=0)


def test_a_weight_is_quantised_once_however_often_the_layer_runs(counted: Any) -> None:
    layer, calls = counted
    for _ in range(5):
        assert_fresh(layer)
    assert len(calls) == 1


def test_a_weight_is_quantised_once_for_each_format_that_a_search_goes_back_and_forth_between(
    counted: Any,
) -> None:
    layer, calls = counted
    other = Counting(tag=1)
    for fmt in (layer.scheme.weight, other) * 4:
        layer.scheme = Scheme(weight=fmt)
        assert_fresh(layer)
    assert (len(calls), len(other.calls)) == (1, 1)


def step(layer: Quantized) -> None:
    layer(torch.ones(2, 4)).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.5).step()


def change_in_place(weight: Tensor) -> None:
    with torch.no_grad():
        weight.mul_(-1.5)


CHANGES: dict[str, Callable[[Quantized], Any]] = {
    "optimiser step": step,
    "load_state_dict": lambda layer: layer.load_state_dict(
        {key: tensor + 1 for key, tensor in layer.state_dict().items()}
    ),
    "in place": lambda layer: change_in_place(layer.layer.weight),
    "new parameter": lambda layer: setattr(layer.layer, "weight", nn.Parameter(layer.layer.weight + 1)),
    "new data": lambda layer: setattr(layer.layer.weight, "data", layer.layer.weight.data + 1),
    "to half and back": lambda layer: layer.to(torch.float16).to(torch.float32),
    "to double": lambda layer: layer.to(torch.float64).to(torch.float32),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_weight_is_quantised_anew(counted: Any, change: str) -> None:
    layer, _ = counted
    for _ in range(3):  # memory that was given back may be handed out again
        assert_fresh(layer)
        CHANGES[change](layer)
        assert_fresh(layer)


def test_a_layer_in_another_dtype_computes_in_it() -> None:
    layer = Quantized(seeded(lambda: nn.Linear(4, 3)), ALL)
    x = normal(4)(5)
    with torch.no_grad():
        single = layer(x)
        double = layer.double()(x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single)


def test_gradients_are_right_after_a_run_without_them(counted: Any) -> None:
    layer, _ = counted
    value(layer)
    layer(torch.ones(1, 4)).sum().backward()
    assert layer.layer.weight.grad is not None
    with torch.inference_mode():
        layer(torch.ones(1, 4))
    layer.layer.weight.requires_grad_(False)
    x = torch.ones(1, 4, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad[0], value(layer).sum(0))


def test_weights_made_in_inference_mode_work_too() -> None:
    with torch.inference_mode():
        layer = Quantized(seeded(lambda: nn.Linear(4, 3)), ALL)
        x = normal(4)(2)
        assert torch.equal(layer(x), layer(x))


def test_a_copy_has_its_own_weights_and_cache(counted: Any) -> None:
    layer, calls = counted
    before = value(layer)
    for made in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(made) is Quantized
        change_in_place(made.layer.weight)
        assert_fresh(made)
        assert torch.equal(value(layer), before)
    assert len(calls) == 1


def test_it_shows_its_scheme_and_has_the_mode_of_its_layer() -> None:
    layer = Quantized(nn.Linear(4, 3), ALL)
    assert "fixed<6,5>" in repr(layer)
    assert layer.train().layer.training
    assert not layer.eval().layer.training


def test_only_names_that_end_in_bias_are_biases() -> None:
    assert [
        parameter_role(name) for name in ("bias", "in_proj_bias", "out_proj.bias", "bias_k", "weight")
    ] == [
        "bias",
        "bias",
        "bias",
        "weight",
        "weight",
    ]


def test_torchs_transformer_layer_does_not_pass_the_wrappers_by() -> None:
    """Its fast path in eval mode reads the weights of its parts directly."""
    layer = seeded(lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))
    x = normal(3, 8)(2)
    with torch.no_grad():
        was = layer(x)
        layer.linear1 = Quantized(layer.linear1, Scheme(weight=Integer(2, 0)))
        assert not torch.allclose(layer(x), was, atol=1e-3)

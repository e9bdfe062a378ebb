"""Widths that are trained: gradients, counts that bound the hardware's, and paths that are the same again."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from helpers.trained_widths import Held, formatted, networks, path_of
from widthwise.core.errors import UserError
from widthwise.evaluators.engine import evaluate
from widthwise.formats.exact import significant_bits
from widthwise.network.graph import Graph
from widthwise.training.trained_widths.kept import KeptPath
from widthwise.training.trained_widths.layers import check
from widthwise.training.trained_widths.rounding import PULL, constant, read
from widthwise.training.trained_widths.settings import PathSettings
from widthwise.training.trained_widths.tensors import ConstantWidths, ReadWidths

NETWORKS = networks()


def test_the_gradient_of_a_width_is_what_it_does_to_the_rounding_error():
    """d(x - error 2^-f)/df, by finite differences of that, with the error in steps held."""
    x = torch.linspace(-1.9, 1.9, 50, dtype=torch.float64).requires_grad_()
    f = torch.full((50,), 2.0, dtype=torch.float64, requires_grad=True)
    before, live = torch.full_like(x, 2.0), torch.ones_like(x)
    found = read(x, f, before.detach(), live.detach(), signed=True)
    found.backward(torch.ones_like(found))
    steps = (x.detach() - found.detach()) * 2.0**2
    change = 1e-6
    ahead, behind = (x.detach() - steps * 2.0 ** -(2.0 + d) for d in (change, -change))
    assert torch.allclose(f.grad, (ahead - behind) / (2 * change), atol=1e-8)
    assert torch.equal(x.grad, torch.ones_like(x))


def test_the_gradients_of_a_constant_are_those_of_its_rounding_and_of_the_pull_on_its_bits():
    """Of the value's rounding as above, and of PULL log2(code + 1) by torch itself."""
    value = torch.tensor([1.6, -0.9, 0.3, 0.01], dtype=torch.float64, requires_grad=True)
    f = torch.full((4,), 2.0, dtype=torch.float64, requires_grad=True)
    used, bits = constant(value, f)
    code = (value.detach() * 4).round()
    assert torch.equal(used, code / 4)
    assert torch.equal(
        bits, torch.tensor([math.log2(6) + 1, math.log2(4) + 1, 1.0, 0.0], dtype=torch.float64)
    )
    of_value, of_f = torch.autograd.grad(used.sum(), (value, f), retain_graph=True)
    assert torch.equal(of_value, torch.ones_like(value))
    assert torch.allclose(of_f, math.log(2) * (value - used).detach())
    of_value, of_f = torch.autograd.grad(bits.sum(), (value, f))
    assert of_f.tolist() == [1.0, 1.0, 1.0, 0.0]
    rounded = (code / 4).requires_grad_()
    (PULL * torch.log2(rounded.abs() * 4 + 1)).sum().backward()
    assert torch.allclose(of_value, rounded.grad)


def test_what_is_cut_has_no_gradient_and_what_has_no_bits_is_zero():
    reads = ReadWidths([torch.tensor([3.0, 3.0])], [False], bits=3)
    with torch.no_grad():
        reads.fraction.copy_(torch.tensor([1.0, -2.0]))  # 2 bits before the point: 3 bits, and none
    reads.prepare()
    x = torch.tensor([[5.0, 2.5], [1.2, 0.4]], requires_grad=True)
    found = reads(0, x)
    assert found.tolist() == [[3.5, 0.0], [1.0, 0.0]]
    assert reads.widths(0).tolist() == [3.0, 0.0]
    found.sum().backward()
    assert x.grad[:, 0].tolist() == [0.0, 1.0]
    fmt = reads.format(0)
    assert torch.equal(fmt.quantize(x), found)


def test_a_bit_before_the_point_gains_what_it_lets_through_and_is_priced_like_one_behind_it():
    reads = ReadWidths([torch.tensor([3.0, 3.0])], [True], bits=5)  # steps of a quarter up to 4
    x = torch.tensor([[5.0, 2.5], [-7.0, -9.0]])
    found = reads(0, x)
    assert found.tolist() == [[3.75, 2.5], [-4.0, -4.0]]
    (found * torch.tensor([[1.0, 1.0], [-10.0, -100.0]])).sum().backward()
    moved = math.log(2) * 4.0  # of the limits, for a bit more
    assert torch.allclose(reads.whole.grad, torch.tensor([moved * (1 + 10), moved * 100]))
    reads.zero_grad()
    reads.prepare()
    (reads.widths(0) * torch.tensor([2.0, 3.0])).sum().backward()
    assert reads.whole.grad.tolist() == reads.fraction.grad.tolist() == [2.0, 3.0]


def test_a_limit_that_lets_nothing_below_zero_through_gains_nothing_there():
    reads = ReadWidths([torch.tensor([3.0])], [False], bits=5)
    x = torch.tensor([[-7.0], [-0.01]], requires_grad=True)
    found = reads(0, x)
    found.sum().backward()
    assert found.tolist() == [[0.0], [0.0]]
    assert reads.whole.grad.tolist() == [0.0]
    assert x.grad.tolist() == [[0.0], [1.0]]  # what rounds to zero is not cut


def test_tensors_that_lie_flat_are_read_and_trained_each_by_itself():
    made = torch.Generator().manual_seed(1)
    peaks = [torch.tensor([3.0, 0.5]), torch.tensor(1.0), torch.tensor([[2.0], [0.1]])]
    xs = [torch.randn(5, *shape, generator=made) for shape in ((2,), (4,), (2, 3))]
    signs = [True, False, True]
    reads = ReadWidths(peaks, signs, bits=4)
    together = [reads(number, x) for number, x in enumerate(xs)]
    sum(found.square().sum() for found in together).backward()
    grads = [torch.split(p.grad, [2, 1, 2]) for p in (reads.fraction, reads.whole)]
    for number, x in enumerate(xs):
        alone = ReadWidths([peaks[number]], [signs[number]], bits=4)
        found = alone(0, x)
        found.square().sum().backward()
        assert torch.equal(found, together[number])
        assert torch.equal(alone.fraction.grad, grads[0][number])
        assert torch.equal(alone.whole.grad, grads[1][number])


def test_a_price_pulls_what_is_not_zero_towards_it_and_the_smaller_the_more():
    made = ConstantWidths([torch.tensor([2.0, -2.0, 0.5, 0.01])], [(4,)], [3])
    made.bits.sum().backward()
    assert made.value.grad[0] == -made.value.grad[1] > 0
    assert made.value.grad[2] > made.value.grad[0]
    assert made.value.grad[3] == 0


def test_before_each_checkpoint_the_price_stands_while_the_rates_fall_and_between_them_it_rises():
    settings = PathSettings(steps=100, checkpoints=5, price_from=1.0, price_to=32.0)
    prices = [settings.price(step) for step in range(100)]
    rates = [settings.rates(step) for step in range(100)]
    assert prices == sorted(prices)
    for end in settings.ends():
        assert len(set(prices[end - 10 : end])) == 1
        assert len(set(prices[end - 20 : end - 10])) == 10
        assert {*rates[end - 20 : end - 9]} == {(settings.learning_rate, settings.width_rate)}
        falling = rates[end - 10 : end]
        assert falling == sorted(falling, reverse=True)
        assert falling[-1][0] < 0.05 * settings.learning_rate
    assert prices[-1] == pytest.approx(32.0)
    steady = PathSettings(steps=100, checkpoints=5, settle=0.0)
    assert len({steady.price(step) for step in range(100)}) == 100
    assert {steady.rates(step) for step in range(100)} == {(steady.learning_rate, steady.width_rate)}


def test_a_constant_is_counted_at_least_as_its_significant_bits():
    value = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    for fraction in (-2, 0, 1, 4, 9):
        made = ConstantWidths([value], [(1,)], [fraction])
        used, counted = made(0), made.bits
        assert (counted >= significant_bits(used)).all()
        assert (counted[used == 0] == 0).all()
        fmt = made.format(0)
        assert torch.equal(fmt.quantize(value), used)
        widths = torch.tensor(fmt.table[0])
        assert (counted + 1 >= widths).all()  # with a sign
        counted.sum().backward()
        assert made.fraction.grad.item() == (used != 0).sum()  # a bit more each


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("settings", [{}, {"weights": "channel", "data": "tensor"}], ids=["each", "coarse"])
def test_counted_bits_bound_those_of_the_network_that_comes_out_and_computes_the_same(name, settings):
    network, x = NETWORKS[name]
    path = path_of(network, x, **settings)
    for number in range(2):
        graph = formatted(network, x, path.advance(number))
        with torch.no_grad():
            assert torch.equal(graph.model(x), path.network(x))
        figures = evaluate(graph, Held(x), metrics=["ebops", "model_size"])
        assert float(path.network.counted("ebops")) >= figures["ebops"] > 0
        assert float(path.network.counted("bits")) >= 8 * figures["model_size"] - 1e-3


def test_ebops_of_widths_by_part_are_those_of_each_product():
    network, x = NETWORKS["linear"]
    found = path_of(network, x).advance(1)
    graph = formatted(network, x, found)
    total = 0.0
    for name, place in (("_0", "0"), ("_2", "2")):
        scheme = found.schemes[name]
        weight, bias = (scheme[t].quantize(found.weights[f"{place}.{t}"]) for t in ("weight", "bias"))
        reads = scheme.data_in.table[0]
        total += float((significant_bits(weight).numpy() * reads).sum() + significant_bits(bias).sum())
    figures = evaluate(graph, Held(x), metrics=["ebops", "bops", "average_bitwidth", "accumulator_bits"])
    assert figures["ebops"] == total
    stored = [scheme.weight.table[0] for scheme in found.schemes.values()]
    assert figures["average_bitwidth"] == sum(w.sum() for w in stored) / sum(w.size for w in stored)
    widest = [s.data_in.table[0].max() + s.weight.table[0].max() for s in found.schemes.values()]
    assert figures["accumulator_bits"] == max(widest[0] + 3, widest[1] + 3)
    bops = sum(
        float((s.weight.table[0] * s.data_in.table[0] + s.weight.table[0] + s.data_in.table[0]).sum())
        + s.weight.table[0].size * math.log2(s.weight.table[0].shape[1])
        for s in found.schemes.values()
    )
    assert figures["bops"] == pytest.approx(bops)


def test_a_path_is_the_same_again_and_after_it_was_taken_up_from_disk(tmp_path):
    network, x = NETWORKS["convolutional"]
    whole = path_of(network, x, labels=0.3)
    first, last = whole.advance(0), whole.advance(1)
    begun = path_of(network, x, labels=0.3)
    kept = KeptPath(tmp_path / "path", "mark")
    kept.keep(begun.advance(0), begun)
    again = path_of(network, x, labels=0.3)
    kept.resume(again, most=begun.step)
    assert again.step == begun.step
    found = again.advance(1)
    for one, other in ((last, found), (first, kept.checkpoint(0))):
        assert one.schemes == other.schemes
        assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
    assert path_of(network, x, seed=1, labels=0.3).advance(1).schemes != last.schemes
    assert KeptPath(tmp_path / "path", "another").checkpoint(0) is None
    (tmp_path / "path" / "checkpoint-000.safetensors").write_bytes(b"broken")
    assert kept.checkpoint(0) is None


def test_a_training_that_diverges_says_its_step_and_loss():
    network, x = NETWORKS["linear"]
    with pytest.raises(UserError, match=r"training diverged at step \d+: loss \S+; lower learning_rate"):
        path_of(network, x * 1e3, learning_rate=1e30, width_rate=1e-3).advance(1)


def test_a_network_without_bits_says_which_layers_have_none():
    network, x = NETWORKS["linear"]
    found = path_of(network, x, steps=150, price_from=1e3, price_to=1e4, width_rate=0.3).advance(1)
    assert found.constant
    assert found.dead


@pytest.mark.parametrize(
    ("network", "x", "said"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.Tanh()), (2, 4), "_1: tanh can't be trained; linear, conv1d"),
        (nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()), (2, 4), "_0: batch_norm1d can't be trained where"),
        (nn.Sequential(nn.ReLU()), (2, 4), "no linear layer and no convolution"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), (2, 1, 4, 4), "_0: pads with"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_its_layer(network, x, said):
    with pytest.raises(UserError) as caught:
        check(Graph(network, (torch.zeros(x),)))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"checkpoints": 50, "steps": 40}, "checkpoints = 50 are more than steps = 40"),
        ({"price_from": 2.0, "price_to": 1.0}, "price_to = 1 is below price_from = 2"),
        ({"mixup": 1.5}, "mixup = 1.5 is no number from 0 to 1"),
        ({"settle": 1.0}, "settle = 1.0 is no number from 0 to 0.95"),
        ({"cost": "lutz"}, "no cost named 'lutz'; did you mean"),
        ({"bits": 20}, "bits = 20 is more than 16"),
        ({"learning_rate": math.nan}, "learning_rate = nan is no number above 0"),
    ],
)
def test_settings_that_mean_nothing_are_said_in_one_line(settings, said):
    with pytest.raises(UserError) as caught:
        PathSettings(**settings)
    assert said.partition("; did")[0] in str(caught.value)

"""Corrected biases: mean outputs are those of the float layer; formats carry it, and networks keep it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.evaluators.engine import Evaluator
from widthwise.formats import parse
from widthwise.formats.corrected import Corrected, uncorrected
from widthwise.formats.hull import hull_of, is_fixed_point
from widthwise.network.passes.bias_correction import Means
from widthwise.spaces.by_tensor import by_tensor
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import schemes, slot_choices
from widthwise.study.slots import slots_as_json, slots_of

LAYERS: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Linear(7, 4), (7,)),
    (nn.Linear(7, 4), (3, 7)),
    (nn.Conv1d(3, 4, 3, padding=1, stride=2), (3, 9)),
    (nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 6, 6)),
    (nn.Conv2d(4, 4, 3, padding="same", groups=4, dilation=2), (4, 7, 7)),
    (nn.Conv2d(2, 3, (1, 3), padding=(0, 1), stride=(2, 1), padding_mode="reflect"), (2, 5, 5)),
    (nn.Conv3d(2, 3, 2, stride=2), (2, 4, 5, 4)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=str)
@pytest.mark.parametrize("text", ["fixed<3,auto>", "int<2>/channel", "ternary", "log<3>"])
def test_mean_outputs_are_those_of_the_float_layer(
    layer: nn.Module, shape: tuple[int, ...], text: str
) -> None:
    torch.manual_seed(0)
    layer.reset_parameters()  # type: ignore[operator]
    x = torch.randn(192, *shape) + 1.5
    means, fmt = Means(layer), parse(text)  # type: ignore[arg-type]
    for block in x.split([100, 92]):
        means.add(block)
    weight, bias = layer.weight.detach(), layer.bias.detach()  # type: ignore[union-attr]
    fixed = fmt.calibrated(weight)
    found = means.corrected(Corrected(None, fmt), {fmt: fixed})
    assert isinstance(found, Corrected)
    rounded = copy.deepcopy(layer)

    def mean(y: Tensor) -> Tensor:
        return (y if isinstance(layer, nn.Linear) else y.movedim(1, -1)).flatten(0, -2).mean(0)

    with torch.no_grad():
        rounded.weight.copy_(fixed.quantize(weight))  # type: ignore[operator, union-attr]
        far = mean(rounded(x) - layer(x))
        rounded.bias.copy_(found.quantize(bias))  # type: ignore[operator, union-attr]
        near = mean(rounded(x) - layer(x))
    assert far.abs().max() > 1e-2
    assert near.abs().max() < 1e-4


def test_its_own_format_rounds_it_and_follows_what_comes_out() -> None:
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight.fill_(0.4)
        layer.bias.copy_(torch.tensor([0.01, -0.02]))
    means = Means(layer)
    means.add(torch.full((8, 4), 10.0))
    weight = parse("fixed<3,0>")  # 0.4 becomes 0, so 16 are lost
    for text, wanted in [("fixed<6,auto>", 16.0), ("fixed<4,2>", 1.75), ("bf16", 16.0)]:
        found = means.corrected(Corrected(parse(text), weight), {weight: weight})
        assert isinstance(found, Corrected)
        made = found.quantize(layer.bias.detach())
        assert made.tolist() == pytest.approx([wanted, wanted], rel=0.01), text
        assert torch.equal(made, found.of.quantize(found.moved(layer.bias.detach())))  # type: ignore[union-attr]
        assert repr(found) == repr(found.of)
        assert found.bits == found.of.bits  # type: ignore[union-attr]
        assert uncorrected(found) is found.of
        assert hull_of(found) == hull_of(found.of)
        assert is_fixed_point(found) == is_fixed_point(found.of)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 12, bias=False), nn.ReLU(), nn.Linear(12, 5)
    )


RULE = {"name": "integer", "weight_width": [2, 3], "weight_frac_width": "auto"}
BIASED = {**RULE, "bias_width": [4, 8], "bias_frac_width": "auto"}


def space_of(graph: ww.Graph, **options: bool) -> QuantisationSpace:
    """Biases of the first layer stay in float, those of the last have two formats."""
    seed = {"_[02]": {"config": RULE}, "_4": {"config": BIASED}}
    return QuantisationSpace(graph, by="regex", seed=seed, **options)


def test_slots_of_biases_go_with_those_of_weights() -> None:
    graph = ww.Graph(network())
    plain, space = space_of(graph), space_of(graph, bias_correction=True)
    assert space.decisions == plain.decisions
    assert space.uncorrected == {"_2": "has no bias"}
    slots = {(slot.layer, slot.tensor): slot for slot in space.slots}
    assert [len(slots[name, "bias"].formats) for name in ("_0", "_4")] == [2, 4]
    assert ("_2", "bias") not in slots
    every = space.at(np.arange(space.size))
    for row in every:
        own, before = (schemes(one.slots, slot_choices(one.slots, row[None])[0]) for one in (space, plain))
        for name in ("_0", "_4"):
            bias = own[name].bias
            assert isinstance(bias, Corrected)
            assert (bias.weight, bias.of) == (before[name].weight, before[name].bias)
    kept = space.keeping([[0], [0, 1], [1], [0]])
    (slot,) = (slot for slot in kept.slots if (slot.layer, slot.tensor) == ("_4", "bias"))
    assert [(bias.of.width, bias.weight.width) for bias in slot.formats] == [(4, 3)]  # type: ignore[union-attr]


def test_what_is_judged_is_each_network_with_its_bias_corrected() -> None:
    """Against a loop over candidates that computes the correction with torch alone."""
    graph, data = ww.Graph(network().eval()), ww.load_data("jsc")
    space = space_of(graph, bias_correction=True)
    evaluator = Evaluator(graph, space, data, metrics=["loss"])
    every = space.at(np.arange(space.size))
    losses = evaluator(every)["loss"]
    x = torch.cat([x for x, _ in data.train_dataloader()])[:1024]
    with torch.no_grad():
        reads = {"_0": x, "_4": network()[:4](x)}  # type: ignore[index]
    for row, loss in zip(every, losses, strict=True):
        made = evaluator.network(row)
        assert ww.evaluate(made, data, metrics=["loss"])["loss"] == pytest.approx(loss, rel=1e-6)
        own = schemes(evaluator.slots, slot_choices(evaluator.slots, row[None])[0])
        for at, (name, read) in enumerate(reads.items()):
            layer = network()[4 * at]  # type: ignore[index]
            weight = own[name].weight.quantize(layer.weight)  # type: ignore[union-attr]
            lost = ((layer.weight - weight) @ read.mean(0)).detach()
            bias = own[name].bias
            assert isinstance(bias, Corrected)
            assert torch.tensor(bias.shift).allclose(lost, atol=1e-5)
    read_back = slots_of({"slots": slots_as_json(evaluator.slots)}, None)  # type: ignore[arg-type]
    assert [slot.formats for slot in read_back] == [slot.formats for slot in evaluator.slots]


def test_tensors_explained_alone_are_corrected_for_their_own_weight() -> None:
    space = space_of(ww.Graph(network()), bias_correction=True)
    tensors = by_tensor(space)
    names = [decision.name for decision in tensors.space.decisions]
    assert sorted(names) == ["_0/weight", "_2/weight", "_4/bias", "_4/weight"]
    own = schemes(tensors.space.slots, slot_choices(tensors.space.slots, tensors.in_float[None])[0])
    assert not any(own.values())
    candidate = space.at([5])[0]
    wanted = schemes(space.slots, slot_choices(space.slots, candidate[None])[0])
    row = tensors.of(candidate)
    assert schemes(tensors.space.slots, slot_choices(tensors.space.slots, row[None])[0]) == wanted


def test_networks_without_such_biases_are_refused_in_a_line() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.one(torch.relu(self.one(x)))
            return y

    for model, said in [
        (nn.Sequential(nn.Linear(4, 4, bias=False)), "_0: has no bias"),
        (nn.Sequential(nn.ConvTranspose1d(4, 4, 1)), "_0: a conv_transpose1d is none of torch's"),
        (Twice(), "its bias is read by several layers"),
    ]:
        graph = ww.Graph(model, torch.zeros(2, 4, *([5] if "Transpose" in str(model) else [])))
        with pytest.raises(UserError, match=f"bias_correction: no layer's bias .*{said}.*leave it out"):
            QuantisationSpace(graph, by="regex", seed={".*": {"config": RULE}}, bias_correction=True)

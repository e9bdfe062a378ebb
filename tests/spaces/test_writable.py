"""Which candidates a form can write: many at once as each alone, and choices that none of them has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.export.exporter import exporter
from widthwise.network.passes import fold_batchnorm_transform_pass
from widthwise.network.realised import Realised
from widthwise.spaces.slots import Slot, schemes, slot_choices
from widthwise.spaces.writable import CountsMany, Writable

FORMS = ("c", "hls4ml", "verilog", "qonnx", "onnx", "torch")


class Residual(nn.Module):
    """Numbers that several layers read, through a ReLU and as they are; sums; a norm that stands alone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.a, self.b, self.c = nn.BatchNorm1d(6), *(nn.Linear(6, 6) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(x))
        y = self.a(h) + h
        scores: Tensor = self.c(torch.relu(y)) - self.b(y)
        return scores


class Pooled(nn.Module):
    """What is read before and behind a maximum and a change of shape."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.side = nn.Conv1d(1, 2, 3, padding=1), nn.Conv1d(2, 2, 1)
        self.last = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.max_pool1d(torch.relu(self.first(x.unflatten(1, (1, 6)))), 2)
        scores: Tensor = self.last((self.side(h) + h).flatten(1))
        return scores


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "chain": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 4), nn.ReLU()),
    "residual": Residual,
    "pooled": Pooled,
}
CHOICES = {
    "name": ["integer", "NA", "minifloat_ieee"],
    "data_in_width": [4, 8, 32],
    "data_in_frac_width": [2, 30],
    "data_in_exponent_width": [3],
    "weight_width": [4, 16],
    "weight_frac_width": [3, 40],
    "weight_exponent_width": [3],
    "bias_width": [4, 32],
    "bias_frac_width": [3, 60],
    "bias_exponent_width": [3],
}
FIXED = {key: found for key, found in CHOICES.items() if "exponent" not in key} | {
    "name": ["integer"],
    "data_in_width": [8],
    "data_in_frac_width": [2, 4],
}


def writable(form: str, network: str, choices: dict[str, list[object]]) -> Writable:
    torch.manual_seed(0)
    graph, _ = fold_batchnorm_transform_pass(ww.Graph(NETWORKS[network]().eval(), torch.rand(2, 6)), {})
    space = ww.QuantisationSpace(graph, by="regex", seed={".*": {"config": choices}})
    return Writable(exporter(form), graph, space, space.slots)


def refusals(of: Writable, chosen: np.ndarray) -> list[str]:
    own = schemes(of.slots, chosen)
    return of.form.refusals(Realised((), {}, own), of.graph.quantized(own))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("choices", [CHOICES, FIXED], ids=["any", "fixed"])
def test_many_are_refused_as_each_alone(form: str, network: str, choices: dict[str, list[object]]) -> None:
    of = writable(form, network, choices)
    assert isinstance(of.form, CountsMany)
    candidates = of.space.sample(60, np.random.default_rng(0))
    for candidate, reasons in zip(candidates, of.reasons(candidates), strict=True):
        assert (reasons > 0) == bool(of.why_not(candidate)), of.why_not(candidate)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["residual", "pooled"]))
def test_readers_with_formats_of_their_own_are_found(seed: int, network: str) -> None:
    rng = np.random.default_rng(seed)
    choices = {**FIXED, "weight_width": [4], "weight_frac_width": [3], "bias_width": [4]}
    of = writable("hls4ml", network, {**choices, "bias_frac_width": [3]})
    candidates = of.space.sample(8, rng)
    found = [not of.why_not(candidate) for candidate in candidates]
    assert (of.reasons(candidates) == 0).tolist() == found


def test_both_kinds_are_met() -> None:
    """Or the tests above would say nothing."""
    for form, network in (("hls4ml", "residual"), ("c", "pooled"), ("qonnx", "pooled")):
        of = writable(form, network, FIXED)
        reasons = of.reasons(of.space.sample(400, np.random.default_rng(1)))
        assert 0 < (reasons == 0).sum() < 400


def test_choices_that_no_writable_candidate_has_are_left_out() -> None:
    few = {"data_in_width": [4], "data_in_frac_width": [2], "weight_width": [4], "weight_frac_width": [3]}
    few |= {"bias_width": [4], "name": ["integer", "NA"], "bias_frac_width": [3, 60]}
    of = writable("c", "chain", {key: found for key, found in CHOICES.items() if "exp" not in key} | few)
    of.check()
    listed = of.space.at(range(of.space.size))
    inside = listed[[not refusals(of, row) for row in slot_choices(of.slots, listed)]]
    wanted = [sorted(set(column.tolist())) for column in inside.T]
    assert of.choices == wanted
    assert any(len(left) < len(one.choices) for left, one in zip(wanted, of.space.decisions, strict=True))
    fewer = of.space.keeping(of.choices)  # type: ignore[attr-defined]
    assert fewer.size == np.prod([len(left) for left in wanted])
    assert [len(one.choices) for one in fewer.decisions] == [len(left) for left in wanted if len(left) > 1]


def test_a_smaller_space_has_the_same_candidates() -> None:
    of = writable("c", "chain", CHOICES)
    kept = [
        [0],
        *([len(one.choices) - 1] if at % 3 else [0, 1] for at, one in enumerate(of.space.decisions[1:])),
    ]
    fewer = of.space.keeping(kept)  # type: ignore[attr-defined]
    for candidate in fewer.sample(20, np.random.default_rng(0)):
        chosen, places = iter(candidate.tolist()), kept
        before = np.array([left[next(chosen)] if len(left) > 1 else left[0] for left in places])
        assert fewer.config(candidate) == of.space.config(before)  # type: ignore[attr-defined]
        same = [
            schemes(slots, _of(slots, row)) for slots, row in ((fewer.slots, candidate), (of.slots, before))
        ]
        assert same[0] == same[1]


def _of(slots: tuple[Slot, ...], candidate: np.ndarray) -> np.ndarray:
    return slot_choices(slots, candidate[None])[0]


def test_large_spaces_keep_what_can_be_reached() -> None:
    """Beyond what is listed: from a candidate that can be written, single changes and those of others."""
    of = writable("hls4ml", "residual", FIXED)
    assert of.within.listed is None
    of.check()
    for column, left in enumerate(of.choices):
        assert left, of.space.decisions[column].name
    fractions = [at for at, one in enumerate(of.space.decisions) if one.name.endswith("weight_frac_width")]
    assert fractions


def test_nothing_that_can_be_written_is_one_line() -> None:
    with pytest.raises(
        UserError, match="target onnx: can write no candidate of this space: _0, _3: has formats"
    ):
        writable("onnx", "chain", FIXED).check()


class OneByOne:
    """A form that knows nothing of many: even widths of the first layer alone."""

    name = "even"

    def refusals(self, realised: Realised, graph: ww.Graph) -> list[str]:
        width = graph.scheme("_0").weight.width  # type: ignore[union-attr]
        return [f"_0: has weights of {width} bits; give it an even number"] if width % 2 else []


def test_a_form_of_ones_own_is_asked_of_each() -> None:
    of = writable("c", "chain", {**FIXED, "bias_frac_width": [3], "weight_frac_width": [3]})
    space = ww.QuantisationSpace(
        of.graph, by="name", seed={"_0": {"config": {"name": ["integer"], "weight_width": [3, 4, 5, 6]}}}
    )
    own = Writable(OneByOne(), of.graph, space, space.slots)
    own.check()
    assert own.choices == [[1, 3]]
    assert list(own.left_out()) == [
        "left out, as even can't write it: _0/weight_width 3 (has weights of 3 bits; give it an even number)",
        "left out, as even can't write it: _0/weight_width 5 (has weights of 5 bits; give it an even number)",
    ]

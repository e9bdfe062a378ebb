"""Batches as people have them are judged as their users call their networks, everywhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import widthwise as ww
from helpers.batches import (
    CHOICES,
    CLASSES,
    FORMATS,
    FORMS,
    KINDS,
    SIZE,
    TWO,
    WHOLE,
    WIDTHS,
    Case,
    Given,
    N,
    Two,
    X,
    Y,
    cut,
    mlp,
)
from widthwise.network.passes.calibrate import calibrate_transform_pass
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.unit_scores import unit_scores

ALL = {**FORMS, **KINDS}
NO_GROUPS = ("steps first", "as many steps as samples", "a dataclass")  # not followed, or nothing is free


def slack(case: Case) -> float:
    """What the figures of a network may differ by: those of a half by the last of its bits."""
    precision = next(p.dtype for p in case.network().parameters())
    return 1e-5 if precision in (torch.float32, torch.float64) else 1e-2


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_a_network_has_the_figures_of_its_users_own_loop(case: Case) -> None:
    found = ww.evaluate(case.network(), case.data, metrics=["accuracy", "loss"])
    assert found == pytest.approx(case.truth(case.network()), rel=slack(case))


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_every_candidate_has_the_figures_of_its_own_network(case: Case) -> None:
    graph = ww.Graph(case.network())
    space = ww.QuantisationSpace(graph, by="type", seed={"linear": {"config": CHOICES}})
    evaluator = ww.Evaluator(graph, space, case.data, metrics=["accuracy", "loss"])
    candidates = space.sample(min(12, space.size), np.random.default_rng(0))
    for rows in (candidates, candidates[:1]):
        found = evaluator(rows)
        assert not found.failures
        for row, candidate in enumerate(rows):
            wanted = case.truth(evaluator.network(candidate).model)
            assert found["accuracy"][row] == pytest.approx(wanted["accuracy"])
            assert found["loss"][row] == pytest.approx(wanted["loss"], rel=slack(case))


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_a_search_ends_in_a_network_that_is_exported_as_it_was_judged(case: Case, tmp_path: Path) -> None:
    study = ww.search(case.network(), case.data, FORMATS, out=tmp_path / "run", page=False)
    best = study.front[0]
    wanted = case.truth(study.network(best).model)
    assert best.metrics["accuracy"] == pytest.approx(wanted["accuracy"])
    done = ww.export(study, best, "torch", tmp_path / "out", model=case.network(), data=case.data)
    assert (done.check.equal, done.check.samples, done.check.as_judged) == (N, N, True)
    assert done.exported.run is not None
    again = ww.load(tmp_path / "out", model=case.network())
    assert case.truth(again.model) == pytest.approx(wanted)


@pytest.mark.parametrize("name", [name for name in ALL if name not in NO_GROUPS])
def test_widths_are_searched_trained_and_exported(name: str, tmp_path: Path) -> None:
    case = ALL[name]
    study = ww.search(case.network(), case.data, WIDTHS, out=tmp_path / "run", page=False)
    assert all(trial.reason is None for trial in study.trials)
    best = study.front[0]
    wanted = case.truth(study.network(best).model)
    assert best.metrics["accuracy"] == pytest.approx(wanted["accuracy"])
    done = ww.export(study, best, "torch", tmp_path / "out", model=case.network(), data=case.data)
    assert (done.check.equal, done.check.as_judged) == (N, True)


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_one_epoch_of_training_is_that_of_a_plain_loop(case: Case) -> None:
    trained, wanted = case.network(), case.network()
    how: dict[str, Any] = {"optimizer": "sgd", "schedule": "constant", "learning_rate": 1e-2}
    history = ww.fit(trained, case.data, epochs=1, **how)
    optimizer = torch.optim.SGD(wanted.parameters(), lr=1e-2, fused=True)
    wanted.train()
    for batch in case.batches:
        scores, labels = case.called(wanted, batch)
        optimizer.zero_grad()
        cross_entropy(scores, labels).backward()
        optimizer.step()
    for one, other in zip(trained.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=slack(case), atol=slack(case))
    assert history.val_loss[0] == pytest.approx(case.truth(trained)["loss"], rel=slack(case))


# ---- forms of the same data


def test_loaders_that_are_generators_are_asked_for_each_epoch() -> None:
    class Generated(Given):
        def train_dataloader(self) -> Any:
            yield from self.batches

        val_dataloader = test_dataloader = train_dataloader

    asked = iter(Generated(cut(X, Y)).train_dataloader())
    assert iter(asked) is asked  # it gives its batches once
    losses = []
    for kind in (Given, Generated):
        torch.manual_seed(0)
        network = mlp()
        ww.fit(network, kind(cut(X, Y)), epochs=3, learning_rate=0.1)
        losses.append(ww.evaluate(network, kind(cut(X, Y)), metrics=["loss"])["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


@pytest.mark.parametrize("form", TWO)
def test_what_is_made_of_data_does_not_depend_on_its_form(form: str) -> None:
    torch.manual_seed(0)
    network = Two().eval()
    data, plain = Given(TWO[form]), Given(TWO["(x1, x2, y)"])
    groups = [find_groups(network, given) for given in (data, plain)]
    assert [group.name for group in groups[0].groups] == [group.name for group in groups[1].groups]
    auto = ww.Scheme(ww.formats.parse("fixed<6,auto>"))
    graph = ww.Graph(network)
    graph = graph.quantized({layer.name: auto for layer in graph.layers if layer.type == "linear"})
    schemes = [calibrate_transform_pass(graph, {"data": given})[1] for given in (data, plain)]
    assert schemes[0] == schemes[1]
    if form not in ("batches of one", "a smaller last batch"):  # whose first batches are other samples
        scores = [unit_scores(network, groups[0], how="taylor", data=given) for given in (data, plain)]
        for name, values in scores[0].items():
            np.testing.assert_allclose(values, scores[1][name], rtol=1e-5)


# ---- samples that stay in their batches


@pytest.mark.parametrize("name", [*WHOLE, "(x, y)", "padded to several lengths"])
def test_networks_are_judged_in_the_datas_own_batches_where_they_have_to_be(name: str) -> None:
    said = ww.Evaluator(ww.Graph(ALL[name].network()), None, ALL[name].data, metrics=["accuracy"]).describe
    assert ("judged in the data's own batches, because" in said) == (name in WHOLE)


@pytest.mark.parametrize("name", WHOLE)
def test_only_whole_batches_are_taken_of_the_first_so_many_samples(name: str) -> None:
    case = ALL[name]
    two = Case(case.make, case.batches[:2], case.called)
    found = ww.evaluate(case.network(), case.data, metrics=["loss"], samples=2 * SIZE + 3)
    assert found["loss"] == pytest.approx(two.truth(case.network())["loss"], rel=1e-5)
    with pytest.raises(ww.UserError, match="samples = 3 is less than a batch of 16"):
        ww.evaluate(case.network(), case.data, metrics=["loss"], samples=3)


def test_a_last_batch_that_the_network_does_not_take_is_one_line() -> None:
    case = KINDS["batches of 16"]
    short = Given([*case.batches[:2], (X[:7], Y[:7])])
    for refused, message in (
        (lambda: ww.evaluate(case.network(), short, metrics=["loss"]), "can't be evaluated: RuntimeError"),
        (lambda: ww.fit(case.network(), short, epochs=1), "training on a batch of 7 failed: RuntimeError"),
    ):
        with pytest.raises(ww.UserError, match=message):
            refused()


def test_batches_of_other_inputs_than_the_first_are_one_line() -> None:
    case = FORMS["a default between"]
    without = [{"left": batch["left"], "label": batch["label"]} for batch in case.batches]
    with pytest.raises(ww.UserError, match="some batches hold left, others left, scale; give"):
        ww.evaluate(case.network(), Given([case.batches[0], without[1]]), metrics=["loss"])


def test_facts_that_a_data_module_does_not_have_are_left_out() -> None:
    data = FORMS["(x1, x2, y)"].data
    data.parts, data.class_names = {"train": ((X, X), Y)}, None  # type: ignore[attr-defined]
    assert ww.evaluate(Two().eval(), data, metrics=["accuracy"])["accuracy"] >= 0


@pytest.mark.parametrize("name", WHOLE)
def test_margins_are_those_of_whole_batches(name: str) -> None:
    case = ALL[name]
    evaluator = ww.Evaluator(ww.Graph(case.network()), None, case.data, metrics=["accuracy"])
    margins = evaluator.margins(np.zeros((1, 0), dtype=np.int64))
    assert margins.shape == (1, N)
    assert (margins > 0).mean() == pytest.approx(case.truth(case.network())["accuracy"])


@pytest.mark.parametrize(
    ("dtype", "said"), [(torch.float64, "float64 samples cast to float32"), (torch.float32, "")]
)
def test_a_cast_is_said(dtype: torch.dtype, said: str) -> None:
    data = Given(cut(X.to(dtype), Y))
    describe = ww.Evaluator(ww.Graph(mlp().eval()), None, data, metrics=["accuracy"]).describe
    assert said in describe
    assert ("cast" in describe) == bool(said)


# ---- what can't be read

BROKEN = {
    "too many inputs": (
        mlp,
        cut(X, X, Y),
        "its batches hold 2 inputs before the targets, the network takes input",
    ),
    "too few inputs": (Two, cut(X, Y), "hold left, but not right, which the network takes"),
    "other names": (
        Two,
        [{"a": x, "b": x, "labels": y} for x, y in cut(X, Y)],
        "hold a, b, the network takes left, right, scale",
    ),
    "no labels": (
        mlp,
        [{"input": x} for x, _ in cut(X, Y)],
        "has no targets to train on|no metric of closeness named 'accuracy'",
    ),
    "no tensors": (mlp, [(["a", "b"], Y[:2])], "its batches are no tensors"),
    "inputs alone": (mlp, [X], "has no targets to train on|no metric of closeness named 'accuracy'"),
    "several targets": (mlp, [(x, (y, y)) for x, y in cut(X, Y)], r"its batches are \(Tensor, tuple\)"),
    "labels of another length": (mlp, [(X, Y[:5])], r"its labels are int64 of shape \[5\]"),
    "bytes": (mlp, cut((X * 9).byte(), Y), r"its samples \(input\) are uint8, the network takes float32"),
    "no batches": (mlp, [], "has no"),
    "no loader": (mlp, None, "has no loader; let train_dataloader|val_dataloader raised TypeError"),
    "other features": (
        mlp,
        cut(X[:, :5], Y),
        r"samples of shape \[5\] don't fit the network: its first layer",
    ),
    "labels out of range": (mlp, cut(X, Y + 9), "label 1[0-9] is out of range|label 9 is out of range"),
    "the network fails": (
        lambda: nn.Sequential(nn.Linear(6, 8), nn.Linear(9, CLASSES)),
        cut(X, Y),
        "don't fit the network: it raised RuntimeError",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_can_not_be_judged_is_one_line_everywhere(name: str, tmp_path: Path, capfd: Any) -> None:
    make, batches, message = BROKEN[name]
    data = Given(batches)
    for refused in (
        lambda: ww.evaluate(make(), data, metrics=["accuracy"]),
        lambda: ww.fit(make(), data, epochs=1),
        lambda: ww.search(make(), data, FORMATS, out=tmp_path / "formats", page=False),
        lambda: ww.search(make(), data, WIDTHS, out=tmp_path / "widths", page=False),
    ):
        with pytest.raises(ww.UserError, match=message) as caught:
            refused()
        assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "closed", [torch.jit.script, lambda net: torch.jit.trace(net, X)], ids=["script", "trace"]
)
@pytest.mark.filterwarnings("ignore")  # of torch.jit, that it is deprecated
def test_a_network_of_jit_is_one_line(closed: Any) -> None:
    with pytest.raises(ww.UserError, match=r"torch.jit can't be looked into.*; give the module"):
        ww.evaluate(closed(mlp().eval()), Given(cut(X, Y)), metrics=["accuracy"])


# ---- memory


class Images(nn.Module):
    """An image network, which asks for a value where it may not be traced."""

    def __init__(self, *, traceable: bool) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(16, CLASSES)
        self.traceable = traceable

    def forward(self, x: Tensor) -> Tensor:
        if not self.traceable and bool(x.isnan().any()):
            return x
        return self.last(self.conv(x).mean((2, 3)))


@pytest.mark.parametrize("memory", [64, 256])
@pytest.mark.parametrize("traceable", [True, False])
def test_the_float_network_runs_on_blocks_within_the_budget(memory: int, traceable: bool) -> None:
    images, labels = normal_images(), torch.arange(256) % CLASSES
    network = Images(traceable=traceable).eval()
    graph = ww.Graph(network)
    space = ww.QuantisationSpace(graph, by="type", seed={"linear": {"config": CHOICES}})
    evaluator = ww.Evaluator(
        graph, space, Given([(images, labels)]), metrics=["accuracy"], memory=memory * 2**20
    )
    evaluator(space.at([0]))
    size = evaluator.prepared.size
    assert size * 19 * 64 * 64 * 4 <= memory * 2**20 / 8
    assert math.isclose(memory / 64, size / (64 * 2**20 / 16 / (19 * 64 * 64 * 4)), rel_tol=0.1)


def normal_images() -> Tensor:
    return torch.randn(256, 3, 64, 64, generator=torch.Generator().manual_seed(0))

"""Hooks that run layers, and forwards that are closures: reached as the network runs them, or an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import widthwise as ww
from helpers.emulation import ALL, assert_rows_equal, config, loss_of, made_twice, rows
from helpers.networks.decisions import Two

LINEAR = {"linear": ALL}


class AdaptsInputs(Two):
    def __init__(self) -> None:
        super().__init__()
        self.adapter = nn.Linear(6, 6)
        self.a.register_forward_pre_hook(self.adapt)

    def adapt(self, module: nn.Module, args: Any) -> Any:
        return (self.adapter(args[0]),)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x)))


class AdaptsOutputs(AdaptsInputs):
    def __init__(self) -> None:
        Two.__init__(self)
        self.down, self.up = nn.Linear(6, 2, bias=False), nn.Linear(2, 8, bias=False)
        self.a.register_forward_hook(self.adapted)

    def adapted(self, module: nn.Module, args: Any, result: Tensor) -> Tensor:
        return result + self.up(self.down(args[0]))


class ScalesOutputs(AdaptsInputs):
    def __init__(self) -> None:
        Two.__init__(self)
        self.gain = nn.Parameter(torch.linspace(0.5, 2, 8))
        self.a.register_forward_hook(lambda module, args, result: result * self.gain)


@pytest.mark.parametrize(("make", "weights"), [(AdaptsInputs, 3), (AdaptsOutputs, 4)])
def test_layers_that_hooks_run_are_layers(make: type[nn.Module], weights: int) -> None:
    assert_rows_equal(make, rows(), LINEAR, weights=weights)


@pytest.mark.parametrize("make", [AdaptsInputs, AdaptsOutputs, ScalesOutputs])
def test_parameters_that_hooks_read_are_counted(make: type[nn.Module]) -> None:
    graph = ww.Graph(make(), rows().inputs[0])
    assert graph.capture == "running"
    assert "hooks read" in str(graph.capture_error)
    parameters = sum(parameter.numel() for parameter in make().parameters())
    assert ww.evaluate(make(), rows(), metrics=["parameters"])["parameters"] == parameters


class Replaced(Two):
    """A forward of one module that is a closure: a copy of the network still runs the original's layer."""

    def __init__(self, asks: bool = False) -> None:
        super().__init__()
        self.asks, first = asks, self.a
        first.forward = lambda x: F.linear(x, first.weight / first.weight.abs().max(), first.bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.asks and x.abs().max() > 1e9:
            x = -x
        return self.b(F.relu(self.a(x)))


class Doubled(Replaced):
    def __init__(self, asks: bool = False) -> None:
        super().__init__()
        del self.a.forward
        self.asks, plain = asks, self.a.forward
        self.a.forward = lambda x: plain(x) * 2


def searched(model: nn.Module, folder: Path) -> ww.Study:
    space = {"name": "graph/quantize/mixed_precision_ptq", "setup": {"by": "type"}}
    strategy = {"name": "brute-force", "metrics": {"loss": {"direction": "minimize"}}}
    space["seed"] = {"linear": {"config": config(*ALL)}}
    return ww.search(
        model,
        rows(),
        {"search": {"search_space": space, "strategy": strategy}},
        out=folder / "run",
        page=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("asks", [False, True], ids=["fx", "running"])
@pytest.mark.parametrize("make", [Replaced, Doubled, AdaptsInputs, AdaptsOutputs])
def test_the_network_of_a_trial_is_the_one_that_was_judged_or_refused(
    make: Callable[..., nn.Module], asks: bool, tmp_path: Path
) -> None:
    build = (lambda: make(asks)) if issubclass(make, Replaced) else make  # type: ignore[arg-type]
    model, other = made_twice(build)
    study = searched(model, tmp_path)
    for trial in study.trials:
        try:
            found = [study.network(trial).model, study.network(trial, model=other).model]
            folder = ww.export(study, trial, "torch", tmp_path / f"export{trial.number}").folder
            found.append(ww.load(folder, model=made_twice(build)[0]).model)
        except ww.UserError as error:
            assert asks, str(error)  # noqa: PT017
            assert "a: can't be reached" in str(error)  # noqa: PT017
            continue
        for network in found:
            assert loss_of(network, rows()) == pytest.approx(trial.metrics["loss"], rel=1e-5)


def test_a_copy_of_a_network_with_closures_is_refused_where_it_has_other_weights(tmp_path: Path) -> None:
    model, _ = made_twice(Replaced)
    study = searched(model, tmp_path)
    trained = Replaced()
    with pytest.raises(ww.UserError, match="a: has no weight here"):
        study.network(0, model=trained)

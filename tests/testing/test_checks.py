"""Every member of a family keeps what `widthwise.testing` asks for, and the checks see what does not."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

import widthwise as ww
from helpers.judged import FIXED, every_layer, made
from helpers.metrics import COSTS
from helpers.places import EXAMPLES
from helpers.regression import Regression, Waves
from helpers.searches import SPACE, Evaluator
from widthwise.core.toml import read_toml
from widthwise.data.facts import facts_of
from widthwise.evaluators.called import evaluator_of
from widthwise.evaluators.protocol import Results
from widthwise.export.exporter import EXPORTERS, Exported, exporter
from widthwise.export.torch import TorchExporter
from widthwise.formats.listing import Row
from widthwise.metrics.catalogue import METRICS, Metric
from widthwise.metrics.quality.classification import Classification
from widthwise.spaces.kinds import KINDS
from widthwise.strategies import STRATEGIES
from widthwise.testing import (
    check_evaluator,
    check_exporter,
    check_format,
    check_metric,
    check_space_kind,
    check_strategy,
    check_task,
)

TWO = {"accuracy": "maximize", "model_size": "minimize"}
ONE_OBJECTIVE = {"cmaes"}  # it can't be told of two


@pytest.mark.parametrize("row", ww.formats.catalogue(), ids=lambda row: row.name)
def test_every_format(row: Row):
    check_format(row.example)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in ONE_OBJECTIVE | {"gp"}])
def test_every_strategy(name: str):
    check_strategy(lambda space, seed: ww.strategy(name, space, objectives=TWO, seed=seed))


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_every_metric(metric: Metric):
    check_metric(metric)


def test_every_task():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn((40, 3), generator=generator)
    labels = torch.randint(0, 3, (40,), generator=generator)
    _, data = made("residual")
    check_task(Classification(), scores, labels, facts_of(data))
    outputs, targets = torch.randn((2, 40), generator=generator)
    check_task(Regression(), outputs, targets, facts_of(Waves()))


def test_every_evaluator():
    graph, data = made("residual")
    space = every_layer(graph, FIXED)
    check_evaluator(ww.Evaluator(graph, space, data, metrics=["accuracy", "loss", "model_size"]), space)
    check_evaluator(evaluator_of(Evaluator(), ["accuracy", "model_size"]), SPACE)


@pytest.mark.parametrize("kind", KINDS.own)
def test_every_kind_of_space(kind: str):
    config = next(
        tables
        for path in sorted(EXAMPLES.glob("*.toml"))
        if (tables := read_toml(path))["search"]["search_space"]["name"] == kind
    )
    config["search"].get("training", {}).update(epochs=1, repeats=1)
    model, data = ww.load_model(config["model"]), ww.load_data(config["dataset"])
    check_space_kind(KINDS.load(kind), config, ww.Graph(model), data)


@pytest.mark.parametrize("form", list(EXPORTERS.own))
def test_every_export_form(form: str, tmp_path: Path):
    graph, data = made("convolutional")
    space = every_layer(graph, FIXED)
    evaluator = ww.Evaluator(graph, space, data, metrics=["accuracy"])
    realised = evaluator.realise(space.at([1])[0]).complete(made("convolutional")[0].model)
    assert check_exporter(exporter(form), realised, tmp_path, data.inputs) == []


@dataclass(frozen=True, repr=False)
class Shifted(ww.formats.Integer):
    """Rounds to something else the second time."""

    names = ("shifted",)

    def quantize(self, x: Tensor) -> Tensor:
        return super().quantize(x.add_(0.0)) * x.numel()


def test_a_format_that_looks_at_its_neighbours_is_found_out():
    with pytest.raises(AssertionError, match=r"each element is rounded by itself|finite values"):
        check_format(Shifted(8, 4))


@dataclass(frozen=True, repr=False)
class Zeroing(ww.formats.Integer):
    """Takes NaN for zero."""

    names = ("zeroing",)

    def quantize(self, x: Tensor) -> Tensor:
        return super().quantize(x).nan_to_num(0.0)


def test_a_format_that_hides_nan_is_found_out():
    with pytest.raises(AssertionError, match="NaN stays NaN"):
        check_format(Zeroing(8, 4))


class Repeats:
    """Proposes the first candidate for ever."""

    batch = 1

    def __init__(self, space):
        self.space = space

    def ask(self, n):
        return self.space.at([0] * min(n, 1))

    def tell(self, candidates, values): ...

    finished = None
    learns = True


def test_a_strategy_that_repeats_itself_is_found_out():
    with pytest.raises(AssertionError, match="no candidate is proposed twice"):
        check_strategy(lambda space, seed: Repeats(space))


def test_a_cost_that_depends_on_its_neighbours_is_found_out(monkeypatch: pytest.MonkeyPatch):
    module = ModuleType("costs_of_a_test")  # as a plug-in's: the function is found by its source
    module.mixed = lambda counts, bits: (
        counts.total("macs") + bits.weight[:, 0].mean() + 0 * bits.weight[:, 0]
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(AssertionError, match="alone and among others"):
        check_metric(replace(COSTS[0], name="wrong", source="costs_of_a_test:mixed"))


def test_an_evaluator_whose_costs_are_guesses_is_found_out():
    class Guesses(Evaluator):
        def costs(self, candidates):
            return {"model_size": np.zeros(len(candidates))}

        def __call__(self, candidates):
            found = dict(super().__call__(candidates))
            return Results({**found, "model_size": np.ones(len(candidates))})

    with pytest.raises(AssertionError, match="what costs knows is what a call gives"):
        check_evaluator(evaluator_of(Guesses(), ["accuracy", "model_size"]), SPACE)


def test_a_form_that_writes_another_network_is_found_out(tmp_path: Path):
    class Doubles(TorchExporter):
        def write(self, realised, graph, folder, example):
            exported = super().write(realised, graph, folder, example)
            return Exported(exported.files, lambda *inputs: 2 * exported.run(*inputs))

    graph, data = made("residual")
    space = every_layer(graph, FIXED)
    evaluator = ww.Evaluator(graph, space, data, metrics=["accuracy"])
    realised = evaluator.realise(space.at([1])[0]).complete(made("residual")[0].model)
    with pytest.raises(AssertionError, match="computes what the network computes"):
        check_exporter(Doubles(), realised, tmp_path, data.inputs)


def test_a_form_whose_run_needs_its_folder_to_stay_is_found_out(tmp_path: Path):
    class Lazy(TorchExporter):
        def write(self, realised, graph, folder, example):
            exported = super().write(realised, graph, folder, example)
            return Exported(exported.files, lambda *inputs: ww.load(folder).model(*inputs))

    graph, data = made("convolutional")
    space = every_layer(graph, FIXED)
    evaluator = ww.Evaluator(graph, space, data, metrics=["accuracy"])
    realised = evaluator.realise(space.at([1])[0]).complete(made("convolutional")[0].model)
    with pytest.raises(AssertionError, match=r"wherever its folder was moved to: .* is no network"):
        check_exporter(Lazy(), realised, tmp_path, data.inputs)
    assert list(tmp_path.iterdir())


class Blind(Regression):
    """Counts candidates whose outputs are no numbers as if they were."""

    def tally(self, rows, metrics, about, outputs, options=None):
        made = super().tally(rows, metrics, about, outputs, options)

        class Unseeing(type(made)):
            failures = property(lambda self: {}, lambda self, value: None)

            def fresh(self, rows):
                return Unseeing(rows, self.others.fresh(rows))

        return Unseeing(rows, made.others)


def test_a_task_that_overlooks_outputs_that_are_no_numbers_is_found_out():
    outputs, targets = torch.randn((2, 40), generator=torch.Generator().manual_seed(0))
    with pytest.raises(AssertionError, match="NaN are a failure"):
        check_task(Blind(), outputs, targets, facts_of(Waves()))


def test_a_task_whose_figures_depend_on_the_blocks_is_found_out():
    class LastBlock(Classification):
        def tally(self, *arguments, **keywords):
            return Forgets(super().tally(*arguments, **keywords))

    class Forgets:
        """Knows only the last block."""

        failures: dict[int, str] = {}  # noqa: RUF012
        row_bytes = 1

        def __init__(self, inner):
            self.inner = inner

        def fresh(self, rows):
            return Forgets(self.inner.fresh(rows))

        def add(self, rows, outputs, versions, targets):
            self.inner = self.inner.fresh(max(self.rows, rows.max() + 1))
            self.inner.add(rows, outputs, versions, targets)

        rows = 3

        def values(self, metrics, rows=None):
            return self.inner.values(metrics, rows)

        def best_possible(self, metrics, total):
            return self.inner.best_possible(metrics, total)

    _, data = made("residual")
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (10,), generator=generator)
    with pytest.raises(AssertionError, match="is the same for blocks of"):
        check_task(LastBlock(), torch.randn((10, 3), generator=generator), labels, facts_of(data))

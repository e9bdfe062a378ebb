"""Every member of a family keeps what `widthwise.testing` asks for, and the checks see what does not."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import count
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
from helpers.regression import Nearness, Waves
from helpers.searches import SPACE, Evaluator
from widthwise.core.toml import read_toml
from widthwise.data.facts import facts_of
from widthwise.evaluators.called import evaluator_of
from widthwise.evaluators.protocol import Results
from widthwise.export.exporter import Exported, exporter
from widthwise.export.torch import TorchExporter
from widthwise.formats.listing import Row
from widthwise.metrics.catalogue import METRICS, Metric
from widthwise.metrics.quality.classification import Classification
from widthwise.metrics.quality.regression import Regression
from widthwise.network.forms import EXPORTERS
from widthwise.spaces.kinds import KINDS
from widthwise.spaces.settings import TRAINED
from widthwise.testing import (
    check_evaluator,
    check_exporter,
    check_format,
    check_metric,
    check_space_kind,
    check_strategy,
    check_task,
)


@pytest.mark.parametrize("row", ww.formats.catalogue(), ids=lambda row: row.name)
def test_every_format(row: Row):
    check_format(row.example)


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
    check_task(Nearness(), outputs, targets, facts_of(Waves()))
    check_task(Regression(), outputs, targets, facts_of(Waves()))
    outputs, targets = torch.randn((2, 40, 3), generator=generator)
    check_task(Regression(), outputs, targets, facts_of(Waves()))


def test_every_evaluator():
    graph, data = made("residual")
    space = every_layer(graph, FIXED)
    check_evaluator(ww.Evaluator(graph, space, data, metrics=["accuracy", "loss", "model_size"]), space)
    check_evaluator(evaluator_of(Evaluator(), ["accuracy", "model_size"]), SPACE)


SHORT = {
    TRAINED: {"steps": 6, "checkpoints": 3, "batch_size": 8}
}  # trainings of other settings than the lab's


@pytest.mark.parametrize("kind", KINDS.own)
def test_every_kind_of_space(kind: str):
    config = next(
        tables
        for path in sorted(EXAMPLES.glob("*.toml"))
        if (tables := read_toml(path))["search"]["search_space"]["name"] == kind
    )
    config["search"].get("training", {}).update(SHORT.get(kind, {"epochs": 1, "repeats": 1}))
    model, data = ww.load_model(config["model"]), ww.load_data(config["dataset"])
    check_space_kind(KINDS.load(kind), config, ww.Graph(model), data)


FLOAT_FORMS = {"onnx"}
INTEGER_FORMS = {"c", "hls4ml", "verilog", "vhdl"}


@pytest.mark.slow
@pytest.mark.parametrize("form", list(EXPORTERS.own))
def test_every_export_form(form: str, tmp_path: Path):
    kind = "residual" if form in INTEGER_FORMS else "convolutional"  # which has a batch norm
    graph, data = made(kind)
    space = every_layer(graph, FIXED)
    evaluator = ww.Evaluator(graph, space, data, metrics=["accuracy"])
    realised = evaluator.realise(space.at([1])[0])
    written = replace(realised, schemes={}) if form in FLOAT_FORMS else realised
    complete = written.complete(made(kind)[0].model)
    options = {"simulate": False} if form in ("verilog", "vhdl") else {}  # a simulator takes long
    assert check_exporter(exporter(form, options), complete, tmp_path, data.inputs) == []


class Itself(ww.formats.Integer):
    def quantize(self, x: Tensor) -> Tensor:
        return x.copy_(super().quantize(x))


class ForNaN(ww.formats.Integer):
    def quantize(self, x: Tensor) -> Tensor:
        return super().quantize(x).nan_to_num()


class ByTheGreatest(ww.formats.Integer):
    def quantize(self, x: Tensor) -> Tensor:
        top = x.abs().max() if x.numel() else 1.0
        return super().quantize(x / top) * top if top else x.clone()


class Single(ww.formats.Integer):
    def quantize(self, x: Tensor) -> Tensor:
        return super().quantize(x).float()


class Endless(ww.formats.Integer):
    def quantize(self, x: Tensor) -> Tensor:
        return torch.where(super().clipped(x), x.sign() * torch.inf, super().quantize(x))


class Other(ww.formats.Integer):
    def to_config(self):
        return {"name": "binary"}


class Light(ww.formats.Integer):
    def storage_bits(self, shape):
        return 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Itself, "leaves its input as it is"),
        (ForNaN, "NaN stays NaN"),
        (ByTheGreatest, "each element is rounded by itself"),
        (Single, "keeps dtype and shape"),
        (Endless, "gives finite values for finite ones"),
        (Other, "its config names it"),
        (Light, "stores its bits for each"),
    ],
)
def test_a_format_that_is_not_as_it_says_is_found_out(wrong: type[ww.formats.Integer], said: str):
    with pytest.raises(AssertionError, match=said):
        check_format(wrong(8, 4))
    check_format(ww.formats.Integer(8, 4))


class Upwards:
    """Every candidate in its order, in batches: keeps the contract."""

    batch, learns = 4, False

    def __init__(self, space, seed):
        self.space, self.seed, self.next, self.known = space, seed, 0, set()

    @property
    def finished(self):
        return "all proposed" if self.next == self.space.size else None

    def ask(self, n):
        rows = []
        while len(rows) < n and self.next < self.space.size:
            rows += [self.next] * (self.next not in self.known)
            self.next += 1
        return self.space.at(rows)

    def tell(self, candidates, values):
        self.known.update(self.space.positions(candidates))

    def replay(self, batches):
        for candidates, values in batches:
            self.ask(len(candidates))
            self.tell(candidates, values)


class Repeats(Upwards):
    def ask(self, n):
        return self.space.at([0] * min(n, 1))


class Chance(Upwards):
    def ask(self, n):
        start = self.next
        self.next = min(start + n, self.space.size)
        turned = (np.arange(start, self.next) + self.started) % self.space.size
        return self.space.at(turned.tolist())

    def __init__(self, space, seed):
        super().__init__(space, seed)
        self.started = next(STARTS)


STARTS = count()


class Forgets(Upwards):
    def replay(self, batches): ...


class Deaf(Upwards):
    def tell(self, candidates, values): ...


class Silent(Upwards):
    finished = None


class Greedy(Upwards):
    def ask(self, n):
        return super().ask(n + 1)


class Faint(Upwards):
    def ask(self, n):
        return super().ask(n if not self.failed else 0)

    failed = False

    def tell(self, candidates, values):
        super().tell(candidates, values)
        self.failed |= bool(len(values) and np.isnan(values).all())


class Eager(Upwards):
    def ask(self, n):
        self.next = self.next if n else self.space.size
        return super().ask(n)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Repeats, "no candidate is proposed twice"),
        (Chance, "the same seed and the same results lead to the same proposals"),
        (Forgets, "goes on as if it had not been stopped"),
        (Deaf, "told from elsewhere is not proposed"),
        (Silent, "finished says why"),
        (Greedy, "at most n candidates"),
        (Faint, "it goes on where everything fails"),
        (Eager, "asked for none, it isn't finished"),
    ],
)
def test_a_strategy_that_breaks_the_contract_is_found_out(wrong: type[Upwards], said: str):
    check_strategy(Upwards)
    with pytest.raises(AssertionError, match=said):
        check_strategy(wrong)


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


class Blind(Nearness):
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


def test_a_task_that_hopes_for_too_little_is_found_out():
    class Gloomy(Nearness):
        def tally(self, *arguments, **keywords):
            return Doubting(super().tally(*arguments, **keywords))

    class Doubting:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def fresh(self, rows):
            return Doubting(self.inner.fresh(rows))

        def best_possible(self, metrics, total):
            return self.inner.values(metrics)

    outputs, targets = torch.randn((2, 40), generator=torch.Generator().manual_seed(0))
    with pytest.raises(AssertionError, match="no figure ends better than best_possible said"):
        check_task(Gloomy(), outputs, targets, facts_of(Waves()))

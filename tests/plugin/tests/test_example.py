"""What the author of a plug-in writes: the checks of widthwise for each thing that the package adds."""

from __future__ import annotations

from pathlib import Path

import torch
from widthwise_example.arrays import Arrays
from widthwise_example.moons import moons
from widthwise_example.narrow import Narrow
from widthwise_example.one_format import KIND
from widthwise_example.sign import Sign
from widthwise_example.thirds import Thirds
from widthwise_example.transistors import TRANSISTORS
from widthwise_example.zigzag import Zigzag

import widthwise as ww
from widthwise.data.facts import facts_of
from widthwise.testing import (
    check_evaluator,
    check_exporter,
    check_format,
    check_metric,
    check_space_kind,
    check_strategy,
    check_task,
)

UP, DOWN = {"direction": "maximize"}, {"direction": "minimize"}
CONFIG = {
    "model": "narrow",
    "dataset": "moons",
    "task": "sign",
    "search": {
        "search_space": {"name": "example/one-format", "seed": {"least": 2, "most": 4}},
        "strategy": {"name": "zigzag", "metrics": {"agreement": UP, "transistors": DOWN}},
    },
}


def test_the_format() -> None:
    check_format(Thirds(4))
    assert ww.formats.parse("thirds<2>").quantize(torch.tensor([0.3, 5.0])).mul(3).tolist() == [1.0, 6.0]


def test_the_metric() -> None:
    check_metric(TRANSISTORS)


def test_the_strategy() -> None:
    two = {"agreement": "maximize", "transistors": "minimize"}
    check_strategy(lambda space, seed: ww.strategy("zigzag", space, objectives=two, seed=seed))
    assert Zigzag.batch == 16


def test_the_task() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(40, generator=generator)
    check_task(Sign(), scores, scores.roll(1).sign(), facts_of(moons()))


def test_the_kind_of_space() -> None:
    check_space_kind(KIND, CONFIG, ww.Graph(ww.load_model("narrow")), moons())


def test_the_export_form(tmp_path: Path) -> None:
    study = ww.search(None, None, CONFIG, out=tmp_path / "run")
    realised = study.realised(study.trial(0)).complete(study.searched_network())
    (tmp_path / "arrays").mkdir()
    points = moons().points[:20]
    assert check_exporter(Arrays(), realised, tmp_path / "arrays", (points,)) == []


def test_the_network_and_the_data() -> None:
    model, data = ww.load_model("narrow"), ww.load_data("moons")
    assert isinstance(model, Narrow)
    ww.fit(model, data, epochs=20, task="sign")
    found = ww.evaluate(ww.Graph(model), data, metrics=["agreement", "transistors"], task="sign")
    assert found["agreement"] > 0.8
    graph = ww.Graph(model)
    space = ww.QuantisationSpace(graph, by="type", seed={"linear": {"config": {"name": ["thirds"]}}})
    evaluator = ww.Evaluator(graph, space, data, metrics=["agreement", "transistors"], task="sign")
    check_evaluator(evaluator, space)

"""Networks given in memory: their run is opened, tested, resumed and exported like any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import widthwise as ww
from helpers.running import Run
from widthwise.config.template import example_text
from widthwise.core.toml import parse_toml
from widthwise.search.limits import Limits

NAMED = parse_toml(example_text("jsc-tiny"), label="jsc-tiny")
CONFIG = {key: value for key, value in NAMED.items() if key not in ("model", "dataset")}


def network() -> nn.Module:
    """One with random weights that no name makes again."""
    return nn.Sequential(nn.BatchNorm1d(16), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))


def test_run_makes_the_network_again_and_goes_on_without_it(place: Path, run: Run):
    made = network()
    study = ww.search(made, ww.load_data("jsc"), CONFIG, out="here", limits=limits(7), page=False)
    opened = ww.load_run("here")
    assert ww.Study.load("here") == opened == ww.Study.load(Path("here/study.db"))
    x = torch.rand(9, 16)
    assert torch.equal(opened.network().model(x), made.eval()(x))
    best = study.front[0]
    assert torch.equal(opened.network(best).model(x), study.network(best).model(x))
    assert run("test", "--run", "here", "--trial", best.number).status == 0
    assert run("export", "here", "--trial", best.number, "--to", "torch", "--out", "out").status == 0
    resumed = run("search", "here/config.toml", "--resume", "--out", "here", "--trials", 12)
    assert (resumed.status, ww.load_run("here").summary.trials) == (0, 12)
    whole = ww.search(made, ww.load_data("jsc"), CONFIG, out="whole", limits=limits(12), page=False)
    assert [t.metrics for t in whole.front] == [t.metrics for t in ww.load_run("here").front]


def test_a_config_that_names_another_network_or_none_that_is_here_serves_one_that_is_given(
    place: Path, run: Run
):
    """A notebook takes the config of `widthwise init nets:build` from another folder; the run has its own."""
    for number, name in enumerate(("nowhere:build", "jsc-tiny")):
        config = {**CONFIG, "model": name, "dataset": "jsc"}
        made, folder = network(), f"here-{number}"
        ww.search(made, None, config, out=folder, limits=limits(3), page=False)
        x = torch.rand(9, 16)
        assert torch.equal(ww.load_run(folder).network().model(x), made.eval()(x))
        best = ww.load_run(folder).front[0].number
        assert run("test", "--run", folder, "--trial", best).status == 0
        done = run("export", folder, "--trial", best, "--to", "torch", "--out", f"out-{number}")
        assert (done.status, "outputs equal" in done.out) == (0, True)
        resumed = run("search", f"{folder}/config.toml", "--resume", "--out", folder, "--trials", 5)
        assert (resumed.status, ww.load_run(folder).summary.trials) == (0, 5), resumed.err
        (place / "other.toml").write_text(
            (place / folder / "config.toml").read_text().replace(name, "jsc-toy"), encoding="utf-8"
        )
        other = run("search", "other.toml", "--resume", "--out", folder, "--trials", 6)
        assert other.status == 2


def test_data_of_another_seed_is_not_named_as_the_configs(place: Path, run: Run):
    ww.search(network(), ww.load_data("jsc", seed=3), CONFIG, out="here", limits=limits(2), page=False)
    ran = run("test", "--run", "here")
    assert ran.status == 2
    assert "dataset: is missing" in ran.err


def test_run_is_of_the_data_that_was_given_whatever_the_config_names(place: Path, run: Run):
    """A notebook beside the folder of its data: what the config names isn't there, or is other data."""
    rng = np.random.default_rng(0)
    rows = [[*x.round(3), int(x[:2].sum() > 0)] for x in rng.normal(size=(300, 16))]
    (place / "inner").mkdir()
    lines = [",".join(f"x{i}" for i in range(16)) + ",kept", *(",".join(map(str, row)) for row in rows)]
    (place / "inner" / "own.csv").write_text("\n".join(lines) + "\n")
    data = ww.load_data("inner/own.csv", label="kept")
    for number, named in enumerate(("own.csv", "jsc")):
        config, folder = {**CONFIG, "dataset": named}, f"here-{number}"
        study = ww.search(network(), data, config, out=folder, limits=limits(3), page=False)
        best = study.front[0]
        tested = run("test", "--run", folder, "--trial", best.number, "--part", "val", "--json")
        assert tested.status == 0, tested.err
        accuracy = json.loads(tested.out)["val"]["accuracy"]
        assert accuracy == pytest.approx(best.software_metrics["accuracy"])
    other = ww.load_data("jsc", seed=3)
    ww.search(network(), other, {**CONFIG, "dataset": "jsc"}, out="seeded", limits=limits(2), page=False)
    ran = run("test", "--run", "seeded")
    assert (ran.status, "dataset: is missing" in ran.err) == (2, True)


class OfOnesOwn:
    """A data module that nobody's loader made."""

    def train_dataloader(self):
        return [(torch.ones(6, 16), torch.arange(6) % 5)]

    val_dataloader = test_dataloader = train_dataloader


def test_data_of_ones_own_module_beside_a_config_that_names_other_is_told_of(place: Path, run: Run):
    named = {**CONFIG, "dataset": "jsc"}
    ww.search(network(), OfOnesOwn(), named, out="own", limits=limits(2), page=False)
    ran = run("test", "--run", "own")
    assert (ran.status, "the val data of jsc is not what the run was judged on" in ran.err) == (0, True)
    ww.search(network(), None, named, out="named", limits=limits(2), page=False)
    assert "not what the run was judged on" not in run("test", "--run", "named").err


def test_search_without_a_config_is_what_init_writes(place: Path, run: Run):
    assert run("init", "jsc-tiny", "--out", "net.toml").status == 0
    found = ww.search("jsc-tiny", None, limits=limits(9), out="without", page=False)
    named = ww.search(None, None, "net.toml", limits=limits(9), out="with", page=False)
    assert [trial.config for trial in found.trials] == [trial.config for trial in named.trials]
    assert [trial.metrics for trial in found.trials] == [trial.metrics for trial in named.trials]
    made, data = network(), ww.load_data("jsc")
    own = ww.search(made, data, limits=limits(3), page=False)
    folder = Path("runs") / type(made).__name__
    assert own.folder == folder
    assert own.trials[0].software_metrics == ww.load_run(folder).trials[0].software_metrics


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (None, None, "config: is missing, and so is a network; give one of both"),
        (nn.Linear(16, 5), None, "data: is missing, and there is no config that names it"),
        (nn.Sequential(nn.ReLU()), "jsc", "Sequential: has no layer with weights"),
        (nn.Linear(3, 5), "jsc", r"its first layer \(the network itself, Linear\) takes 3 features"),
    ],
)
def test_search_without_a_config_says_what_is_missing(model: nn.Module, data: str, said: str):
    with pytest.raises(ww.UserError, match=said):
        ww.search(model, data)


def limits(trials: int) -> Limits:
    """So many trials."""
    return Limits(trials=trials)

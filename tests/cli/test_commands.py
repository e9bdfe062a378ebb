"""The other commands: train, test, inspect, init, formats, runs, report, trials, rm."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import widthwise as ww
from helpers.running import Run, files_in
from widthwise.formats import FORMATS
from widthwise.strategies.registry import STRATEGIES


@pytest.fixture
def here(demo: Path) -> Path:
    """A finished run of the demo, in the folder here."""
    ww.search(None, None, ww.load_config(demo), out="here", page=False)
    return demo.parent / "here"


def test_train_prints_its_epochs_and_saves_the_best_weights(run: Run, place: Path) -> None:
    ran = run("train", "--model", "jsc-tiny", "--epochs", 4, "--lr", 0.01, "--seed", 2)
    assert ran.status == 0
    assert [line.split()[1] for line in ran.out.splitlines() if line.startswith("epoch")] == list("124")
    model = ww.load_model("jsc-tiny", seed=2)
    history = ww.fit(model, ww.load_data("jsc", seed=2), epochs=4, learning_rate=0.01, seed=2)
    assert (
        f"Best of 4 epochs: {history.best_epoch}, validation accuracy {history.best.val_accuracy:.4f}"
        in ran.out
    )
    saved = ww.load_model("jsc-tiny", checkpoint=place / "jsc-tiny.safetensors")
    assert all((saved.state_dict()[name] == t).all() for name, t in model.state_dict().items())


def test_train_overwrites_only_when_told(run: Run, place: Path) -> None:
    run("train", "--model", "jsc-tiny", "--epochs", 1)
    before = (place / "jsc-tiny.safetensors").read_bytes()
    ran = run("train", "--model", "jsc-tiny", "--epochs", 3)
    assert (ran.status, ran.err.partition(":")[0]) == (2, "error")
    assert (place / "jsc-tiny.safetensors").read_bytes() == before
    assert run("train", "--model", "jsc-tiny", "--epochs", 3, "--force", "--quiet").status == 0
    assert (place / "jsc-tiny.safetensors").read_bytes() != before


def test_test_gives_what_the_library_gives(run: Run, place: Path) -> None:
    run("train", "--model", "jsc-tiny", "--epochs", 3)
    ran = run(
        "test",
        "--model",
        "jsc-tiny",
        "--load",
        "jsc-tiny.safetensors",
        "--metrics",
        "accuracy,f1[2]",
        "--json",
    )
    graph = ww.Graph(ww.load_model("jsc-tiny", checkpoint=place / "jsc-tiny.safetensors"))
    for part in ("val", "test"):
        found = ww.evaluate(graph, ww.load_data("jsc"), metrics=["accuracy", "f1[2]"], loader=part)
        assert json.loads(ran.out)[part] == pytest.approx(found)
    table = run("test", "--model", "jsc-tiny", "--load", "jsc-tiny.safetensors", "--part", "val")
    assert "accuracy" in table.out
    assert " test" not in table.out.partition("metric")[2]


def test_test_warns_of_random_weights(run: Run) -> None:
    assert "are random" in run("test", "--model", "jsc-tiny").err


def test_the_network_of_a_trial_is_tested(run: Run, here: Path) -> None:
    trial = ww.load_run(here).trials[7]
    ran = run("test", "--run", "here", "--trial", 7, "--json", "--metrics", "accuracy,average_bitwidth")
    found = json.loads(ran.out)["val"]
    assert found == {name: pytest.approx(trial.metrics[name]) for name in found}
    ran = run("test", "--run", "here", "--trial", 18)
    assert ran.err == "error: --trial: here has no trial 18; it has 18, from 0\n"


def test_inspect_lists_layers_with_shapes_and_costs(run: Run) -> None:
    ran = run("inspect", "--model", "jsc-three-linear")
    row = next(line for line in ran.out.splitlines() if line.startswith("seq_blocks_2 "))
    assert row.split() == ["seq_blocks_2", "linear", "16", "16", "272", "256", "data_in,", "weight,", "bias"]
    assert "In all 661 parameters, 592 MACs a sample" in ran.out
    assert "by torch.fx" in ran.out


def test_inspect_needs_no_data_that_has_to_be_fetched(run: Run) -> None:
    ran = run("inspect", "--model", "resnet8")
    assert ran.status == 0, ran.err
    assert "data:        none given" in ran.out
    assert "32x32" in ran.out


def test_inspect_says_how_a_network_that_cant_be_traced_is_captured(run: Run, place: Path) -> None:
    code = (
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.layer = nn.Linear(16, 5)\n    def forward(self, x):\n"
        "        return self.layer(x) if x.sum() > 0 else self.layer(x) + 1\n"
    )
    (place / "untraceable.py").write_text(code)
    ran = run("inspect", "--model", "untraceable:Net", "--dataset", "jsc")
    assert "as it runs: formats apply to the calls that it makes; not by torch.fx (TraceError" in ran.out
    assert "one pass per candidate" in ran.out


DEEP = """
import torch
from torch import nn


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(60))
        self.odd, self.head = nn.Parameter(torch.ones(16)), nn.Linear(9, 5)

    def forward(self, x):
        x = torch.hypot(x, self.odd)
        for layer in self.layers:
            x = layer(x)
        return self.head(torch.fft.rfft(x).abs())
"""


def test_inspect_tells_in_one_screen_what_is_quantised_and_what_stays_in_float(run: Run, place: Path) -> None:
    (place / "deep.py").write_text(DEEP)
    ran = run("inspect", "--model", "deep:Deep", "--dataset", "jsc")
    assert len(ran.out.splitlines()) < 40
    assert re.search(r"^linear +61 +layers_0 ", ran.out, re.MULTILINE)
    assert re.search(r"^parameter +1 +odd +16 ", ran.out, re.MULTILINE)
    everything = run("inspect", "--model", "deep:Deep", "--dataset", "jsc", "--all")
    assert "layers_59" in everything.out
    assert "layers_59" not in ran.out


def test_a_search_warns_once_of_parameters_in_float(run: Run, place: Path) -> None:
    (place / "deep.py").write_text(DEEP.replace("range(60)", "range(1)"))
    run("init", "deep:Deep", "--dataset", "jsc", "--out", "deep.toml")
    ran = run("search", "deep.toml", "--trials", "2", "--strategy", "random")
    assert ran.status == 0, ran.err
    assert ran.err.count("stay in float") == 1


def test_inspect_shows_what_applies_to_each_layer(run: Run, demo: Path) -> None:
    ran = run("inspect", demo, "--config")
    text, _, applied = ran.out.partition("# what applies to each layer\n")
    Path("resolved.toml").write_text(text)
    assert ww.load_config("resolved.toml") == ww.load_config(demo)
    lines = dict(line.removeprefix("# ").split(": ", 1) for line in applied.splitlines())
    (linear,) = [name for name in lines if "(linear)" in name]
    assert "data_in_width [4, 8]" in lines.pop(linear)
    assert set(lines.values()) <= {"stays in float", "can't be quantised"}


def test_inspect_lists_groups_of_channels(run: Run) -> None:
    ran = run("inspect", "--model", "jsc-three-linear", "--widths")
    assert "seq_blocks.2" in ran.out
    assert "seq_blocks.4 (in)" in ran.out
    assert "they are outputs of the network" in ran.out


@pytest.mark.parametrize("model", ["jsc-three-linear", "digits-cnn"])
def test_init_writes_a_config_that_searches(model: str, run: Run, place: Path) -> None:
    ran = run("init", model)
    assert ran.status == 0
    again = run("init", model)
    assert again.status == 2
    assert "exists already" in again.err
    ran = run("search", f"{model}.toml", "--trials", 2, "--out", "here")
    assert ran.status == 0, ran.err
    assert ww.load_run(place / "here").summary.trials == 2


def test_init_names_the_layers_that_the_network_has_on_its_data(run: Run, place: Path) -> None:
    code = (
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.few, self.many = nn.Linear(16, 5), nn.Linear(16, 5)\n    def forward(self, x):\n"
        "        return self.many(x) if len(x) > 2 and x.isfinite().all() else self.few(x)\n"
    )
    (place / "ways.py").write_text(code)
    ran = run("init", "ways:Net", "--dataset", "jsc", "--out", "here.toml")
    assert "1 layer (many linear)" in ran.out
    assert run("search", "here.toml", "--trials", "2", "--out", "here").status == 0


def test_init_writes_a_joint_search_that_is_one(run: Run, place: Path) -> None:
    assert "Wrote digits-cnn.toml" in run("init", "digits-cnn", "--space", "graph/joint").out
    assert "channels (channel_multiplier)" in run("inspect", "digits-cnn.toml", "--config").out
    assert (
        "gradient searches" in run("init", "jsc-tiny", "--space", "graph/joint", "--strategy", "gradient").err
    )
    assert "no search space named 'graph/width'" in run("init", "jsc-tiny", "--space", "graph/width").err


def test_init_names_every_strategy_once_and_counts_the_layers(run: Run, place: Path) -> None:
    assert "Wrote jsc-tiny.toml: 1 layer (seq_blocks_2 linear)" in run("init", "jsc-tiny").out
    (line,) = (text for text in (place / "jsc-tiny.toml").read_text().splitlines() if "# or brute-" in text)
    named = line.replace('name = "frontier"', "frontier,").replace("# or", "").replace(" ", "").split(",")
    assert sorted(named) == sorted(STRATEGIES)


def test_own_data_is_named_once(run: Run, place: Path) -> None:
    np.savez(place / "own.npz", X=np.random.default_rng(0).normal(size=(60, 16)), y=np.arange(60) % 5)
    assert "data:        own.npz (35 train," in run("test", "--model", "jsc-tiny", "--dataset", "own.npz").out
    (place / "own_module.py").write_text(
        "import torch\nclass Mine:\n    def train_dataloader(self):\n"
        "        return [(torch.zeros(4, 16), torch.arange(4))]\n"
        "    val_dataloader = test_dataloader = train_dataloader\n"
    )
    assert "data:        Mine\n" in run("test", "--model", "jsc-tiny", "--dataset", "own_module:Mine").out


def test_formats_lists_every_format_with_its_parameters(run: Run) -> None:
    listed = json.loads(run("formats", "--json").out)
    assert [row["name"] for row in listed] == [fmt.names[0] for fmt in FORMATS]
    table = run("formats").out
    for fmt in FORMATS:
        assert f"\n{fmt.names[0]} " in table


def test_runs_are_listed(run: Run, here: Path) -> None:
    assert run("runs").out.startswith("No runs in runs yet")
    ran = run("runs", ".")
    assert "here" in ran.out
    assert "all 18 candidates proposed" in ran.out
    (here / "study.db").write_bytes(b"broken")
    ran = run("runs", ".")
    assert "can't be read" in ran.out
    assert ran.err.startswith("warning: here/study.db")


def test_report_prints_the_table_of_the_search_again(run: Run, demo: Path) -> None:
    searched = run("search", demo, "--out", "here").out
    ran = run("report", "here")
    table = searched[searched.index("Best trial(s)") : searched.index("18 trials in")]
    assert table in ran.out


def test_trials_are_exported(run: Run, here: Path) -> None:
    frame = ww.load_run(here).to_pandas()
    rows = list(csv.DictReader(run("trials", "here").out.splitlines()))
    assert [float(row["accuracy"]) for row in rows] == frame["accuracy"].tolist()
    exported = json.loads(run("trials", "here", "--format", "json").out)
    assert [trial["number"] for trial in exported] == frame["number"].tolist()
    assert (
        run("trials", "here", "--format", "parquet", "--out", "t.parquet").out
        == "Wrote t.parquet: 18 trials\n"
    )
    assert pd.read_parquet("t.parquet")["loss"].tolist() == frame["loss"].tolist()
    assert run("trials", "here", "--out", "t.parquet").status == 2


def test_an_export_that_fails_leaves_no_file(run: Run, here: Path) -> None:
    before = files_in(here.parent)
    (here / "study.db").write_bytes(b"broken")
    assert run("trials", "here", "--out", "t.csv").status == 2
    assert files_in(here.parent).keys() == before.keys()


def test_rm_deletes_only_runs_and_only_when_told(run: Run, here: Path) -> None:
    ran = run("rm", "here")
    assert ran.status == 2
    assert "--yes" in ran.err
    (here.parent / "mine").mkdir()
    assert run("rm", "mine", "--yes").status == 2
    assert (here.parent / "mine").is_dir()
    assert run("rm", "here", "--yes").out == "Deleted here (18 trials)\n"
    assert not here.exists()


def test_formats_are_drawn_on_a_page(run: Run, place: Path) -> None:
    assert run("formats", "plot", "fixed<8,4>", "e4m3", "--out", "page.html").out == "Wrote page.html\n"
    assert "fixed" in (place / "page.html").read_text(encoding="utf-8")
    ran = run("formats", "plot", "fixd<8,4>", "--out", "other.html")
    assert (ran.status, ran.err.partition(":")[0]) == (2, "error")
    assert run("formats", "plot", "e4m3", "--out", "page.html").err.startswith(
        "error: page.html: exists already"
    )
    assert sorted(files_in(place)) == ["page.html"]


def test_a_new_config_has_an_objective_of_the_datas_task(run: Run, place: Path) -> None:
    assert "task:        regression" in run("init", "diabetes-mlp").out
    text = (place / "diabetes-mlp.toml").read_text()
    assert 'mse.direction = "minimize"    # or rmse, mae, r2' in text
    assert "# brute-force tries all 5,832 candidates" in text
    assert run("search", "diabetes-mlp.toml", "--trials", 2, "--set", "max_epochs=1", "--train").status == 0
    ran = run("search", "diabetes-mlp.toml", "--set", "search.constraints.model_size=600")
    assert (ran.status, 'write a bound as "<= 600"' in ran.err) == (2, True)

"""Metrics, losses and tasks of one's own in configs, as docs/metrics.md shows them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sklearn.metrics
import torch

import widthwise as ww
from helpers.places import DOCS
from helpers.running import Run
from widthwise.config import load_config
from widthwise.config.trust import code_in
from widthwise.config.write import toml_of
from widthwise.core.errors import UserError
from widthwise.core.toml import parse_toml
from widthwise.study.run_folder import load_run

FILE = r"```\w+ file=%s\n(.*?)```"


@pytest.fixture
def here(place: Path) -> Iterator[Path]:
    """A folder with the files of the page; their modules are forgotten afterwards."""
    text = (DOCS / "metrics.md").read_text("utf-8")
    for name in ("my_metrics.py", "own.toml"):
        (found,) = re.findall(FILE % re.escape(name), text, re.DOTALL)
        (place / name).write_text(found)
    path = list(sys.path)
    yield place
    for name in ("my_metrics", "mine"):
        sys.modules.pop(name, None)
    sys.path[:] = path


def test_the_page_is_searched(run: Run, here: Path) -> None:
    ran = run("search", "own.toml", "--train", "--set", "max_epochs=20", "--out", "run")
    assert ran.status == 0, ran.err
    assert "this config runs code: metric my_metrics:worst_class, metric my_metrics:brier" in ran.err
    study = load_run("run")
    assert study.aim.names == ("worst", "model_size")
    assert {"worst", "brier"} <= set(study.record.columns)
    x, y = ww.load_data("jsc").parts["val"]
    with torch.no_grad():
        outputs = study.network(study.front[0]).model(x)
    answers = outputs.argmax(1)
    recalls = sklearn.metrics.recall_score(y, answers, average=None)
    assert study.front[0].metrics["worst"] == pytest.approx(recalls.min(), abs=1e-6)
    assert all(trial.metrics["brier"] <= 0.7 for trial in study.front)


def test_the_page_of_python_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (DOCS / "metrics.md").read_text("utf-8")
    sys.path.insert(0, str(here))
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "metrics.md", "exec"), {})
    worst, brier = map(float, capsys.readouterr().out.split())
    assert 0 <= worst <= 1
    assert 0 <= brier <= 2


def test_a_run_that_is_only_read_imports_nothing(run: Run, here: Path) -> None:
    run("search", "own.toml", "--train", "--set", "max_epochs=20", "--out", "run")
    sys.modules.pop("my_metrics")
    (here / "my_metrics.py").unlink()
    assert "worst" in run("report", "run").out
    assert run("trials", "run").status == 0
    assert load_run("run").pick("best worst with brier <= 2").metrics["worst"] >= 0
    assert "my_metrics" not in sys.modules


def test_a_config_is_read_back_as_the_same(here: Path) -> None:
    config = load_config(here / "own.toml")
    assert "my_metrics" not in sys.modules
    assert load_config(parse_toml(toml_of(config), label="again")) == config
    assert code_in(config) == ("metric my_metrics:worst_class", "metric my_metrics:brier")


@pytest.mark.parametrize(
    "line",
    [
        'metrics.worst.source = "my_metrics:worst_class"',
        'task = "mine:Task"',
        'loss = "mine:loss"',
        'search.training.loss = "mine:loss"',
        'search.strategy.metrics."mine:figure".direction = "maximize"',
        'search.constraints."mine:figure" = "<= 1"',
    ],
)
def test_untrusted_configs_name_no_code(run: Run, here: Path, line: str) -> None:
    (here / "mine.py").write_text("raise SystemExit('was imported')")
    key, value = line.split(" = ")
    (here / "theirs.toml").write_text(line + "\n")
    ran = run("search", "theirs.toml", "--untrusted")
    assert ran.status == 2
    named = value.strip('"') if ":" in value else "mine:figure"
    assert f"{named}: names code that would run" in ran.err
    assert key.split(".")[0] in ran.err
    assert not {"mine", "my_metrics"} & set(sys.modules)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("worst_class", "worst_clas", "no object named 'worst_clas'; did you mean worst_class?"),
        ("my_metrics:worst", "my_metric:worst", "no module named my_metric"),
        ("my_metrics:worst_class", "my_metrics", "is not of the form module:callable"),
        ("high = 1", "high = 0", "metrics.worst.low: 0 is not below high = 0"),
        ("high = 1", "hihg = 1", "metrics.worst.hihg: no such key; did you mean high"),
        ("[metrics.worst]", "[metrics.accuracy]", "metrics.accuracy: is one of widthwise's metrics"),
        ('source = "my_metrics:worst_class"', "", "metrics.worst.source: is missing"),
        ("worst.direction", "wurst.direction", "no metric named 'wurst'"),
        ("high = 1", "high = 0.1\noptions.a = 1", "metric worst: is a function; options are for classes"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, here: Path, old: str, new: str, told: str) -> None:
    text = (here / "own.toml").read_text()
    assert old in text
    (here / "own.toml").write_text(text.replace(old, new))
    ran = run("search", "own.toml")
    assert ran.status == 2
    assert told in ran.err
    assert len([line for line in ran.err.splitlines() if line.startswith("error")]) == 1
    assert not (here / "runs").exists()


def test_what_raises_ends_the_search_before_it_begins(run: Run, here: Path) -> None:
    (here / "my_metrics.py").write_text(
        "def worst_class(outputs, targets):\n    return outputs.nothing\ndef brier(x, y):\n    return y\n"
    )
    ran = run("search", "own.toml")
    assert ran.status == 2
    assert "metric worst: my_metrics:worst_class raised AttributeError: " in ran.err
    assert not (here / "runs").exists()


def test_classes_take_options_and_names_stand_by_themselves(run: Run, here: Path) -> None:
    (here / "test.toml").write_text(
        'model = "jsc-tiny"\ndataset = "jsc"\n[metrics.MulticlassCohenKappa]\noptions.weights = "linear"\n'
        '[metrics.f2]\nsource = "torchmetrics.classification:MulticlassFBetaScore"\n'
        "options.beta = 2.0\noptions.num_classes = 5\n"
    )
    metrics = "MulticlassCohenKappa,f2,my_metrics:worst_class"
    ran = run("test", "test.toml", "--part", "val", "--metrics", metrics, "--json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)["val"]
    x, y = ww.load_data("jsc", seed=0).parts["val"]
    network = ww.load_model("jsc-tiny", seed=0).eval()
    with torch.no_grad():
        answers = network(x).argmax(1)
    expected = sklearn.metrics.cohen_kappa_score(y, answers, weights="linear")
    assert found["MulticlassCohenKappa"] == pytest.approx(expected, abs=1e-6)
    f2 = sklearn.metrics.fbeta_score(y, answers, beta=2, average="macro")
    assert found["f2"] == pytest.approx(f2, abs=1e-6)
    recalls = sklearn.metrics.recall_score(y, answers, average=None)
    assert found["my_metrics:worst_class"] == pytest.approx(recalls.min(), abs=1e-6)


def test_metrics_from_python_are_searched_by_and_kept(here: Path, run: Run) -> None:
    def worst(outputs: torch.Tensor, targets: torch.Tensor) -> float:
        return float(sklearn.metrics.recall_score(targets, outputs.argmax(1), average=None).min())

    config = parse_toml((here / "own.toml").read_text(), label="own.toml")
    del config["metrics"], config["search"]["constraints"]
    network, data = ww.load_model("jsc-tiny", seed=0), ww.load_data("jsc")
    with pytest.raises(UserError, match="no metric named 'worst'"):
        ww.search(network, data, config, out=here / "run", page=False)
    study = ww.search(network, data, config, out=here / "run", metrics=[worst], page=False)
    assert study.front[0].metrics["worst"] >= 0
    again = ww.search(network, data, config, out=here / "run", metrics=[worst], resume=True, page=False)
    assert again.front == study.front
    with pytest.raises(UserError, match="metric worst: was given from Python; give it again"):
        ww.search(network, data, here / "run/config.toml", out=here / "run", resume=True, page=False)
    config["search"]["strategy"]["setup"] = {"n_jobs": 2}
    with pytest.raises(UserError, match="workers make theirs from the config"):
        ww.search(network, data, config, out=here / "other", metrics=[worst], page=False)
    assert run("test", "--run", "run", "--trial", study.front[0].number).status == 0


TASK = """
from helpers.regression import Nearness, Waves, network

class Near(Nearness):
    name = "near"

data = Waves
"""


def test_a_task_and_a_loss_are_named_in_a_config(run: Run, here: Path) -> None:
    (here / "mine.py").write_text(
        f"{TASK}\nasked = []\ndef loss(x, y):\n    asked.append(len(y))\n    return (x - y).abs().mean()\n"
    )
    named = 'model = "mine:network"\ndataset = "mine:data"\ntask = "mine:Near"\nloss = "mine:loss"\n'
    (here / "near.toml").write_text(named + "max_epochs = 2\n")
    ran = run("train", "near.toml", "--out", "near.safetensors")
    assert ran.status == 0, ran.err
    assert "task mine:Near" in ran.err
    assert "loss mine:loss" in ran.err
    assert sys.modules["mine"].asked
    ran = run("test", "near.toml", "--load", "near.safetensors", "--metrics", "mae,mse", "--json")
    assert set(json.loads(ran.out)["val"]) == {"mae", "mse"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('task = "mine:loss"', "task mine:loss: is a function without name, metrics"),
        ('task = "mine:Near:x"', "is not of the form module:callable"),
        ('loss = "mine:nothing"', "no object named 'nothing'"),
        ('loss = "mine:number"', "loss mine:number: is a int; give (outputs, targets) -> a scalar"),
        ('loss = "mine:many"', r"loss mine:many: gave [64]; it must give a tensor with one number"),
        ('loss = "mine:flat"', "loss mine:flat: has no gradient"),
        ('loss = "mine:broken"', "loss mine:broken: raised ZeroDivisionError: division by zero"),
        ('loss = "focal"', "is neither mse, mae, huber nor module:callable, as my_losses:focal"),
    ],
)
def test_what_is_no_task_and_no_loss_is_one_line(run: Run, here: Path, line: str, told: str) -> None:
    (here / "mine.py").write_text(
        TASK + "number = 3\n"
        "def many(x, y):\n    return (x - y) ** 2\n"
        "def flat(x, y):\n    return ((x - y) ** 2).mean().detach()\n"
        "def broken(x, y):\n    return 1 / 0\n"
        "def loss(x, y):\n    return (x - y).abs().mean()\n"
    )
    task = "" if line.startswith("task") else 'task = "mine:Near"\n'
    (here / "near.toml").write_text(f'model = "mine:network"\ndataset = "mine:data"\n{task}{line}\n')
    ran = run("train", "near.toml", "--out", "near.safetensors")
    assert ran.status == 2
    assert told in ran.err
    assert not (here / "near.safetensors").exists()


def test_the_pages_table_is_searched_and_tested(run: Run, here: Path) -> None:
    text = (DOCS / "metrics.md").read_text("utf-8")
    (table,) = re.findall(FILE % re.escape("dsps.csv"), text, re.DOTALL)
    (here / "dsps.csv").write_text(table)
    (named,) = re.findall(r"```toml\n(\[metrics.dsps\].*?)```", text, re.DOTALL)
    config = (
        (here / "own.toml")
        .read_text()
        .replace('worst.direction = "maximize"\nmodel_size', 'accuracy.direction = "maximize"\ndsps')
    )
    config = re.sub(r"\[metrics.worst\].*?(?=\[search.search_space\])", "", config, flags=re.DOTALL)
    config = config.replace("[2, 4, 8]", '[2, 4]\ndata_in_name = ["integer"]\ndata_in_width = [4, 8]')
    config = config.replace('brier = "<= 0.7"', 'dsps = "<= 200"').replace(
        "[search.search_space]\n", named + "\n[search.search_space]\n"
    )
    (here / "dsps.toml").write_text(config)
    ran = run("search", "dsps.toml", "--untrusted", "--out", "run")
    assert ran.status == 0, ran.err
    assert {trial.metrics["dsps"] for trial in load_run("run").trials} == {61, 140, 102}
    ran = run("test", "--run", "run", "--trial", 0, "--metrics", "dsps", "--part", "val", "--json")
    assert json.loads(ran.out)["val"]["dsps"] == load_run("run").trial(0).metrics["dsps"]
    (here / "dsps.toml").write_text(config.replace("[2, 4]", "[2, 3]"))
    ran = run("search", "dsps.toml")
    assert ran.status == 2
    assert (
        "dsps.csv: has no row for layer seq_blocks_2 with data_in fixed<4,2>, weight fixed<3,1>; of"
        in ran.err
    )
    assert not (here / "runs").exists()


def test_metrics_on_the_command_line_are_refused_as_code(run: Run, here: Path) -> None:
    how = (
        "test",
        "--model",
        "jsc-tiny",
        "--part",
        "val",
        "--metrics",
        "accuracy,my_metrics:worst_class,f1[2]",
    )
    refused = run(*how, "--untrusted")
    assert refused.status == 2
    assert (
        "--metrics: my_metrics:worst_class: names code that would run, which --untrusted refuses"
        in refused.err
    )
    assert "my_metrics" not in sys.modules
    ran = run(*how)
    assert ran.status == 0, ran.err
    assert "runs code" not in ran.err, "it was typed"
    assert run(*how[:-1], "accuracy,f1[2],MulticlassF1Score", "--untrusted").status == 0

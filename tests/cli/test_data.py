"""What a file of data is taken for, as every command says it and takes it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import widthwise as ww
from helpers.running import Run
from widthwise.cli.demo import TASKS
from widthwise.config import load_config
from widthwise.config.write import toml_of

SAID = "label:       column kind, 5 classes; features standardised by the training part\n"
NETWORK = ("--model", "jsc-tiny", "--dataset", "own.csv")


@pytest.fixture
def own(place: Path) -> Path:
    """A table of 16 features, a column of classes in front and one of 0 and 1 at the end."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(80, 16)), columns=[f"f{number}" for number in range(16)])
    frame.insert(0, "kind", np.arange(80) % 5)
    frame.to_csv(place / "own.csv", index=False)
    frame.to_csv(place / "bare.csv", index=False, header=False)
    return place / "own.csv"


@pytest.mark.parametrize(
    "command", [("train", "--epochs", "1", "--out", "w.safetensors"), ("test", "--part", "val"), ("inspect",)]
)
def test_commands_say_what_the_data_is_taken_for(run: Run, own: Path, command: tuple[str, ...]) -> None:
    ran = run(*command, *NETWORK, "--label", "kind")
    assert ran.status == 0
    assert SAID in ran.out
    assert (
        SAID.replace("standardised by the training part", "as they are")
        in run(
            *command,
            *NETWORK,
            "--label",
            "0",
            "--no-standardise",
            *(["--force"] if "train" in command else []),
        ).out
    )


def test_init_writes_what_was_said_and_search_and_compare_say_it(run: Run, own: Path) -> None:
    said = ("--dataset", "own.csv", "--label", "kind", "--header")
    assert SAID in run("init", "jsc-tiny", *said).out
    text = Path("jsc-tiny.toml").read_text()
    assert '[data]\nlabel = ["kind"]\nheader = true\n# targets' in text
    assert SAID in run("search", "jsc-tiny.toml", "--trials", "2", "--out", "run").out
    compared = run("compare", "jsc-tiny.toml", "--strategies", "random", "--seeds", "1", "--budget", "2")
    assert SAID in compared.out
    assert SAID in run("test", "--run", "run", "--part", "val").out


def test_a_label_that_is_not_plain_is_one_line_that_says_how(run: Run, own: Path) -> None:
    ran = run("train", *NETWORK)
    assert ran.status == 2
    assert ran.err.count("\n") == 1
    assert "is the label isn't plain" in ran.err
    assert "--label NAME" in ran.err


def test_a_file_without_names_keeps_its_first_line(run: Run, own: Path) -> None:
    bare = ("test", "--model", "jsc-tiny", "--dataset", "bare.csv", "--label", "0")
    assert "(50 train, 15 val, 15 test)" in run(*bare).out
    assert "column x0 (its first line names no columns), 5 classes" in run(*bare, "--no-header").out
    counts = re.search(r"\((\d+) train, (\d+) val, (\d+) test\)", run(*bare, "--header").out)
    assert counts is not None
    assert sum(map(int, counts.groups())) == 79  # as was said, the first line is no sample


@pytest.mark.parametrize(
    "data",
    [
        {"label": "kind"},
        {"label": ["a", 2], "targets": "numbers"},
        {"header": False, "standardise": False},
        {"header": "auto", "targets": "auto", "standardise": True},
    ],
)
def test_the_keys_are_read_and_written_back(data: dict) -> None:
    config = load_config({"data": data})
    assert load_config(toml_of_tables(config)) == config
    label = data.get("label")
    assert config.data.label == (None if label is None else (label,) if label == "kind" else tuple(label))
    assert config.data.header == (False if data.get("header") is False else None)
    assert config.data.standardise == {False: "none", True: "train", None: None}[data.get("standardise")]


def toml_of_tables(config) -> dict:
    import tomllib

    return tomllib.loads(toml_of(config))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"label": ""}, "data.label: '' names no columns"),
        ({"label": [1.5]}, "data.label: [1.5] names no columns"),
        ({"label": True}, "data.label: True names no columns"),
        ({"header": "maybe"}, "data.header: 'maybe' is unknown; allowed: auto, true, false"),
        ({"targets": "class"}, "data.targets: 'class' is unknown; did you mean classes?"),
        ({"standardise": "by row"}, "data.standardise: 'by row' is unknown"),
    ],
)
def test_what_says_nothing_is_refused_with_its_key(data: dict, says: str) -> None:
    with pytest.raises(ValueError, match=r"^config: data\.") as caught:
        load_config({"data": data})
    assert says in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("task", [task for task in TASKS if task != "classification"])
def test_each_task_has_a_demo_that_ends_with_its_front(run: Run, place: Path, task: str) -> None:
    ran = run("demo", "--task", task)
    assert ran.status == 0
    study = ww.load_run(f"runs/demo-{task}")
    quality, size = study.record.settings.aim.objectives
    floats, sign = study.record.settings.float_metrics, 1 if quality.direction == "maximize" else -1
    best = max(study.front, key=lambda trial: sign * trial.metrics[quality.name])
    least = 30 if task == "closeness" else sign * floats[quality.name] * (1 - sign * 0.1)  # 30 dB
    assert sign * best.metrics[quality.name] > least
    assert best.metrics[size.name] < 0.5 * floats[size.name]


def test_a_demo_of_another_task_is_refused(run: Run, place: Path) -> None:
    ran = run("demo", "--task", "regresion")
    assert (ran.status, ran.out) == (2, "")
    assert "did you mean regression?" in ran.err


def test_training_on_numbers_begins_at_their_mean(run: Run, place: Path) -> None:
    made = np.random.default_rng(0)
    frame = pd.DataFrame(made.normal(size=(90, 4)), columns=list("abcd"))
    frame["price"] = 1e4 + 5 * frame["a"]
    frame.to_csv(place / "houses.csv", index=False)
    (place / "one.py").write_text("from torch import nn\n\n\ndef net():\n    return nn.Linear(4, 1)\n")
    how = ("--model", "one:net", "--dataset", "houses.csv", "--label", "price", "--epochs", "1")
    ran = run("train", *how, "--out", "w.safetensors")
    assert "outputs begin at mean and spread of the targets" in ran.out
    assert float(re.findall(r"validation mse ([\d.]+)", ran.out)[-1]) < 100  # 1e8 from 0
    again = run("train", *how, "--out", "v.safetensors", "--load", "w.safetensors")
    assert "outputs begin" not in again.out

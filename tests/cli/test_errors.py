"""Whatever is wrong: one line on stderr, exit status 2, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import widthwise as ww
from helpers.running import Run, files_in

Prepare = Callable[[Path], None]


def edited(old: str, new: str) -> Prepare:
    """The demo's config with one thing changed."""

    def prepare(place: Path) -> None:
        text = (place / "demo.toml").read_text()
        assert old in text
        (place / "demo.toml").write_text(text.replace(old, new))

    return prepare


def data_file(x: Any, y: Any, name: str = "own.npz") -> Prepare:
    """An .npz of the user's own."""
    return lambda place: np.savez(place / name, X=x, y=y)


def checkpoint(change: Callable[[dict[str, Any]], object]) -> Prepare:
    """A state dict of jsc-tiny, spoilt."""

    def prepare(place: Path) -> None:
        import torch

        tensors = dict(ww.load_model("jsc-tiny").state_dict())
        change(tensors)
        torch.save(tensors, place / "own.pt")

    return prepare


def pickled(place: Path) -> None:
    import torch

    torch.save(ww.load_model("jsc-tiny"), place / "own.pt")


def nothing(place: Path) -> None:
    del place


def without_config(place: Path) -> None:
    (place / "demo.toml").unlink()


def with_file(place: Path) -> None:
    (place / "taken").write_text("mine")


def first(tensors: dict[str, Any]) -> str:
    return next(name for name in tensors if name.endswith("weight"))


RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(60, 16)), np.arange(60) % 5
HOLED = np.where(np.arange(60)[:, None] == 7, np.nan, X)
WEIGHTS = "weight_width = [2, 4, 8]"
OWN = ("--dataset", "own.npz")
LOAD = ("--load", "own.pt")
SETUP = "search.strategy.setup"
SUMMED = ("--set", f"{SETUP}.sum_scaled_metrics=true", "--set", f"{SETUP}.direction=maximize")

# what is prepared, further arguments, how the line begins, what it must also say
CASES: dict[str, tuple[Prepare, tuple[str, ...], str, str]] = {
    "no file": (without_config, (), "demo.toml: no such file", "check the path"),
    "broken TOML": (edited("[search.strategy]", "[search.strategy"), (), "demo.toml: line", "broken TOML"),
    "unknown key": (
        edited("data_in_width", "data_in_widht"),
        (),
        "demo.toml: search.search_space.seed.linear.config.data_in_widht: no such key",
        "did you mean data_in_width?",
    ),
    "unknown strategy": (
        edited('name = "optuna"', 'name = "tpee"'),
        (),
        "demo.toml: search.strategy.name: no strategy named 'tpee'",
        "did you mean tpe?",
    ),
    "unknown strategy as option": (
        nothing,
        ("--strategy", "tpee"),
        "--strategy: no strategy named 'tpee'",
        "did you mean tpe?",
    ),
    "unknown sampler": (
        edited('"brute-force"', '"brut-force"'),
        (),
        "demo.toml: search.strategy.setup.sampler: ",
        "did you mean brute-force?",
    ),
    "unknown metric": (
        edited("accuracy.", "acuracy."),
        (),
        "demo.toml: search.strategy.metrics.acuracy: no metric",
        "did you mean accuracy?",
    ),
    "unknown format": (
        edited('["integer"]', '["intger"]'),
        (),
        "demo.toml: search.search_space.seed.linear.config.name: no format named 'intger'",
        "did you mean integer?",
    ),
    "unknown model": (nothing, ("--model", "jsc-tinny"), "--model: no model named", "did you mean jsc-tiny?"),
    "model that isn't there": (nothing, ("--model", "mine:Net"), "model mine:Net: no module named mine", ""),
    "unknown data set": (
        nothing,
        ("--dataset", "jcs"),
        "--dataset: no data set named",
        "did you mean jsc?",
    ),
    "data file that isn't there": (nothing, ("--dataset", "own.csv"), "own.csv: no such file", ""),
    "width of zero": (
        edited(WEIGHTS, "weight_width = [2, 0]"),
        (),
        "demo.toml: search.search_space.seed.linear.config.weight_width: ",
        "from 1 to 32",
    ),
    "width that is no integer": (
        edited(WEIGHTS, "weight_width = [2.5]"),
        (),
        "demo.toml: search.search_space.seed.linear.config.weight_width: ",
        "2.5",
    ),
    "no choices": (
        edited(WEIGHTS, "weight_width = []"),
        (),
        "demo.toml: search.search_space.seed.linear.config.weight_width: ",
        "empty",
    ),
    "frac width that is no integer": (
        edited('weight_frac_width = ["NA"]', "weight_frac_width = [1.5]"),
        (),
        "demo.toml: search.search_space.seed.linear.config.weight_frac_width: ",
        "1.5",
    ),
    "metric without direction": (
        edited('accuracy.direction = "maximize"', ""),
        (),
        "demo.toml: search.strategy.metrics.accuracy.direction: is missing",
        "maximize, minimize",
    ),
    "no trials": (nothing, ("--trials", "0"), "--trials: 0", "1"),
    "negative timeout": (nothing, ("--timeout", "-1"), "--timeout: -1", "above 0"),
    "set without a value": (nothing, ("--set", "seed"), "--set seed: is no KEY=VALUE", ""),
    "set of an unknown key": (nothing, ("--set", "sead=1"), "--set sead: no such key", "did you mean seed?"),
    "layer that matches nothing": (
        edited("seed.linear.", "seed.conv2d."),
        (),
        "search.search_space.seed.conv2d: matches no layer by type",
        "linear",
    ),
    "missing tensor": (
        checkpoint(lambda tensors: tensors.pop(first(tensors))),
        LOAD,
        "own.pt: does not fit JSC_Tiny: missing",
        "",
    ),
    "extra tensor": (
        checkpoint(lambda tensors: tensors.update(more=tensors[first(tensors)])),
        LOAD,
        "own.pt: does not fit JSC_Tiny: unknown more",
        "",
    ),
    "misshaped tensor": (
        checkpoint(lambda tensors: tensors.update({first(tensors): tensors[first(tensors)][..., None]})),
        LOAD,
        "own.pt: does not fit JSC_Tiny: misshaped",
        "",
    ),
    "pickled network": (pickled, LOAD, "own.pt: is pickled", "pickle can run any code"),
    "NaN in the data": (data_file(HOLED, Y), OWN, "own.npz: feature x0 is nan", "row 7"),
    "wrong number of features": (data_file(X[:, :15], Y), OWN, "own.npz: ", "16"),
    "labels out of range": (data_file(X, np.arange(60) % 6), OWN, "own.npz: ", "5 outputs"),
    "empty split": (nothing, ("--set", "data.splits=[1, 0, 0]"), "--set data.splits: ", "val"),
    "folder that is no run": (with_file, ("--out", "taken"), "taken: exists already and is no run", "--out"),
    "folder that can't be written": (with_file, ("--out", "taken/run"), "taken", "choose another folder"),
    "resume and new": (nothing, ("--resume", "--force-new"), "--resume and --force-new contradict", ""),
    "memory that is no size": (nothing, ("--memory", "much"), "--memory: 'much' is no size", "2GiB"),
    "unknown device": (nothing, ("--device", "tpu"), "--device: no device named 'tpu'", "cuda"),
    "unknown way to keep": (nothing, ("--keep", "some"), "--keep: no way to keep trials", "front"),
    "rule that can't be read": (nothing, ("--pick", "the nicest"), "--pick: can't read", "knee"),
    "option of a strategy that it doesn't take": (
        nothing,
        ("--strategy", "frontier", "--set", "search.strategy.options.pol=3"),
        "demo.toml: search.strategy.options: no option of frontier named 'pol'",
        "did you mean pool?",
    ),
    "strategy that takes one objective": (
        nothing,
        ("--strategy", "cmaes"),
        "strategy cmaes: takes one objective, found 2",
        "use tpe",
    ),
    "strategy that takes one objective, before it is trained": (
        nothing,
        ("--strategy", "cmaes", "--train"),
        "strategy cmaes: takes one objective",
        "",
    ),
    "strategy that needs an order": (
        edited(WEIGHTS, "weight_width = [8, 2, 4]"),
        ("--strategy", "cmaes", *SUMMED),
        "strategy cmaes: needs numbers in ascending order in every decision",
        "weight_width",
    ),
    "front alone of a strategy that learns": (
        nothing,
        ("--strategy", "tpe", "--keep", "front"),
        "keep = front needs brute-force or grid",
        "use keep = all",
    ),
    "front alone of a strategy that learns, before it is trained": (
        nothing,
        ("--strategy", "tpe", "--keep", "front", "--train"),
        "keep = front needs brute-force or grid",
        "",
    ),
    "bound on an unknown metric": (
        nothing,
        ("--set", 'search.constraints.model_sise="<= 2 KiB"'),
        "--set search.constraints.model_sise: no metric of classification named",
        "did you mean model_size?",
    ),
    "bounds that exclude one another": (
        nothing,
        ("--set", 'search.constraints.model_size=["<= 1 KiB", ">= 2 KiB"]'),
        "--set search.constraints.model_size: model_size <= 1024 and model_size >= 2048 exclude one another",
        "",
    ),
    "bound out of the metric's range": (
        nothing,
        ("--set", 'search.constraints.accuracy=">= 1.2"'),
        "--set search.constraints.accuracy: accuracy >= 1.2 is out of range",
        "from 0 to 1",
    ),
    "budget that is none": (
        nothing,
        ("--set", "search.constraints.trials=0"),
        "--set search.constraints.trials: 0 is no number of trials",
        "200",
    ),
    "budgets that contradict": (
        edited(
            "[search.strategy.setup]",
            "[search.constraints]\ntrials = 7\n[search.strategy.setup]\nn_trials = 8",
        ),
        (),
        "demo.toml: search.constraints.trials: 7 contradicts search.strategy.setup.n_trials = 8",
        "leave one of them out",
    ),
    "no processes": (
        nothing,
        ("--jobs", "0"),
        "--jobs: 0 is no number of processes",
        "-1 for one for each core",
    ),
    "unknown option": (nothing, ("--trails", "3"), "No such option: --trails", "widthwise search --help"),
    "option of another type": (nothing, ("--trials", "few"), "Invalid value for '--trials'", ""),
    "code in a config that isn't trusted": (
        nothing,
        ("--untrusted", "--model", "mine:Net"),
        "demo.toml: model = mine:Net: names code that would run",
        "--untrusted",
    ),
    "storage of another kind": (
        nothing,
        ("--storage", "mysql://here/db"),
        "mysql://here/db: no such",
        "postgres",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_input_is_one_line_and_leaves_nothing(case: str, run: Run, demo: Path) -> None:
    prepare, arguments, begins, says = CASES[case]
    prepare(demo.parent)
    before = files_in(demo.parent)

    ran = run("search", "demo.toml", *arguments)

    assert ran.status == 2
    assert ran.out == ""
    lines = ran.err.splitlines()
    assert lines[-1].startswith(f"error: {begins}")
    assert says in lines[-1]
    assert all(line.startswith("warning: ") for line in lines[:-1])
    assert files_in(demo.parent) == before
    assert not (demo.parent / "runs").exists() or not any((demo.parent / "runs").iterdir())


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (["serch"], "No such command 'serch'"),
        (["search"], "Missing argument 'CONFIG'"),
        (["train"], "config: model: is missing"),
        (["train", "--model", "jsc-tiny", "--out", "w.pt"], "w.pt: is written as .safetensors"),
        (["train", "--model", "jsc-tiny", "--epochs", "0"], "--epochs: 0"),
        (["train", "--model", "jsc-tiny", "--lr", "-1"], "--lr: -1"),
        (
            ["train", "--model", "jsc-tiny", "--out", "no/w.safetensors"],
            "no/w.safetensors: there is no folder",
        ),
        (["test", "--model", "jsc-tiny", "--metrics", "acuracy"], "--metrics: no metric named 'acuracy'"),
        (["test", "--model", "jsc-tiny", "--part", "train"], "--part: no part of the data"),
        (["test", "--trial", "3"], "--trial: needs --run"),
        (["test", "--run", "nowhere"], "nowhere: no such run folder"),
        (["inspect"], "config: model: is missing"),
        (["inspect", "--model", "jsc-tinny"], "--model: no model named"),
        (["init", "jsc-tinny"], "no model named 'jsc-tinny'"),
        (["init", "jsc-tiny", "--out", "config.yaml"], "config.yaml: is written as .toml"),
        (["runs", "nowhere"], "nowhere: no such folder"),
        (["report", "nowhere"], "nowhere: no such run folder"),
        (["trials", "nowhere"], "nowhere: no such run folder"),
        (["trials", "nowhere", "--format", "xml"], "--format: no format named 'xml'"),
        (["rm", "nowhere", "--yes"], "nowhere: no such run folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_other_commands_complain_alike(arguments: list[str], begins: str, run: Run, place: Path) -> None:
    ran = run(*arguments)
    assert ran.status == 2
    assert ran.err.startswith(f"error: {begins}")
    assert ran.err.count("\n") == 1
    assert files_in(place) == {}


def test_what_nobody_expected_is_raised_with_its_traceback(run: Run, demo: Path, place: Path) -> None:
    (place / "own.py").write_text(
        "from widthwise.data.modules import load_data\n"
        "class Fading:\n"
        "    def __init__(self):\n"
        "        self.jets = load_data('jsc')\n"
        "        self.train_dataloader = self.test_dataloader = self.jets.train_dataloader\n"
        "    def val_dataloader(self):\n"
        "        yield next(iter(self.jets.val_dataloader()))\n"
        "        raise ZeroDivisionError\n"
    )
    with pytest.raises(ZeroDivisionError):
        run("search", demo, "--dataset", "own:Fading")

"""widthwise export: the network of a trial, written, run, compared; and test, of what a run kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import widthwise as ww
from helpers.configs import FORMATS, WIDTHS
from helpers.running import Run, files_in

Tables = dict[str, object]


@pytest.fixture(params=["formats", "widths"])
def searched(request: pytest.FixtureRequest, place: Path) -> ww.Study:
    """A finished run in the folder here."""
    return ww.search(None, None, FORMATS if request.param == "formats" else WIDTHS, out="here", page=False)


def test_a_trial_is_exported_and_read_back(run: Run, searched: ww.Study, place: Path) -> None:
    trial = searched.front[-1]
    ran = run("export", "here", "--trial", trial.number, "--to", "torch", "--out", "there")
    assert ran.status == 0, ran.err
    assert ran.err == ""
    lines = ran.out.splitlines()
    files = "network.json, weights.safetensors, network.pt2"
    assert lines[0] == f"Wrote there: trial {trial.number} of here as torch ({files})"
    assert lines[1] == "Run on the val samples of jsc: 205 of 205 outputs equal, largest difference 0"
    assert set(files_in(place / "there")) == {"export.json", *files.split(", ")}
    shutil.rmtree("here")
    x = torch.cat([x for x, _ in ww.load_data("jsc").val_dataloader()])
    found = ww.evaluate(ww.load("there"), ww.load_data("jsc"), metrics=["accuracy", "loss"])
    assert found == pytest.approx(trial.software_metrics, rel=1e-6)
    assert ww.load("there").model(x).shape == (205, 5)


def test_export_json_says_of_what_it_is_and_how_it_was_checked(run: Run, place: Path) -> None:
    study = ww.search(None, None, FORMATS, out="here", page=False)
    ran = run("export", "here", "--pick", "best accuracy", "--out", "there", "--json")
    content = json.loads(ran.out)
    assert content == json.loads((place / "there" / "export.json").read_text())
    trial = study.pick("best accuracy")
    assert content["trial"] == trial.number
    assert content["metrics"] == trial.metrics
    assert content["check"]["equal"] == content["check"]["samples"] == 205
    assert content["check"]["as_judged"] is True
    assert content["versions"]["widthwise"] == ww.__version__


def test_an_export_replaces_only_an_export(run: Run, place: Path) -> None:
    ww.search(None, None, FORMATS, out="here", page=False)
    arguments = ("export", "here", "--out", "there", "--trial")
    (place / "there").mkdir()
    assert run(*arguments, 0).status == 0
    before = (place / "there" / "network.json").read_bytes()
    assert run(*arguments, 7).err == (
        "error: there: holds an export already; --force (force=True) replaces it, or choose another folder\n"
    )
    assert (place / "there" / "network.json").read_bytes() == before
    assert run(*arguments, 7, "--force").status == 0
    assert (place / "there" / "network.json").read_bytes() != before
    (place / "mine").mkdir()
    (place / "mine" / "thesis.tex").write_text("mine")
    ran = run("export", "here", "--trial", 0, "--out", "mine", "--force")
    assert ran.err == "error: mine: holds other things than an export; choose another folder (--out)\n"
    assert files_in(place / "mine") == {"thesis.tex": 4}
    ran = run("export", "here", "--trial", 0, "--out", "mine/thesis.tex")
    assert ran.err == "error: mine/thesis.tex: is a file; choose another folder (--out)\n"
    assert sorted(path.name for path in place.iterdir()) == ["here", "mine", "there"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "--trial", "0", "--out", "x"], "nowhere: no such run folder"),
        (["here", "--out", "x"], "say which trial: --trial N, or --pick RULE"),
        (["here", "--trial", "0", "--pick", "knee", "--out", "x"], "say which trial"),
        (["here", "--trial", "0"], "--out: is missing"),
        (["here", "--trial", "6", "--out", "x"], "here has no trial 6; it has 6, from 0"),
        (
            ["here", "--trial", "3", "--out", "x"],
            "here: keeps no network of trial 3; kept are those of the front",
        ),
        (
            ["here", "--trial", "0", "--to", "torhc", "--out", "x"],
            "--to: no export form named 'torhc'; did you mean torch",
        ),
        (["here", "--pick", "best acuracy", "--out", "x"], "did you mean accuracy"),
    ],
)
def test_what_can_not_be_exported_is_one_line_and_nothing_is_written(
    arguments: list[str], says: str, run: Run, place: Path
) -> None:
    ww.search(None, None, WIDTHS, out="here", page=False)
    ran = run("export", *arguments)
    assert ran.status == 2
    assert ran.err.startswith("error: ")
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1
    assert [path.name for path in place.iterdir()] == ["here"]


def test_without_its_data_it_is_checked_on_an_example(run: Run, place: Path) -> None:
    data = ww.load_data("jsc", seed=7)  # another than the config has
    study = ww.search(None, data, {**FORMATS, "dataset": None}, out="here", page=False)
    ran = run("export", "here", "--trial", 5, "--out", "there")
    assert "Run on an example, as the data was given from Python: 64 of 64 outputs equal" in ran.out
    done = ww.export(study, 5, "torch", "again", data=data)
    assert done.check.on == "the val samples of the data given"
    assert done.check.as_judged is None  # trial 5 is not on the front, so it has no mark
    done = ww.export("here", study.front[0], "torch", "marked", data=data)
    assert done.check.as_judged


def test_a_network_given_from_python_is_exported_with_it(run: Run, place: Path) -> None:
    network = ww.load_model("jsc-tiny", seed=4)
    study = ww.search(network, None, {**FORMATS, "model": None}, out="here", page=False)
    ran = run("export", "here", "--trial", 0, "--out", "from-the-run")
    assert (ran.status, ran.err) == (0, "")
    done = ww.export(study, 0, "torch", "there")
    x = torch.cat([x for x, _ in ww.load_data("jsc").val_dataloader()])
    for model in (None, ww.load_model("jsc-tiny", seed=9)):
        assert torch.equal(ww.load(done.folder, model=model).model(x), study.network(0).model(x))


def test_code_that_a_run_names_is_refused_where_it_is_not_trusted(run: Run, place: Path) -> None:
    (place / "mine.py").write_text("from widthwise.network.built_in import JSC_Tiny as build\n")
    ww.search(None, None, {**FORMATS, "model": "mine:build"}, out="here", page=False)
    ran = run("export", "here", "--trial", 0, "--out", "there", "--untrusted")
    assert (ran.status, "which --untrusted refuses" in ran.err) == (2, True)
    ran = run("export", "here", "--trial", 0, "--out", "there")
    assert ran.err == "warning: this config runs code: model mine:build\n"
    assert ww.load("there").model(torch.zeros(2, 16)).shape == (2, 5)


def test_the_kept_network_has_the_figures_of_one_made_again(
    run: Run, searched: ww.Study, place: Path
) -> None:
    arguments = ("test", "--run", "here", "--trial", searched.front[-1].number, "--json")
    kept = run(*arguments).out
    for path in ("realised.json", "slots.json"):
        (place / "here" / path).unlink(missing_ok=True)
    assert run(*arguments).out == kept
    said = run("test", "--run", "here", "--trial", searched.front[-1].number).out
    assert "not kept by the run, so it is made again from the data" in said


def test_of_several_trainings_test_says_which(run: Run, place: Path) -> None:
    study = ww.search(
        None, None, ww.load_config(WIDTHS, {"search.training.repeats": 3}), out="here", page=False
    )
    number = study.front[0].number
    said = run("test", "--run", "here", "--trial", number, "--part", "val").out
    assert f"trial:       {number}, the first of its 3 trainings\n" in said

"""Members of a front trained on with their formats: what is kept, judged, exported and taken up again."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import widthwise as ww
from helpers.running import Run
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.data.facts import part
from widthwise.formats.integer import Integer
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.search.finetuning import finetune, members
from widthwise.study.finetuned import is_better, keep_finetuned, read_finetuned
from widthwise.study.measured import Measured, keep_measured
from widthwise.study.run_files import FINETUNED
from widthwise.study.run_folder import load_run
from widthwise.study.study import Study
from widthwise.study.sureness import FLOAT
from widthwise.study.tested import KeptTests
from widthwise.training.finetuning.settings import BASE, Finetuning
from widthwise.training.finetuning.steps import Steps
from widthwise.training.finetuning.tuning import Tuner
from widthwise.training.halving import Halving

QUICK = Finetuning(most=3, training=replace(BASE, steps=60))


def config(formats: dict[str, Any] | None = None, **search: Any) -> dict[str, Any]:
    widths = {
        f"{tensor}_{key}": choices
        for tensor in ("data_in", "weight", "bias")
        for key, choices in (("width", [2, 3] if tensor != "bias" else [8]), ("frac_width", ["auto-mse"]))
    }
    wide = {name: [8] if name.endswith("_width") and "frac" not in name else ["auto-mse"] for name in widths}
    return {
        "model": "jsc-three-linear",
        "dataset": "jsc",
        "search": {
            "search_space": {
                "name": "graph/quantize/mixed_precision_ptq",
                "setup": {"by": "type", "fold_batchnorm": True},
                "seed": {
                    "linear": {"config": {"name": ["integer"], **(formats or widths)}},
                    "batch_norm1d": {"config": {"name": ["integer"], **wide}},
                },
            },
            "strategy": {
                "name": "random",
                "metrics": {"accuracy": {"direction": "maximize"}, "ebops": {"direction": "minimize"}},
            },
            "constraints": {"trials": 12},
            **search,
        },
    }


@pytest.fixture(scope="module")
def network() -> nn.Module:
    model = ww.load_model("jsc-three-linear", seed=0)
    ww.fit(model, ww.load_data("jsc", seed=0), epochs=10)
    return model


@pytest.fixture(scope="module")
def data() -> Any:
    return ww.load_data("jsc", seed=0)


@pytest.fixture(scope="module")
def searched(network: nn.Module, data: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched") / "run"
    ww.search(network, data, config(), out=folder, page=False)
    return folder


@pytest.fixture
def run_folder(searched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(searched, tmp_path / "run"))


@pytest.fixture(scope="module")
def tuned(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = shutil.copytree(searched, tmp_path_factory.mktemp("tuned") / "run")
    return finetune(folder, settings=QUICK)


def test_what_stands_for_a_trial_is_the_tuned_network_as_it_was_judged(tuned: Study, data: Any) -> None:
    found = [each for each in tuned.finetuned.values() if each.better]
    assert found
    for each in found:
        trial = tuned.trial(each.number)
        assert trial.metrics == each.after
        judged = ww.evaluate(tuned.network(trial), data, metrics=list(trial.metrics))
        assert judged == pytest.approx(each.after, abs=0)
        assert is_better(tuned.aim, each.before, each.after)


def test_figures_on_test_data_are_of_the_network_that_stands_for_a_trial_now(tuned: Study, data: Any) -> None:
    numbers = [number for number in tuned.tested.figures if number != FLOAT]
    assert numbers == [tuned.pick("knee").number]
    for number in numbers:
        judged = ww.evaluate(tuned.network(number), data, metrics=["accuracy"], part="test")
        assert judged["accuracy"] == pytest.approx(tuned.tested.figures[number]["accuracy"])


def test_before_is_what_the_search_found_and_the_store_keeps(tuned: Study) -> None:
    as_found = tuned.as_searched()
    for each in tuned.finetuned.values():
        assert as_found.trial(each.number).metrics == dict(each.before)
    assert {trial.number for trial in members(tuned, QUICK)} == set(tuned.finetuned)


@pytest.mark.parametrize("form", ["torch", "c"])
def test_exports_are_of_the_tuned_network(form: str, tuned: Study, tmp_path: Path) -> None:
    number = next(each.number for each in tuned.finetuned.values() if each.better)
    done = ww.export(tuned, number, form, tmp_path / "out")
    assert done.check.equal == done.check.samples
    if form == "torch":
        x = torch.rand(5, 16, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert ww.load(tmp_path / "out").model(x).equal(tuned.network(number).model(x))


def test_training_computes_what_evaluation_does_to_the_bit(
    tuned: Study, data: Any, network: nn.Module
) -> None:
    graph = tuned.as_searched().network(tuned.front[0].number)
    x = torch.cat([batch[0] for batch in part(data, "val")])
    learning = graph.copy().model.eval().requires_grad_(True)
    found = learning(x)
    assert found.requires_grad
    with torch.no_grad():
        assert graph.model(x).equal(found)


def test_the_same_seed_gives_the_same_and_a_stop_loses_nothing(
    tuned: Study, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int, found: Any, new: bool) -> None:
        if done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    stopped = finetune(run_folder, settings=QUICK, progress=stop)
    assert stopped.interrupted == signal.SIGINT
    assert len(stopped.finetuned) == 1
    news: list[bool] = []
    whole = finetune(run_folder, settings=QUICK, progress=lambda *told: news.append(told[-1]))
    assert news == [False, True, True]
    assert whole.finetuned == tuned.finetuned
    assert [trial.metrics for trial in whole.front] == [trial.metrics for trial in tuned.front]
    for name in sorted(path.name for path in (run_folder / FINETUNED).iterdir()):
        assert tuned.folder is not None
        assert (run_folder / FINETUNED / name).read_bytes() == (tuned.folder / FINETUNED / name).read_bytes()


def test_a_config_that_asks_for_it_has_it_done_after_the_search(
    tuned: Study, network: nn.Module, data: Any, tmp_path: Path
) -> None:
    asked = config(finetune={"most": 3}, training={"steps": 60})
    study = ww.search(network, data, asked, out=tmp_path / "run", page=False)
    assert {n: found.after for n, found in study.finetuned.items()} == {
        n: found.after for n, found in tuned.finetuned.items()
    }
    assert load_run(tmp_path / "run").front == study.front
    again = ww.search(network, data, asked, out=tmp_path / "run", resume=True, page=False)
    assert again.front == study.front


def test_a_training_that_diverges_fails_alone(run_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    number = load_run(run_folder).front[0].number
    before = load_run(run_folder).front
    wild = replace(QUICK, training=replace(QUICK.training, learning_rate=1e6))
    with caplog.at_level(logging.WARNING):
        study = finetune(run_folder, trials=[number], settings=wild)
    reason = study.finetuned[number].reason
    assert reason is not None
    assert reason.startswith("training diverged: at step ")
    assert "the loss is" in reason
    assert f"trial {number}: fine-tuning failed: {reason}" in caplog.text
    assert study.front == before


@pytest.mark.parametrize("distil", [0.0, 0.5])
def test_it_learns_from_labels_as_far_as_distil_leaves_room(
    distil: float, tuned: Study, data: Any, network: nn.Module
) -> None:
    fitting = check_data_fits_model(network, data)
    how = replace(QUICK, training=replace(QUICK.training, distil=distil))
    graph = ww.Graph(network, fitting.example)
    quantised = tuned.as_searched().network(tuned.front[0].number)
    found = Tuner(graph, data, fitting, how)(quantised).graph.model.state_dict()
    distilled = Tuner(graph, data, fitting, QUICK)(quantised).graph.model.state_dict()
    assert any(not found[name].equal(x) for name, x in quantised.model.state_dict().items())
    assert any(not found[name].equal(x) for name, x in distilled.items())


def test_nothing_is_told_of_a_trial_that_was_found_of_its_network_before(
    run_folder: Path, tuned: Study
) -> None:
    number = next(found.number for found in tuned.finetuned.values() if found.better)
    KeptTests(10, {number: {"accuracy": 0.123}, -1: {"accuracy": 0.7}}, {}).write(run_folder)
    keep_measured(run_folder, number, Measured("alkaid", "0", {"alkaid_luts": 1.0}))
    study = finetune(run_folder, trials=[number], settings=QUICK)
    assert study.tested.figures.get(number, {}) != {"accuracy": 0.123}
    assert number not in load_run(run_folder).measured
    pick = study.pick("knee")
    judged = ww.evaluate(
        study.network(pick), ww.load_data("jsc", seed=0), metrics=["accuracy"], loader="test"
    )
    assert study.tested.figures[pick.number]["accuracy"] == judged["accuracy"]


def test_a_worse_training_does_not_take_the_place_of_a_better_one(tuned: Study, tmp_path: Path) -> None:
    assert tuned.folder is not None
    folder = shutil.copytree(tuned.folder, tmp_path / "run")
    each = next(found for found in tuned.finetuned.values() if found.better)
    wild = replace(QUICK, training=replace(QUICK.training, learning_rate=1e6))
    assert finetune(folder, trials=[each.number], settings=wild).finetuned[each.number] == each


def test_binary_without_a_scale_is_warned_of_by_name(
    network: nn.Module, data: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    formats = {"weight_name": ["binary"], "data_in_name": ["integer"], "data_in_width": [8]}
    study = ww.search(
        network, data, config({**formats, "data_in_frac_width": ["auto"]}), out=tmp_path / "run", page=False
    )
    with caplog.at_level(logging.WARNING):
        study.finetune(data=data, settings=QUICK)
    lines = [record.getMessage() for record in caplog.records if "gradient" in record.getMessage()]
    assert lines
    assert any(line.startswith("seq_blocks_") and "weight in binary" in line for line in lines)


def test_all_trials_by_halving(run_folder: Path) -> None:
    halved = Finetuning("all", most=6, training=replace(BASE, steps=40), halving=Halving(2, 10))
    study = finetune(run_folder, settings=halved)
    assert 1 <= len(study.finetuned) <= 2  # of six after two rungs


def contents(folder: Path) -> dict[str, bytes]:
    """What a run keeps of its fine-tuned trials."""
    return {path.name: path.read_bytes() for path in sorted((folder / FINETUNED).iterdir())}


@pytest.mark.slow
def test_processes_train_the_networks_of_one_process(
    tuned: Study, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained_here(*_: Any, **__: Any) -> None:
        raise AssertionError("this process trains nothing")

    monkeypatch.setattr(Tuner, "__call__", trained_here)
    dones: list[int] = []
    study = finetune(run_folder, settings=QUICK, jobs=2, progress=lambda done, *_: dones.append(done))
    assert dones == [1, 2, 3]
    assert study.finetuned == tuned.finetuned
    assert tuned.folder is not None
    assert contents(run_folder) == contents(tuned.folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_workers_of_ray_train_the_networks_of_one_process(tuned: Study, run_folder: Path) -> None:
    pytest.importorskip("ray", reason="ray isn't installed: pip install 'widthwise[ray]'")
    finetune(run_folder, settings=QUICK, ray="local")
    assert tuned.folder is not None
    assert contents(run_folder) == contents(tuned.folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_search_on_ray_leaves_its_places_to_fine_tuning(
    network: nn.Module, data: Any, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="ray isn't installed: pip install 'widthwise[ray]'")
    asked = config(finetune={"most": 2}, training={"steps": 10})
    study = ww.search(network, data, asked, out=tmp_path / "run", ray="local", page=False)
    assert len(study.finetuned) == 2


@pytest.mark.slow
def test_processes_halve_as_one_process_does(run_folder: Path, tmp_path: Path) -> None:
    halved = Finetuning("all", most=6, training=replace(BASE, steps=40), halving=Halving(2, 10))
    other = shutil.copytree(run_folder, tmp_path / "other")
    finetune(run_folder, settings=halved)
    finetune(other, settings=halved, jobs=2)
    assert contents(run_folder) == contents(other)


@pytest.mark.slow
def test_a_training_that_diverges_in_a_process_fails_alone_for_the_same_reason(
    run_folder: Path, tmp_path: Path
) -> None:
    wild = replace(QUICK, most=2, training=replace(BASE, steps=60, learning_rate=1e6))
    other = shutil.copytree(run_folder, tmp_path / "other")
    alone, several = finetune(run_folder, settings=wild), finetune(other, settings=wild, jobs=2)
    reasons = [found.reason for found in alone.finetuned.values()]
    assert len(reasons) == 2
    assert all("training diverged: at step" in (reason or "") for reason in reasons)
    assert [found.reason for found in several.finetuned.values()] == reasons


def test_what_is_done_needs_no_processes_and_what_failed_is_tried_again(
    tuned: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tuned.folder is not None
    folder = Path(shutil.copytree(tuned.folder, tmp_path / "run"))
    number = next(iter(tuned.finetuned))
    gone = replace(tuned.finetuned[number], after={}, better=False, reason="a worker died", realised=None)
    keep_finetuned(folder, gone, None)
    news: list[bool] = []
    found = finetune(folder, settings=QUICK, progress=lambda *told: news.append(told[-1]))
    assert sorted(news) == [False, False, True]
    assert found.finetuned == tuned.finetuned

    def started(*_: Any, **__: Any) -> None:
        raise AssertionError("there is nothing to train")

    monkeypatch.setattr(sys.modules["widthwise.search.tuners"], "start_workers", started)
    finetune(folder, settings=QUICK, jobs=2)


def test_settings_are_those_of_workers_whether_written_as_whole_numbers_or_not(
    run_folder: Path, tmp_path: Path
) -> None:
    whole = replace(QUICK, most=2, mixup=1, training=replace(BASE, steps=10, learning_rate=1, distil=1))
    finetune(run_folder, settings=whole, jobs=2)
    assert len(read_finetuned(run_folder)) == 2


@pytest.mark.parametrize("mode", ["supernet", "each"])
def test_a_search_that_could_not_fine_tune_by_processes_is_refused_at_the_door(
    mode: str, data: Any, tmp_path: Path
) -> None:
    own = nn.Sequential(nn.BatchNorm1d(16), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))
    asked = {**config(finetune={"most": 2}), "model": None}
    asked["search"]["strategy"]["setup"] = {"n_jobs": 2}
    if mode == "supernet":
        asked["search"]["search_space"]["setup"]["weights"] = "supernet"
    with pytest.raises(UserError, match=r"model: is missing.*or use one process"):
        ww.search(own, data, asked, out=tmp_path / "run", page=False)
    assert not (tmp_path / "run").exists()


def test_networks_that_processes_cannot_make_are_refused_before_anything_is_trained(
    data: Any, tmp_path: Path
) -> None:
    own = nn.Sequential(nn.BatchNorm1d(16), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))
    study = ww.search(own, data, {**config(), "model": None}, out=tmp_path / "run", page=False)
    with pytest.raises(UserError, match=r"model: is missing.*or use one process"):
        finetune(study, settings=QUICK, jobs=2)
    with pytest.raises(UserError, match="jobs: 0 is no number of processes"):
        finetune(study, settings=QUICK, jobs=0)
    with pytest.raises(UserError, match="give --ray too"):
        finetune(study, settings=QUICK, gpus=0.5)
    assert not (tmp_path / "run" / FINETUNED).exists()


def test_validation_data_is_never_trained_on(tuned: Study, data: Any, network: nn.Module) -> None:
    class Part:
        name, task = "jsc", "classification"

        def train_dataloader(self) -> Any:
            return part(data, "train")

        def val_dataloader(self) -> Any:
            raise AssertionError("validation data was asked for")

    graph, fitting = tuned.as_searched().network(tuned.front[0].number), check_data_fits_model(network, data)
    own = Tuner(ww.Graph(network, fitting.example), Part(), fitting, QUICK)  # type: ignore[arg-type]
    other = Tuner(ww.Graph(network, fitting.example), data, fitting, QUICK)
    weights = [one(graph).graph.model.state_dict() for one in (own, other)]
    assert all(weights[0][name].equal(x) for name, x in weights[1].items())


def test_batch_norms_are_frozen_or_measured_again(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5))
    data = ww.load_data("jsc", seed=0)
    ww.fit(model, data, epochs=3)
    fitting = check_data_fits_model(model, data)
    graph = ww.Graph(model, fitting.example)
    quantised = graph.quantized({layer.name: ww.Scheme() for layer in graph.layers})
    found = {}
    for how in ("frozen", "measured"):
        made = Tuner(graph, data, fitting, replace(QUICK, batch_norm=how))(quantised).graph.model
        found[how] = dict(made.named_buffers())["1.running_mean"]
    assert found["frozen"].equal(model[1].running_mean)
    first = dict(made.named_modules())["0"]
    sums, count = torch.zeros(8), 0
    for x, _ in part(data, "train"):
        sums, count = sums + first(x).mean(0).detach(), count + 1
    assert torch.allclose(found["measured"], sums / count, atol=1e-5)


def test_one_line_for_what_cannot_be(run_folder: Path) -> None:
    with pytest.raises(UserError, match="has no trial 99"):
        finetune(run_folder, trials=[99], settings=QUICK)
    with pytest.raises(UserError, match="crop moves images"):
        finetune(run_folder, settings=replace(QUICK, crop=1))


def test_there_has_to_be_training_data(network: nn.Module, tmp_path: Path) -> None:
    fixed = {
        f"{tensor}_{key}": 8 for tensor in ("data_in", "weight", "bias") for key in ("width", "frac_width")
    }
    nothing = ww.load_data("jsc", seed=0, splits=(0, 0.8, 0.2), standardise="reference")
    asked = config({**fixed, "weight_width": [4, 8]}, finetune={})
    with pytest.raises(UserError, match=r"the train split is empty.*; fine-tuning is done on training data"):
        ww.search(network, nothing, asked, out=tmp_path / "run", page=False)
    assert not (tmp_path / "run").exists()


WRONG = {
    "training alone": (
        {"training": {"steps": 3}},
        r"search.training: nothing is trained in a search of formats; add \[search.finetune\]",
    ),
    "key": ({"finetune": {"stepsizes": True}}, "search.finetune.stepsizes: no such key"),
    "number": ({"finetune": {"mixup": 2}}, "search.finetune: mixup = 2.0 is no number from 0 to 1"),
    "halving": (
        {"finetune": {"candidates": "front", "halving": {}}},
        "search.finetune: halving: stops some of all candidates early",
    ),
    "patience": ({"finetune": {}, "training": {"patience": 3}}, "patience: fine-tuning has no use for it"),
    "labels": (
        {"finetune": {"noise": 0.1}, "training": {"distil": 0}},
        "samples that only the float network labels; give distil above 0",
    ),
}


@pytest.mark.parametrize(("given", "error"), WRONG.values(), ids=WRONG)
def test_a_config_that_is_wrong_is_refused_in_a_line(given: dict[str, Any], error: str) -> None:
    with pytest.raises(UserError, match=error):
        load_config(config(**given))


@pytest.mark.parametrize("name", ["graph/width", "graph/quantize/trained_widths"])
def test_searches_that_train_are_not_fine_tuned(name: str) -> None:
    asked = config(finetune={})
    asked["search"]["search_space"] |= {"name": name, "setup": {}}
    with pytest.raises(UserError, match=f"candidates of {name} are trained already"):
        load_config(asked)


def test_a_config_is_written_as_it_is_read() -> None:
    given = {"most": 5, "mixup": 0.5, "noise": 0.1, "step_sizes": True, "halving": {"reduction": 2}}
    for finetuned in (given, {}):
        read = load_config(config(finetune=finetuned, training={"steps": 7, "distil": 0.5}))
        assert load_config(tables_of(read)) == read
        assert read.search.finetune is not None
        assert read.search.finetune.training.steps == 7
    read = load_config(config(finetune={}, training={"epochs": 3}))
    assert read.search.finetune is not None
    assert (read.search.finetune.training.steps, read.search.finetune.training.epochs) == (None, 3)


def test_what_is_kept_is_checked(tuned: Study, tmp_path: Path, run: Run) -> None:
    assert tuned.folder is not None
    folder = Path(shutil.copytree(tuned.folder, tmp_path / "run"))
    number = next(found.number for found in tuned.finetuned.values() if found.better)
    path = folder / FINETUNED / f"trial-{number}.json"
    path.write_text(path.read_text().replace('"better": true', '"better": false'))
    with pytest.raises(UserError, match="is broken; delete it, and fine-tune the trial again"):
        read_finetuned(folder)
    assert "is broken" in run("check", str(folder)).out
    path.unlink()
    assert load_run(folder).trial(number).metrics == dict(tuned.finetuned[number].before)


def test_other_weights_than_were_judged_are_refused(tuned: Study, tmp_path: Path) -> None:
    assert tuned.folder is not None
    folder = Path(shutil.copytree(tuned.folder, tmp_path / "run"))
    better = [found.number for found in tuned.finetuned.values() if found.better]
    weights = folder / FINETUNED / f"trial-{better[0]}.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="the weights are not those that were judged"):
        load_run(folder).network(better[0])


def test_the_command_line(run_folder: Path, run: Run) -> None:
    number = load_run(run_folder).front[0].number
    done = run("finetune", str(run_folder), "--trials", str(number), "--steps", "60", "--jobs", "2")
    assert done.status == 0
    assert f"1 of 1: trial {number}, loss " in done.out + done.err
    assert "1 trial fine-tuned: " in done.out
    page = (run_folder / "report.html").read_text()
    assert "1 trial fine-tuned: " in page
    figures = run("test", "--run", str(run_folder), "--trial", str(number), "--part", "val", "--json").out
    found = read_finetuned(run_folder)[number]
    stands = found.after if found.better else found.before
    assert f'"accuracy": {stands["accuracy"]}' in figures


def test_steps_that_are_trained_are_kept_with_the_weights(
    network: nn.Module, data: Any, tmp_path: Path
) -> None:
    wide = {f"{tensor}_width": [3] for tensor in ("data_in", "weight")}
    asked = config({"data_in_name": ["int"], "weight_name": ["int"], "weight_per": ["channel"], **wide})
    asked["search"]["search_space"]["seed"].pop("batch_norm1d")
    study = ww.search(network, data, asked, out=tmp_path / "run", page=False).finetune(
        data=data, settings=replace(QUICK, step_sizes=True)
    )
    (found,) = study.finetuned.values()
    assert found.better
    now, before = study.realised(found.number).schemes, study.as_searched().realised(found.number).schemes
    for name, scheme in before.items():
        for tensor in ("data_in", "weight"):
            assert now[name][tensor] != scheme[tensor]
            assert replace(now[name][tensor], scale=None) == replace(scheme[tensor], scale=None)  # type: ignore
    judged = ww.evaluate(study.network(found.number), data, metrics=["accuracy", "model_size"])
    assert judged["accuracy"] == found.after["accuracy"]


def test_steps_of_tensors_that_are_read_alike_stay_alike() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    graph = ww.Graph(model, torch.rand(2, 4))
    fmt = Integer(4, 2)
    steps = Steps.of(
        graph.quantized({layer.name: ww.Scheme(fmt, fmt) for layer in graph.layers if layer.tensors})
    )
    linear = [steps.schemes[name] for name in steps.schemes if steps.schemes[name].weight is not None]
    assert len(steps.parameters("cpu")) == sum(
        bool(s.data_in) + bool(s.weight) for s in steps.schemes.values()
    )
    assert linear[0].weight is not linear[1].weight
    assert (
        steps.settled().schemes
        == graph.quantized(
            {layer.name: ww.Scheme(fmt, fmt) for layer in graph.layers if layer.tensors}
        ).schemes
    )

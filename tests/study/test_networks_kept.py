"""A run keeps the networks of its front: had again without data and training, wherever the folder lies."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.batches import Fixed
from helpers.configs import FORMATS, WIDTHS
from helpers.emulation import rows
from widthwise.config import load_config
from widthwise.core.errors import UserError
from widthwise.evaluators.realising import marked_samples, outputs_mark
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.search.limits import Limits
from widthwise.search.problem import load_problem
from widthwise.study.keeper import Keeper
from widthwise.study.study import Study

JOBS = "search.strategy.setup.n_jobs"
SUPERNET = {"search.search_space.setup.weights": "supernet"}


def jets() -> Tensor:
    """What the searches judge on."""
    return torch.cat([x for x, _ in ww.load_data("jsc").val_dataloader()])


def gives_its_metrics(study: Study, number: int, **how: object) -> bool:
    """Whether the network of a trial, judged again, has the trial's figures."""
    trial = study.trial(number)
    found = ww.evaluate(study.network(trial, **how), ww.load_data("jsc"), metrics=["accuracy", "loss"])
    return found == pytest.approx(trial.software_metrics, rel=1e-6)


def kept_weights(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "weights").iterdir())


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search of formats."""
    folder = tmp_path_factory.mktemp("runs") / "formats"
    ww.search(None, None, FORMATS, out=folder, page=False)
    return folder


@pytest.fixture(scope="module")
def widths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search of widths, each candidate trained."""
    folder = tmp_path_factory.mktemp("runs") / "widths"
    ww.search(None, None, WIDTHS, out=folder, page=False)
    return folder


def test_the_network_of_a_trial_is_the_one_that_was_judged(formats: Path) -> None:
    study = ww.load_run(formats)
    problem = load_problem(load_config(FORMATS))
    for trial in study.front:
        judged = problem.evaluator.network(np.array(trial.candidate)).model
        with torch.no_grad():
            assert torch.equal(study.network(trial).model(jets()), judged(jets()))


def test_any_trial_of_a_search_of_formats_has_its_network(formats: Path) -> None:
    study = ww.load_run(formats)
    on_front = {trial.number for trial in study.front}
    others = [number for number in range(0, 216, 31) if number not in on_front]
    assert all(gives_its_metrics(study, number) for number in others)


def test_a_trained_network_has_the_figures_of_its_trial(widths: Path) -> None:
    study = ww.load_run(widths)
    assert all(gives_its_metrics(study, trial.number) for trial in study.front)
    assert kept_weights(widths) == sorted(f"trial-{trial.number}.safetensors" for trial in study.front)
    data = ww.load_data("jsc")
    for trial in study.front:
        graph = study.network(trial)
        fitting = check_data_fits_model(graph.model, data)
        samples = marked_samples(fitting.reader, data.val_dataloader())
        mark = outputs_mark(graph.model, samples, fitting.output)
        assert study.realised(trial).marks["outputs"] == mark


def test_the_float_network_is_the_one_that_was_searched(formats: Path) -> None:
    found = ww.load_run(formats).network()
    searched = ww.load_model("jsc-three-linear", seed=0).eval()
    assert torch.equal(found.model(jets()), searched(jets()))


@pytest.mark.parametrize("name", ["formats", "widths"])
def test_a_folder_that_was_copied_works_alone(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(request.getfixturevalue(name), tmp_path / "copied")
    monkeypatch.chdir(tmp_path)
    study = ww.load_run("copied")
    assert gives_its_metrics(study, study.front[0].number)


def test_only_networks_of_the_front_are_kept_of_trained_ones(widths: Path) -> None:
    study = ww.load_run(widths)
    other = next(n for n in range(6) if n not in {trial.number for trial in study.front})
    with pytest.raises(UserError, match=f"keeps no network of trial {other}; kept are those of the front: 0"):
        study.network(other)
    with pytest.raises(UserError, match="has no trial 6; it has 6, from 0"):
        study.network(6)


def test_tampered_weights_are_refused(widths: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(widths, folder)
    study = ww.load_run(folder)
    path = folder / "weights" / f"trial-{study.front[-1].number}.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="the weights are not those that were judged"):
        study.network(study.front[-1])
    path.unlink()
    with pytest.raises(UserError, match="is missing, so trial"):
        study.network(study.front[-1])
    assert gives_its_metrics(study, study.front[0].number)


@pytest.mark.parametrize("file", ["realised.json", "slots.json"])
@pytest.mark.parametrize(
    "content", ["{", "[]", '{"0": 1, "slots": 2}', '{"0": {}, "slots": [{"layer": "x"}]}']
)
def test_a_broken_file_is_one_line(file: str, content: str, formats: Path, tmp_path: Path) -> None:
    shutil.copytree(formats, tmp_path / "run")
    (tmp_path / "run" / file).write_text(content)
    with pytest.raises(UserError, match=file) as caught:
        ww.load_run(tmp_path / "run").network(0)
    assert "\n" not in str(caught.value)


def test_a_run_without_its_slots_gives_no_float_network(formats: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(formats, folder)
    number = ww.load_run(folder).front[0].number
    for content in ('{"slots": []}', None):
        (folder / "slots.json").unlink()
        if content is not None:
            (folder / "slots.json").write_text(content)
        with pytest.raises(UserError, match=r"slots\.json: is missing or empty; resume the run"):
            ww.load_run(folder).network(number)
    ww.search(None, None, load_config(folder / "config.toml"), out=folder, resume=True, page=False)
    assert gives_its_metrics(ww.load_run(folder), number)
    for name in ("slots.json", "realised.json"):
        assert (folder / name).read_bytes() == (formats / name).read_bytes()


@pytest.mark.parametrize("name", ["formats", "widths"])
def test_a_run_without_networks_has_them_once_it_is_resumed(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(request.getfixturevalue(name), folder)
    before = {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")}
    kept = (folder / "realised.json").read_bytes()
    for file in ("realised.json", "slots.json"):
        (folder / file).unlink(missing_ok=True)
    shutil.rmtree(folder / "weights", ignore_errors=True)
    with pytest.raises(UserError, match=r"keeps no networks of its trials; resume the run"):
        ww.load_run(folder).network(0)
    ww.search(None, None, load_config(folder / "config.toml"), out=folder, resume=True, page=False)
    assert {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")} == before
    assert (folder / "realised.json").read_bytes() == kept


def test_a_network_that_comes_out_as_another_one_is_not_kept(widths: Path, tmp_path: Path) -> None:
    study = ww.load_run(widths)
    trial = study.front[0]
    other = replace(trial, software_metrics={**trial.software_metrics, "accuracy": 0.125})
    problem = load_problem(load_config(WIDTHS))
    keeper = Keeper(tmp_path, problem.evaluator)
    keeper.keep([other, study.front[1]], final=True)
    assert list(json.loads((tmp_path / "realised.json").read_text())) == [str(study.front[1].number)]
    assert kept_weights(tmp_path) == [f"trial-{study.front[1].number}.safetensors"]


def test_what_left_the_front_goes_and_nothing_is_trained_before_the_end(widths: Path, tmp_path: Path) -> None:
    study = ww.load_run(widths)
    problem = load_problem(load_config(WIDTHS))
    keeper = Keeper(tmp_path, problem.evaluator)
    keeper.keep(study.front, final=False)
    assert json.loads((tmp_path / "realised.json").read_text()) == {}
    problem.evaluator(np.array([trial.candidate for trial in study.front]))
    keeper.keep(study.front, final=False)
    assert len(kept_weights(tmp_path)) == len(study.front)
    keeper.keep(study.front[:1], final=False)
    assert kept_weights(tmp_path) == [f"trial-{study.front[0].number}.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{JOBS: 2}, SUPERNET], ids=["workers", "supernet"])
def test_every_way_to_train_keeps_its_networks(changes: dict[str, object], tmp_path: Path) -> None:
    config = load_config(WIDTHS, changes)
    study = ww.search(None, None, config, out=tmp_path / "run", page=False)
    assert study.front
    assert all(gives_its_metrics(study, trial.number) for trial in study.front)
    assert "again" not in (tmp_path / "run" / "log.txt").read_text()


def test_of_several_trainings_the_first_is_kept(tmp_path: Path) -> None:
    config = load_config(WIDTHS, {"search.training.repeats": 2})
    study = ww.search(None, None, config, out=tmp_path / "run", page=False)
    problem = load_problem(config)
    for trial in study.front:
        assert study.realised(trial).repeat == 0
        first, second = (problem.evaluator.network(trial.candidate, repeat=number).model for number in (0, 1))
        with torch.no_grad():
            found = study.network(trial).model(jets())
            assert torch.equal(found, first(jets()))
            assert not torch.equal(found, second(jets()))


def python_network() -> nn.Module:
    """One that has no name."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))


@pytest.mark.parametrize("tables", [FORMATS, WIDTHS], ids=["formats", "widths"])
def test_a_network_given_from_python_is_known_in_the_process_and_given_again_later(
    tables: dict, tmp_path: Path
) -> None:
    config = {**tables, "model": None}
    if tables is WIDTHS:
        config = load_config(config, {"search.search_space.seed": {"0": {"config": {"channels": [4, 8]}}}})
    network = python_network()
    study = ww.search(network, ww.load_data("jsc"), config, out=tmp_path / "run", page=False)
    number = study.front[0].number
    assert gives_its_metrics(study, number)
    with torch.no_grad():
        network[0].weight.zero_()  # the run has the weights that were searched
    assert gives_its_metrics(study, number)
    later = ww.load_run(tmp_path / "run")
    assert gives_its_metrics(later, number)  # from the run
    (tmp_path / "run" / "network.json").unlink()
    with pytest.raises(UserError, match=r"was given from Python, so it has no name; give it again"):
        later.network(number)
    assert gives_its_metrics(later, number, model=python_network())
    assert gives_its_metrics(later, number, model=network)
    assert not network[0].weight.any()
    with pytest.raises(UserError, match="does not fit"):
        later.network(number, model=nn.Sequential(nn.Linear(16, 5)))


def test_any_trial_of_a_network_for_one_batch_size_has_its_network(tmp_path: Path) -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        return Fixed()

    data, layers = rows(48), {"linear": {"config": {"name": ["integer"], "weight_width": [2, 8]}}}
    space = {"name": "graph/quantize/mixed_precision_ptq", "seed": layers, "setup": {"by": "type"}}
    metrics = {"loss": {"direction": "minimize"}, "model_size": {"direction": "minimize"}}
    strategy = {"name": "brute-force", "metrics": metrics}
    config = {"search": {"search_space": space, "strategy": strategy}}
    ww.search(network(), data, config, out=tmp_path / "run", page=False)
    later = ww.load_run(tmp_path / "run")
    for trial in later.trials:
        found = ww.evaluate(later.network(trial, model=network()), data, metrics=["loss"])
        assert found["loss"] == pytest.approx(trial.software_metrics["loss"], rel=1e-6)
    found = ww.evaluate(later.network(model=network()), data, metrics=["loss"])
    assert found == pytest.approx(ww.evaluate(network(), data, metrics=["loss"]))


def test_a_stopped_search_keeps_what_it_had(tmp_path: Path) -> None:
    study = ww.search(None, None, WIDTHS, out=tmp_path / "run", limits=Limits(trials=2), page=False)
    assert kept_weights(tmp_path / "run") == [f"trial-{trial.number}.safetensors" for trial in study.front]
    study = ww.search(None, None, WIDTHS, out=tmp_path / "run", resume=True, page=False)
    assert all(gives_its_metrics(study, trial.number) for trial in study.front)


class Bent(nn.Module):
    """A layer that torch.fx can't trace, so that its network can't be written."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """By the values."""
        return torch.sigmoid(x) if x.sum() > -1e9 else x


def test_a_network_that_is_not_what_its_name_makes_has_to_be_given_again(tmp_path):
    """Its tensors fit the named one, so nothing else would tell them apart."""
    model = ww.load_model("jsc-tiny")
    model.seq_blocks[1] = Bent()
    config = load_config({**WIDTHS, **FORMATS, "model": "jsc-tiny"})
    study = ww.search(model, None, config, out=tmp_path / "run", page=False)
    x = torch.randn(8, 16)
    judged = study.network(0).model(x)
    again = ww.load_run(tmp_path / "run")
    with pytest.raises(UserError, match="was given from Python"):
        again.network(0)
    assert torch.equal(again.network(0, model=model).model(x), judged)
    done = ww.export(study, 0, "torch", tmp_path / "out")
    assert done.check.equal == done.check.samples
    ww.search(model, None, config, out=tmp_path / "run", resume=True, page=False)
    with pytest.raises(UserError, match="network: given from Python"):
        ww.search(None, None, config, out=tmp_path / "run", resume=True, page=False)

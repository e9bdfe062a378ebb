"""What is kept of the layers of a picked trial is what they are, and it is on the page."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

import widthwise as ww
from widthwise.report.page.study import study_page
from widthwise.search.detail import keep_detail
from widthwise.search.launch import search
from widthwise.search.layer_figures import SAMPLES, keep_layers
from widthwise.search.tested import keep_tested
from widthwise.study.detail import read_detail
from widthwise.study.layer_figures import read_layer_figures
from widthwise.study.run_files import DETAIL
from widthwise.study.run_folder import load_run

CONFIG: dict[str, Any] = {
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {
                "linear": {
                    "config": {
                        "name": ["integer"],
                        "data_in_width": [8],
                        "data_in_frac_width": [4],
                        "weight_width": [4, 8],
                        "weight_frac_width": [3],
                        "bias_width": [8],
                        "bias_frac_width": [4],
                    }
                }
            },
        },
        "strategy": {
            "name": "brute-force",
            "metrics": {"accuracy": {"direction": "maximize"}, "model_size": {"direction": "minimize"}},
        },
    }
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    problems = []
    place = tmp_path_factory.mktemp("runs") / "run"
    study = search(
        "jsc-tiny", "jsc", CONFIG, out=place, started=lambda _, problem: problems.append(problem), page=False
    )
    for keep in (keep_layers, keep_tested, keep_detail):
        keep(problems[0], study, study.front[0], place)
    return place


def test_ranges_clipping_and_noise_are_those_of_the_values(folder: Path) -> None:
    study, found = load_run(folder), read_layer_figures(folder)
    assert found is not None
    assert found.trial == study.front[0].number
    weight = next(each for each in found.tensors if each.tensor == "weight")
    network = ww.load_model("jsc-tiny", seed=0)
    values = network.state_dict()["seq_blocks.2.weight"].double()
    bits = study.front[0].config["seq_blocks_2/weight_width"]
    step, most = 2.0**-3, 2 ** (bits - 1) - 1
    rounded = (values / step).round().clamp(-most - 1, most) * step
    noise = 10 * torch.log10(values.square().sum() / (rounded - values).square().sum())
    assert weight.minimum == pytest.approx(float(values.min()))
    assert weight.maximum == pytest.approx(float(values.max()))
    assert weight.snr_db == pytest.approx(float(noise), abs=1e-3)
    linear = next(node for node in found.nodes if node.name == "seq_blocks_2")
    assert (linear.parameters, linear.macs) == (16 * 5 + 5, 16 * 5)
    assert found.samples == SAMPLES


def test_the_page_has_them_and_the_network_drawn(folder: Path) -> None:
    page = study_page(load_run(folder))
    assert page.count('<rect class="node"') == len(read_layer_figures(folder).nodes)  # type: ignore[union-attr]
    assert "on 256 validation samples" in page


def test_the_matrix_of_classes_is_of_the_samples_that_the_search_judged(folder: Path) -> None:
    study, kept = load_run(folder), read_detail(folder)
    assert kept is not None
    assert kept.detail.confusion is not None
    for matrix, accuracy in (
        (kept.detail.confusion.pick, study.front[0].metrics["accuracy"]),
        (kept.detail.confusion.beside, study.record.settings.float_metrics["accuracy"]),
    ):
        right = sum(row[label] for label, row in enumerate(matrix))
        assert sum(map(sum, matrix)) == kept.samples
        assert right / kept.samples == pytest.approx(accuracy)
    page = study_page(study)
    assert f"Trial {study.front[0].number} on {kept.samples:,} validation samples" in page
    assert page.count('<td class="number share"') == 25


def test_a_broken_file_of_quality_in_detail_is_one_line(folder: Path, tmp_path: Path) -> None:
    stored = (folder / DETAIL).read_text()
    for broken in (
        "{",
        "[]",
        stored.replace('"classes": ["g", ', '"classes": ['),
        stored.replace("[44.0, ", "["),
    ):
        (tmp_path / DETAIL).write_text(broken)
        with pytest.raises(ww.UserError, match=r"detail\.json: is broken; delete it"):
            read_detail(tmp_path)


def test_the_worst_sample_of_closeness_is_the_one_that_the_metric_tells(tmp_path: Path) -> None:
    problems = []
    config = deepcopy(CONFIG)
    config["search"]["strategy"]["metrics"] = {"worst_sqnr": {"direction": "maximize"}}
    config["task"] = "closeness"
    place = tmp_path / "run"
    study = search(
        "jsc-tiny", "jsc", config, out=place, started=lambda _, problem: problems.append(problem), page=False
    )
    keep_detail(problems[0], study, study.front[0], place)
    kept = read_detail(place)
    assert kept is not None
    worst = kept.detail.tables[-1].rows[0]
    assert worst.pick[0] == pytest.approx(study.front[0].metrics["worst_sqnr"])


def test_the_pick_is_judged_on_test_data(folder: Path) -> None:
    study = load_run(folder)
    trial, data = study.front[0], ww.load_data("jsc")
    figures = study.tested.figures[trial.number]
    expected = ww.evaluate(study.network(trial), data, metrics=["accuracy"], loader="test")
    assert figures["accuracy"] == pytest.approx(expected["accuracy"])
    assert study.tested.samples == 204
    assert any("204 test samples" in line for line in study_page(study).splitlines())

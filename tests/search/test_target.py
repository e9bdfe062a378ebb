"""Searches that keep within an export form: no trial is outside it, and what is left out is said."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import widthwise as ww
from widthwise.config import load_config
from widthwise.config.trust import check
from widthwise.config.write import toml_of
from widthwise.core.errors import UserError
from widthwise.core.toml import parse_toml
from widthwise.evaluators.protocol import Results
from widthwise.export.exporter import exporter
from widthwise.network.passes import fold_batchnorm_transform_pass
from widthwise.search.problem import load_problem
from widthwise.spaces.settings import QuantisationSearch

FIXED = {"data_in_width": [8], "data_in_frac_width": [4], "bias_width": [8], "bias_frac_width": [4]}
RULE: dict[str, Any] = {"name": ["integer"], **FIXED, "weight_width": [4, 8], "weight_frac_width": ["auto"]}
NAMED = {"weight_name": ["integer", "NA"]}  # floats, which C has no way to say
LINEAR = "search.search_space.seed.linear.config"


def config(target: str | None = "c", strategy: str = "brute-force", **rule: Any) -> dict[str, Any]:
    space = {
        "name": "graph/quantize/mixed_precision_ptq",
        "setup": {"by": "type"},
        "seed": {"linear": {"config": RULE | rule}, "batch_norm1d": {"config": RULE}},
    }
    metrics = {"accuracy": {"direction": "maximize"}, "model_size": {"direction": "minimize"}}
    constraints = {} if target is None else {"target": target}
    search = {"search_space": space, "strategy": {"name": strategy, "metrics": metrics}}
    return {"model": "jsc-toy", "dataset": "jsc", "search": search | {"constraints": constraints}}


def can_be_written(study: ww.Study, form: str) -> list[bool]:
    made, network = exporter(form), study.searched_network()
    found = []
    for trial in list(study.trials)[:: max(1, study.summary.trials // 16)]:
        realised = study.realised(trial).complete(network)
        found.append(not made.refusals(realised, realised.graph()))
    return found


@pytest.mark.parametrize(("form", "other"), [("c", "NA"), ("qonnx", "log")])
def test_no_trial_is_outside_the_form(
    tmp_path: Path, form: str, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    rule = {"weight_name": ["integer", other], "weight_width": [8]}
    without = ww.search(None, None, config(None, **rule), out=tmp_path / "any", page=False)
    assert not all(can_be_written(without, form))
    with caplog.at_level(logging.WARNING):
        study = ww.search(None, None, config(form, **rule), out=tmp_path / "run", page=False)
    assert study.summary.trials == study.record.space.size
    assert all(can_be_written(study, form))
    told = [line for line in caplog.messages if "left out" in line]
    assert told[0].startswith(f"left out, as {form} can't write it: seq_blocks_2/weight_name {other}")
    assert {one.name.split("/")[1] for one in study.record.space.decisions} == {"weight_width"}
    assert form != "c" or ww.export(study, 1, form, tmp_path / "out").check.passes(exact=True)


def test_formats_that_can_not_be_said_together_are_kept_out(tmp_path: Path) -> None:
    """A bias far behind the point is possible with small inputs, not with large ones."""
    rule = {"weight_width": [4], "data_in_frac_width": [4, 20], "bias_frac_width": [4, 60]}
    for strategy in ("brute-force", "tpe", "frontier"):
        given = config("c", strategy, **rule)
        given["search"]["constraints"]["trials"] = 16
        study = ww.search(None, None, given, out=tmp_path / strategy, page=False)
        assert study.summary.trials == 16
        assert all(can_be_written(study, "c"))
    problem = load_problem(load_config(config("c", **rule)))
    assert problem.target is not None
    assert problem.target.reasons is not None
    inside = problem.within()
    assert inside is not None
    assert inside.listed is not None
    assert 0 < len(inside.listed) < problem.space.size
    (told,) = [note for note in problem.target.notes if note.startswith("kept out")]
    assert f"{problem.space.size - len(inside.listed):,} of {problem.space.size:,}" in told


def test_hardware_asks_for_folded_batch_norms() -> None:
    for target, folds in (("hls4ml", True), ("c", True), ("verilog", True), ("vhdl", True), ("qonnx", None)):
        settings = load_config(config(target)).search.space
        assert isinstance(settings, QuantisationSearch)
        assert settings.fold_batchnorm is folds
    given = config("c")
    given["search"]["search_space"]["setup"]["fold_batchnorm"] = False
    with pytest.raises(
        UserError, match="batch_norm1d computes with statistics in float; fold_batchnorm = true"
    ):
        load_problem(load_config(given))


def test_a_norm_that_stands_alone_asks_for_a_rule() -> None:
    given = config("hls4ml")
    del given["search"]["search_space"]["seed"]["batch_norm1d"]
    with pytest.raises(UserError, match="a rule for seq_blocks_0 or batch_norm1d"):
        load_problem(load_config(given))


def test_it_is_written_into_the_config_and_read_again() -> None:
    read = load_config(config("hls4ml"))
    assert read.search.target == "hls4ml"
    again = load_config(parse_toml(toml_of(read), label="again"))
    assert again.search == read.search
    assert load_config(config(None)).search.target is None


def test_unknown_forms_are_told_with_what_is_allowed() -> None:
    with pytest.raises(UserError, match=r"search.constraints.target: .*hls5ml.*did you mean hls4ml"):
        load_config(config("hls5ml"))


def test_forms_of_ours_are_no_code() -> None:
    assert check(load_config(config("c"))) == ()


def test_networks_that_a_form_can_not_say_are_refused_before_the_search(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="target onnx: can write no candidate of this space"):
        ww.search(None, None, config("onnx"), out=tmp_path / "run", page=False)
    assert not (tmp_path / "run").exists()


def test_searches_of_channels_keep_within_a_form_of_floats(tmp_path: Path) -> None:
    space = {
        "name": "graph/width",
        "setup": {"by": "type"},
        "seed": {"linear": {"config": {"channel_multiplier": [1, 2]}}},
    }
    given = config("c")
    given["search"]["search_space"], given["max_epochs"] = space, 1
    with pytest.raises(UserError, match="target c: can't write this network: "):
        load_problem(load_config(given))
    given["search"]["constraints"] = {"target": "onnx"}
    assert load_problem(load_config(given)).target is not None


def test_an_evaluator_of_ones_own_keeps_its_space(tmp_path: Path) -> None:
    """What its candidates mean is its own affair, so no choice is taken away; they are kept out alone."""

    class Own:
        columns = ("accuracy", "model_size")

        def __call__(self, candidates: Any) -> Results:
            values = candidates.sum(axis=1).astype(float)
            return Results({"accuracy": values / 100, "model_size": values})

    given = config("c", **{**NAMED, "weight_frac_width": [3]})
    given["search"]["search_space"]["seed"]["batch_norm1d"] = {"config": {**RULE, "weight_frac_width": [3]}}
    study = ww.search(None, None, given, out=tmp_path / "run", evaluator=Own(), page=False)
    names = [one.name for one in study.record.space.decisions]
    at = [place for place, name in enumerate(names) if name.endswith("weight_name")]
    assert at
    assert all(trial.candidate[place] == 0 for trial in study.trials for place in at)


def test_from_python_and_when_it_goes_on(tmp_path: Path) -> None:
    study = ww.search(None, None, config(None, **NAMED), out=tmp_path / "a", target="c", page=False)
    assert study.record.fingerprint["target"] == "c"
    with pytest.raises(UserError, match="target"):
        ww.search(None, None, config("verilog", **NAMED), out=tmp_path / "a", resume=True, page=False)
    again = ww.search(None, None, config("c", **NAMED), out=tmp_path / "a", resume=True, page=False)
    assert again.summary.trials == study.summary.trials


def test_residual_networks_give_readers_one_format(tmp_path: Path) -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(16, 8), nn.Linear(8, 8), nn.Linear(8, 5)

        def forward(self, x: Any) -> Any:
            h = self.a(x).relu()
            return self.c((self.b(h) + h).relu())

    given = config("hls4ml")
    rule = {**RULE, "data_in_frac_width": [3, 4], "weight_width": [8]}
    del given["model"]
    given["search"]["search_space"]["seed"] = {"linear": {"config": rule}, "add": {"config": _data_in(rule)}}
    study = ww.search(Residual(), None, given, out=tmp_path / "run", page=False)
    assert 0 < study.summary.trials < study.record.space.size
    assert all(can_be_written(study, "hls4ml"))
    assert {
        trial.config["b/data_in_frac_width"] == trial.config["add/data_in_frac_width"]
        for trial in study.trials
    } == {True}


def _data_in(rule: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key == "name" or key.startswith("data_in")}


def test_the_folded_network_is_the_one_that_the_pass_gives() -> None:
    problem = load_problem(load_config(config("hls4ml")))
    folded, merged = fold_batchnorm_transform_pass(ww.Graph(problem.network), {})
    assert problem.graph.folded == merged
    assert [layer.name for layer in problem.graph.layers] == [layer.name for layer in folded.layers]


def test_a_form_can_have_options(tmp_path: Path) -> None:
    with_bytes = config("onnx layout=qdq", weight_width=[4, 12])
    study = ww.search(None, None, with_bytes, out=tmp_path / "run", page=False)
    assert study.target == "onnx layout=qdq"
    assert study.record.space.size == 2  # 12 bits are beyond a byte; two kinds of layer have one rule each
    done = ww.export(study, 0, "onnx", tmp_path / "out", options={"layout": "qdq"})
    assert done.check.equal == done.check.samples
    for wrong, says in (("onnx layout", "is no option=value"), ("c depth=3", "has no option depth")):
        with pytest.raises(UserError, match=says):
            ww.search(None, None, config(wrong), out=tmp_path / "other", page=False)


def test_what_the_form_left_out_is_not_laid_on_the_bounds() -> None:
    rule = {"weight_width": [4], "data_in_frac_width": [4, 20], "bias_frac_width": [4, 60]}
    given = config("c", **rule)
    given["search"]["constraints"]["model_size"] = "<= 1"
    inside = load_problem(load_config(given)).within()
    assert inside is not None
    assert inside.nothing is not None
    said = "candidates are out of bounds by their costs or can't be written (model_size <= 1, target = c)"
    assert inside.nothing.endswith(said)

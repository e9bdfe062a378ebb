"""Whole searches from the command line: what they print, write, and how they go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import widthwise as ww
from helpers.places import EXAMPLES
from helpers.running import Run, files_in

FAST = ("--set", "max_epochs=3")


@pytest.fixture
def weights(place: Path) -> Path:
    """Weights of jsc-tiny, briefly trained."""
    model, data = ww.load_model("jsc-tiny"), ww.load_data("jsc")
    ww.fit(model, data, epochs=5)
    ww.save_checkpoint(model, place / "w.safetensors")
    return place / "w.safetensors"


def test_the_demo_searches_twice_and_says_where_everything_is(run: Run, place: Path) -> None:
    ran = run("demo")
    assert ran.status == 0
    assert ran.err == ""
    assert ran.out.count("Best trial(s), cheapest first:") == 2
    assert "1,024-jet sample" in ran.out
    assert "18 trials in" in ran.out
    assert "random weights" not in ran.out
    for name in ("demo-brute-force", "demo-tpe"):
        study = ww.load_run(place / "runs" / name)
        assert study.summary.trials == 18
        assert f"Results: runs/{name} (" in ran.out
    front = {trial.metrics["accuracy"] for trial in study.front}
    assert front == {
        trial.metrics["accuracy"] for trial in ww.load_run(place / "runs/demo-brute-force").front
    }


def test_a_second_demo_leaves_the_first_as_it_is(run: Run, place: Path) -> None:
    run("demo", "--quiet")
    before = files_in(place)
    ran = run("demo", "--quiet")
    assert ran.status == 0
    assert "runs/demo-tpe-2" in ran.out
    assert before.items() <= files_in(place).items()


def test_a_search_prints_what_it_is_about_and_the_best_trials(run: Run, demo: Path, weights: Path) -> None:
    ran = run("search", demo, "--load", weights, "--out", "here")
    assert ran.status == 0
    assert ran.err == ""
    for line in (
        "data:        jsc:",
        "network:     jsc-tiny, 117 parameters, weights from ",
        "run:         here",
    ):
        assert line in ran.out
    assert "space:       18 candidates from 3 decisions" in ran.out
    table = ran.out[ran.out.index("number ") :].splitlines()
    study = ww.load_run("here")
    cheapest_first = sorted(study.ties, key=lambda tie: tie.trial.metrics["average_bitwidth"])
    assert [row.split()[0] for row in table[2 : 3 + len(study.ties)]] == [
        *(str(tie.trial.number) for tie in cheapest_first),
        "float",
    ]
    best = cheapest_first[0].trial
    for name in ("accuracy", "loss"):
        assert f"{best.metrics[name]:.3f} ± {study.sureness.errors[best.number][name]:.3f}" in table[2]
    assert f"weight_width {best.config['seq_blocks_2/weight_width']}" in table[2]
    assert "±: one standard error, on the 205 samples" in ran.out
    assert "ended because: all 18 candidates proposed" in ran.out


def test_json_is_what_front_json_holds_and_nothing_else(run: Run, demo: Path, weights: Path) -> None:
    ran = run("search", demo, "--load", weights, "--out", "here", "--json")
    assert json.loads(ran.out) == json.loads(Path("here/front.json").read_text())
    again = run("report", "here", "--json", "--pick", "best accuracy")
    picked = json.loads(again.out)["picked"]
    assert picked["software_metrics"]["accuracy"] == max(
        trial["software_metrics"]["accuracy"] for trial in json.loads(ran.out)["front"]
    )


def test_report_checks_the_rule_before_it_prints_anything(run: Run, demo: Path, weights: Path) -> None:
    run("search", demo, "--load", weights, "--out", "here")
    for rule in ("the nicest", "best f1", "best accuracy with average_bitwidth <= 1"):
        ran = run("report", "here", "--pick", rule)
        assert ran.status == 2
        assert ran.out == ""
        assert ran.err.startswith("error: pick: ")
        assert ran.err.count("\n") == 1


def test_random_weights_are_warned_of_and_their_row_says_so(run: Run, demo: Path) -> None:
    ran = run("search", demo, "--trials", 2)
    assert ran.err.startswith("warning: the weights of jsc-tiny are random")
    assert "\nuntrained  " in ran.out
    assert "random weights (seed 0)" in ran.out


def test_training_first_uses_the_configs_settings_and_keeps_the_weights(run: Run, demo: Path) -> None:
    ran = run("search", demo, "--train", *FAST, "--out", "here", "--trials", 3)
    assert ran.err == ""
    assert "Best of 3 epochs" in ran.out
    trained = ww.load_model("jsc-tiny")
    ww.fit(trained, ww.load_data("jsc"), epochs=3)
    kept = ww.load_model("jsc-tiny", checkpoint="here/weights.safetensors")
    for name, tensor in trained.state_dict().items():
        assert (kept.state_dict()[name] == tensor).all()
    assert ww.load_config("here/config.toml").load_name == "here/weights.safetensors"


def test_a_resumed_search_ends_as_one_that_was_never_stopped(run: Run, demo: Path) -> None:
    common = ("search", demo, "--train", *FAST, "--strategy", "tpe")
    run(*common, "--out", "whole", "--trials", 12)
    begun = run(*common, "--out", "parts", "--trials", 5, "--resume")
    assert "run:         parts (started: nothing was there to resume)" in begun.out
    ran = run(*common, "--out", "parts", "--trials", 12, "--resume")
    assert "run:         parts (resumed)" in ran.out
    assert "Training" not in ran.out
    whole, parts = ww.load_run("whole"), ww.load_run("parts")
    assert parts.summary.trials == 12
    assert [t.candidate for t in parts.trials] == [t.candidate for t in whole.trials]
    assert [t.metrics for t in parts.trials] == [t.metrics for t in whole.trials]


def test_the_resolved_config_of_a_run_goes_on_with_it(run: Run, demo: Path) -> None:
    run("search", demo, "--train", *FAST, "--strategy", "random", "--seed", 3, "--out", "here", "--trials", 4)
    ran = run("search", "here/config.toml", "--resume", "--out", "here", "--trials", 9)
    assert ran.status == 0
    assert ww.load_run("here").summary.trials == 9


def test_a_run_that_is_there_is_neither_resumed_nor_replaced_in_silence(run: Run, demo: Path) -> None:
    run("search", demo, "--trials", 3)
    before = files_in(demo.parent)
    ran = run("search", demo, "--trials", 3)
    assert ran.status == 2
    assert ran.err == (
        "error: runs/demo: has a run already; --resume goes on with it, --force-new starts one beside it\n"
    )
    assert files_in(demo.parent) == before
    assert run("search", demo, "--trials", 3, "--force-new").status == 0
    assert Path("runs/demo-2/front.json").is_file()
    ran = run("search", demo, "--resume")
    assert ran.err == "error: --resume: there are runs/demo, runs/demo-2; say which with --out\n"
    shutil.rmtree("runs/demo")
    ran = run("search", demo, "--resume")
    assert ran.err == "error: --resume: there is runs/demo-2; say which with --out\n"


def test_resuming_with_something_else_lists_what_differs(run: Run, demo: Path, weights: Path) -> None:
    run("search", demo, "--load", weights, "--out", "here", "--trials", 3)
    ran = run("search", demo, "--load", weights, "--out", "here", "--resume", "--seed", 5)
    assert ran.status == 2
    assert ran.err == (
        "error: here: was searched with something else, so it can't be resumed: seed: 0 then, 5 now; "
        "restore that, or start a new study beside it (--force-new)\n"
    )
    bound = ("--set", 'search.constraints.model_size="<= 2 KiB"')
    ran = run("search", demo, "--load", weights, "--out", "here", "--resume", *bound)
    assert "resumed: constraints: none then, model_size <= 2048 now; restore" in ran.err


def test_ignored_keys_are_named_in_one_warning(run: Run, demo: Path, weights: Path) -> None:
    demo.write_text('num_workers = 0\nproject_dir = "out"\n' + demo.read_text())
    ran = run("search", demo, "--load", weights, "--trials", 2)
    assert ran.err.count("warning:") == 1
    assert "num_workers, project_dir" in ran.err


def test_a_sum_that_pulls_the_wrong_way_is_warned_of(run: Run, demo: Path, weights: Path) -> None:
    setup = "search.strategy.setup."
    sums = ("--set", f"{setup}sum_scaled_metrics=true", "--set", f"{setup}direction=maximize")
    ran = run("search", demo, "--load", weights, "--trials", 2, *sums)
    assert "warning: average_bitwidth should be minimized" in ran.err
    assert "maximize the sum of 1 accuracy + 0.2 average_bitwidth" in ran.out


def test_bounds_that_costs_alone_exclude_show_the_nearest_candidate(
    run: Run, demo: Path, weights: Path
) -> None:
    bound = ("--set", 'search.constraints.model_size="<= 10 B"')
    ran = run("search", demo, "--load", weights, *bound)
    assert ran.status == 0
    reason = "all 18 candidates are out of bounds by their costs alone (model_size <= 10)"
    assert f"No trial: {reason}.\nThe nearest:\n" in ran.out
    assert f"ended because: {reason}" in ran.out
    assert ran.out.count(" bytes misses model_size <= 10 by ") == 3
    assert "seq_blocks_" in ran.out
    assert "weight_width 2" in ran.out


def test_json_names_what_comes_nearest_where_nothing_is_within_the_bounds(
    run: Run, demo: Path, weights: Path
) -> None:
    bound = ("--set", 'search.constraints.model_size="<= 10 B"')
    ran = run("search", demo, "--load", weights, "--out", "costs", "--json", *bound)
    near = json.loads(ran.out)["nearest"]
    assert len(near) == 3
    assert near[0]["number"] is None
    assert near[0]["config"]["seq_blocks_2/weight_width"] == 2
    (miss,) = near[0]["misses"]
    assert (miss["metric"], miss["op"], miss["bound"]) == ("model_size", "<=", 10)
    assert miss["value"] > 100
    bound = ("--set", 'search.constraints.accuracy=">= 0.999"')
    ran = run("search", demo, "--load", weights, "--out", "quality", "--json", *bound)
    near = json.loads(ran.out)["nearest"]
    trials = ww.load_run("quality").trials
    assert near[0]["misses"][0]["value"] == max(trial.metrics["accuracy"] for trial in trials)
    assert near[0]["config"] == trials[near[0]["number"]].config
    assert json.loads(run("report", "quality", "--json").out)["nearest"] == near


def test_bounds_that_no_trial_meets_show_the_nearest_trials(run: Run, demo: Path, weights: Path) -> None:
    ran = run("search", demo, "--load", weights, "--set", 'search.constraints.accuracy=">= 0.999"')
    best = max(trial.metrics["accuracy"] for trial in ww.load_run("runs/demo").trials)
    assert "No trial is within the bounds: accuracy >= 0.999." in ran.out
    nearest = ran.out[ran.out.index("The nearest:") :].splitlines()[1]
    assert f"accuracy {best:g} misses accuracy >= 0.999" in nearest


def test_a_trial_is_picked_by_rule(run: Run, demo: Path, weights: Path) -> None:
    ran = run("search", demo, "--load", weights, "--pick", "best accuracy with average_bitwidth <= 4")
    study = ww.load_run("runs/demo")
    allowed = [trial for trial in study.trials if trial.metrics["average_bitwidth"] <= 4]
    chosen = int(ran.out.split("trial ")[-1].split()[0])
    best = max(trial.metrics["accuracy"] for trial in allowed)
    assert study.trials[chosen].metrics["accuracy"] == best


@pytest.mark.parametrize("columns", [40, 70, 200])
def test_the_table_fits_the_terminal(
    columns: int, run: Run, demo: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("search", demo, "--load", weights, "--out", "here")
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = run("report", "here")
    table = ran.out[ran.out.index("Best trial(s)") : ran.out.index("±: one")]
    assert max(map(len, table.splitlines())) <= columns
    assert "average_bitwidth" in table
    assert "weight_width" in table


def test_colours_are_off_where_they_are_not_wanted(
    run: Run, demo: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    ran = run("search", demo, "--load", weights)
    assert "\x1b" not in ran.out + ran.err


def test_a_name_that_looks_like_markup_is_printed_as_it_is(run: Run, demo: Path, weights: Path) -> None:
    run("search", demo, "--load", weights, "--out", "[red]é x[", "--trials", 2)
    ran = run("report", "[red]é x[")
    assert ran.status == 0
    assert ran.out.startswith("[red]é x[: ")


def test_a_network_and_data_of_the_users_own(run: Run, demo: Path) -> None:
    own = """\
from torch import nn

def build():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
"""
    (demo.parent / "nets of mine").mkdir()
    (demo.parent / "my_nets.py").write_text(own)
    rng = np.random.default_rng(0)
    rows = [f"{','.join(f'{v:.3f}' for v in rng.normal(size=6))},{'abc'[i % 3]}" for i in range(90)]
    table = demo.parent / "nets of mine" / "größe.csv"
    table.write_text("a,b,c,d,e,f,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    ran = run(
        "search", demo, "--model", "my_nets:build", "--dataset", table, "--out", "mein lauf", "--trials", 5
    )
    assert ran.status == 0, ran.err
    assert "runs code" not in ran.err, "the network was typed"
    assert "größe.csv" in ran.out
    assert "Results: 'mein lauf' (" in ran.out
    ran = run("test", "--run", "mein lauf", "--trial", 0, "--json")
    trial = ww.load_run("mein lauf").trials[0]
    assert json.loads(ran.out)["val"]["accuracy"] == pytest.approx(trial.metrics["accuracy"])


def test_widths_are_searched_too(run: Run, place: Path) -> None:
    config = EXAMPLES / "three-linear-widths.toml"
    fast = ("--set", "search.training.epochs=2", "--set", "search.training.repeats=2")
    ran = run("search", config, *fast, "--trials", 3, "--out", "here")
    assert ran.status == 0, ran.err
    assert "each candidate trained from random weights, 2 epochs, 2 seeds each" in ran.out
    assert " ± " in ran.out
    study = ww.load_run(place / "here")
    assert study.summary.trials == 3
    assert "random" not in ran.err


def test_the_library_says_the_same(run: Run, demo: Path, weights: Path) -> None:
    run("search", demo, "--load", weights, "--out", "here")
    study = ww.search(None, None, ww.load_config(demo, {"load_name": str(weights)}), out="there", page=False)
    assert [t.metrics for t in study.front] == [t.metrics for t in ww.load_run("here").front]


def test_a_form_to_keep_within_is_an_option(run: Run, place: Path) -> None:
    rule = '{name = ["integer"], data_in_width = [8], data_in_frac_width = [4], '
    rule += 'weight_name = ["integer", "NA"], weight_width = [4], weight_frac_width = [3], '
    rule += "bias_width = [8], bias_frac_width = [4]}"
    (place / "mine.toml").write_text(
        f"""
        model = "jsc-toy"
        dataset = "jsc"
        [search.search_space]
        name = "graph/quantize/mixed_precision_ptq"
        setup.by = "type"
        seed = {{linear.config = {rule}, batch_norm1d.config = {rule}}}
        [search.strategy]
        name = "brute-force"
        metrics.accuracy.direction = "maximize"
        """
    )
    ran = run("search", "mine.toml", "--target", "c", "--out", "kept")
    assert ran.status == 0
    assert "left out, as c can't write it: seq_blocks_0/weight_name NA" in ran.err
    assert "within target c" in ran.out
    assert ww.load_run(place / "kept").summary.trials == 1
    wrong = run("search", "mine.toml", "--target", "cpp", "--out", "other")
    assert (wrong.status, wrong.err.count("\n")) == (2, 1)
    assert "--target" in wrong.err
    assert not (place / "other").exists()


def test_an_enumeration_in_place_of_another_strategy_goes_to_its_end(run: Run, demo: Path) -> None:
    budget = ("--set", "search.strategy.name=tpe", "--set", "search.strategy.setup.sampler=tpe")
    file = demo.parent / "budget.toml"
    file.write_text(demo.read_text() + "\n[search.constraints]\ntrials = 5\n")
    whole = run("search", file, "--strategy", "brute-force")
    assert "all of brute-force, not the 5 that " in whole.out
    assert "18 trials in" in whole.out
    for bound in (("--trials", 7), ("--set", "search.constraints.trials=7")):
        some = run("search", file, "--strategy", "brute-force", *bound, "--force-new")
        assert "7 trials of 18 candidates in" in some.out
    assert "5 trials in" in run("search", file, *budget, "--force-new").out

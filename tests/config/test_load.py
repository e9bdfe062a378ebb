"""What configs say is what was written: the lab's own files, overrides, and the examples."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.nn.functional import mse_loss

from helpers.metrics import objective
from helpers.places import EXAMPLES
from widthwise.config import StrategySettings, default_config_text, example_names, example_text, load_config
from widthwise.config.write import tables_of, toml_of
from widthwise.core.errors import UserError
from widthwise.core.toml import parse_toml
from widthwise.metrics.quality.regression import Regression
from widthwise.metrics.timing import Timing
from widthwise.spaces.settings import QuantisationSearch, SeedRule, WidthSearch

Make = Callable[..., dict[str, Any]]
EXAMPLE_FILES = sorted(EXAMPLES.glob("*.toml"))


def test_file_of_the_lab_is_read_as_it_is(lab: Path) -> None:
    config = load_config(lab)
    assert (config.model, config.dataset, config.batch_size, config.seed) == ("jsc-tiny", "jsc", 512, 42)
    assert (config.accelerator, config.project, config.load_type) == ("gpu", "jsc-tiny", None)
    assert (config.training.epochs, config.training.learning_rate) == (5, 0.01)
    search = config.search
    assert search.strategy == StrategySettings("nsga2")
    assert (search.trials, search.timeout, search.jobs, search.summed) == (20, 20000, 1, False)
    assert search.objectives == (
        objective("accuracy", "maximize", 1.0),
        objective("average_bitwidth", "minimize", 0.2),
    )
    assert (search.evaluation.part, search.evaluation.samples, search.evaluation.compare_to) == (
        "val",
        512,
        16,
    )
    fields = (
        ("name", ("integer",)),
        ("data_in_width", (4, 8)),
        ("data_in_frac_width", ("NA",)),
        ("weight_width", (2, 4, 8)),
    )
    default = SeedRule("default", (("name", ("NA",)),))
    assert search.space == QuantisationSearch("name", (SeedRule("seq_blocks_2", fields),), default)


def test_keys_without_meaning_are_named_once_each(lab: Path) -> None:
    assert set(load_config(lab).ignored) == {
        "log_every_n_steps",
        "is_pretrained",
        "passes",
        "transform",
        "search.search_space.seed.seq_blocks_2.config.bypass",
        "search.strategy.sw_runner.zero_cost",
        "search.strategy.setup.model_parallel",
        "search.strategy.setup.runner_style",
        "search.strategy.setup.direction",
        "search.strategy.metrics.average_bitwidth.lower_bound",
    }


def test_runners_named_in_the_older_way_are_read(lab: Path) -> None:
    text = lab.read_text(encoding="utf-8").partition("[search.strategy]")[0]
    lab.write_text(
        f'{text}[search.strategy]\nname = "bruteforce"\nsw_runner = "basic_evaluation"\n'
        'hw_runner = "average_bitwidth"\ndata_loader = "test_dataloader"\nnum_samples = 256\n'
        'metrics.accuracy.direction = "maximize"\n',
        encoding="utf-8",
    )
    search = load_config(lab).search
    assert search.strategy.name == "brute-force"
    assert (search.evaluation.part, search.evaluation.samples) == ("test", 256)


@pytest.mark.parametrize("path", EXAMPLE_FILES, ids=lambda path: path.stem)
def test_examples_load_without_a_warning(path: Path) -> None:
    ignored = load_config(path).ignored
    # the lab's own file has keys that mean nothing here, and rules by name and by type, of which one counts
    assert bool(ignored) == (path.stem == "lab3")


def test_there_are_examples() -> None:
    assert len(EXAMPLE_FILES) >= 3
    assert {"jsc-tiny", "regression", "tokens"} <= set(example_names())
    with pytest.raises(UserError, match="did you mean jsc-tiny"):
        example_text("jsc-tinny")


def test_demo_searches_the_reports_18_configurations() -> None:
    config = load_config(parse_toml(example_text("jsc-tiny"), label="demo"))
    space = config.search.space
    assert isinstance(space, QuantisationSearch)
    assert config.ignored == ()
    assert np.prod([len(choices) for _, choices in space.rules[0].fields]) == 18
    assert config.search.strategy.name == "brute-force"


def test_names_with_dots_need_no_quotes(quantisation: Make) -> None:
    rule = {"config": {"name": "integer", "weight_width": 4}}
    plain = load_config(quantisation({"blocks": {"0": {"attention": rule}}}, by="name"))
    assert plain == load_config(quantisation({"blocks.0.attention": rule}, by="name"))


def test_tensor_may_have_a_format_of_its_own(quantisation: Make) -> None:
    rule = {"name": "integer", "data_in_width": 8, "weight_name": "minifloat_ieee", "weight_width": [6, 8]}
    config = load_config(quantisation({"linear": {"config": rule | {"weight_exponent_width": 3}}}))
    assert isinstance(config.search.space, QuantisationSearch)
    assert dict(config.search.space.rules[0].fields)["weight_name"] == ("minifloat_ieee",)


def test_parameters_of_a_tensor_in_float_are_ignored(quantisation: Make) -> None:
    rule = {"name": "integer", "weight_width": [4], "bias_name": "NA", "bias_width": [8]}
    config = load_config(quantisation({"linear": {"config": rule}}))
    assert config.ignored == ("search.search_space.seed.linear.config.bias_width",)


def test_list_of_sizes_is_one_choice(quantisation: Make) -> None:
    rule = {"name": "block_fp", "weight_width": 8, "weight_block_size": [[1, 16], [4, 4]]}
    space = load_config(quantisation({"linear": {"config": rule}})).search.space
    assert dict(space.rules[0].fields)["weight_block_size"] == ((1, 16), (4, 4))


def test_sum_takes_its_own_direction_and_the_metrics_natural_ones(quantisation: Make) -> None:
    tables = quantisation({"linear": {"config": {"name": "integer", "weight_width": 4}}})
    tables["search"]["strategy"]["setup"] = {"sum_scaled_metrics": True, "direction": "minimize"}
    tables["search"]["strategy"]["metrics"] = {"accuracy": {"scale": -1}, "loss": {"scale": 2}}
    search = load_config(tables).search
    assert (search.summed, search.direction) == (True, "minimize")
    assert search.objectives == (objective("accuracy", "maximize", -1), objective("loss", "minimize", 2))


def test_candidates_are_trained_as_the_top_says_unless_told_otherwise() -> None:
    config = load_config(EXAMPLE_FILES[0].parent / "three-linear-widths.toml", {"learning_rate": 0.5})
    space = config.search.space
    assert isinstance(space, WidthSearch)
    assert (space.training.learning_rate, space.training.epochs, space.repeats) == (0.5, 20, 3)
    assert config.training.epochs == 100


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [("seq_blocks_2", "linear", ("data_in", "weight", "bias")), ("seq_blocks_3", "relu", ("data_in",))],
        [('evil\n"name]', "x\ny", ("weight",)), ("default", "linear", ("weight",)), ("a.b", "", ("bias",))],
    ],
)
def test_commented_config_loads_with_a_rule_for_each_layer(layers: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text(default_config_text("jsc-tiny", "jsc", layers), encoding="utf-8")
    config = load_config(file)
    space = config.search.space
    assert config.ignored == ()
    named = [name for name, _, _ in layers if name != "default"] or ["linear"]
    assert isinstance(space, QuantisationSearch)
    assert [rule.key for rule in space.rules] == named


def test_reading_a_config_imports_nothing_heavy(lab: Path) -> None:
    code = (
        "import sys; from widthwise.config import load_config; from widthwise.config.write import toml_of;"
        "toml_of(load_config(sys.argv[1]));"
        "print({'torch', 'numpy', 'optuna', 'sqlalchemy', 'pydantic', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(lab)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_how_latencies_are_measured_stands_among_the_runners_and_is_written_where_it_is_not_usual() -> None:
    text = example_text("jsc-tiny")
    assert load_config(parse_toml(text, label="x")).search.timing == Timing()
    assert "latency" not in toml_of(load_config(parse_toml(text, label="x")))
    more = (
        '[search.strategy.hw_runner.latency]\nthreads = 2\nbatch = 64\nwarm_up = 0\nruntime = "onnxruntime"\n'
    )
    config = load_config(parse_toml(text + more, label="x"))
    assert config.search.timing == Timing(threads=2, batch=64, warm_up=0, runtime="onnxruntime")
    assert load_config(parse_toml(toml_of(config), label="x")) == config


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("threads = 0", "threads: 0 is no whole number from 1"),
        ("rounds = 3", "rounds: 3 is no whole number from 20"),
        ('runtime = "tflite"', "allowed: auto, onnxruntime, torch"),
        ("thread = 2", "did you mean threads"),
    ],
)
def test_wrong_settings_of_latencies_are_told_with_their_key(line: str, says: str) -> None:
    text = example_text("jsc-tiny") + f"[search.strategy.hw_runner.latency]\n{line}\n"
    with pytest.raises(UserError, match=says):
        load_config(parse_toml(text, label="x"))


def test_functions_and_classes_of_a_module_go_by_their_names() -> None:
    config = load_config({"model": "jsc-tiny", "dataset": "jsc", "loss": mse_loss, "task": Regression})
    assert config.training.loss == "torch.nn.functional:mse_loss"
    assert config.task == "widthwise.metrics.quality.regression:Regression"
    assert load_config(tables_of(config)) == config
    for untold in (lambda outputs, targets: 0, partial(mse_loss)):
        with pytest.raises(UserError, match="name it module:callable, of a module that can be imported"):
            load_config({"loss": untold})
    with pytest.raises(UserError, match="--untrusted refuses"):
        load_config({"model": "jsc-tiny", "loss": mse_loss}, untrusted=True)

"""Names and options: what a config may say, and what is said where it is wrong."""

from __future__ import annotations

import inspect
import subprocess
import sys

import optuna
import pytest

from widthwise.core.errors import UserError
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import STRATEGIES, strategy, strategy_source
from widthwise.strategies.samplers import SAMPLERS

SPACE = Space((Decision("width", (2, 4, 8)), Decision("format", ("integer", "float"))))
OBJECTIVES = {"accuracy": "maximize"}

# of the samplers' parameters: deprecated, or functions and objects that a config can't say
NOT_OPTIONS = {
    "consider_prior", "prior_weight", "consider_magic_clip", "consider_endpoints", "gamma", "weights",
    "warn_independent_sampling", "warn_asynchronous_seeding", "constraints_func", "independent_sampler",
    "mutation", "crossover", "elite_population_selection_strategy", "child_generation_strategy",
    "after_trial_strategy", "reference_points", "x0", "sigma0", "restart_strategy", "inc_popsize",
    "source_trials", "consider_pruned_trials", "seed",
}  # fmt: skip


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("brute-force", "brute-force"),
        ("brute_force", "brute-force"),
        ("BruteForceSampler", "brute-force"),
        ("bruteforce", "brute-force"),
        ("TPE", "tpe"),
        ("TPESampler", "tpe"),
        ("NSGAIISampler", "nsga2"),
        ("nsga-iii", "nsga3"),
        ("CmaEsSampler", "cmaes"),
        ("cma-es", "cmaes"),
        ("GPSampler", "gp"),
        ("random_sampler", "random"),
        ("Grid", "grid"),
        ("my_package.search:Mine", "my_package.search:Mine"),
        ("optunahub/auto_sampler", "optunahub/auto_sampler"),
    ],
)
def test_spellings_of_a_name_are_one_strategy(spelling, name):
    assert strategy_source(spelling).name == name


def test_an_unknown_strategy_is_refused_with_the_nearest_name():
    with pytest.raises(
        UserError, match=r"^lab.toml: no strategy named 'brute-farce'; did you mean brute-force"
    ):
        strategy_source("brute-farce", where="lab.toml")


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_options_and_defaults_are_those_of_optunas_signature(name):
    parameters = inspect.signature(getattr(optuna.samplers, SAMPLERS[name].class_name)).parameters
    options = STRATEGIES[name].options
    assert set(options) == set(parameters) - NOT_OPTIONS
    for option, described in options.items():
        assert described.default == SAMPLERS[name].defaults.get(option, parameters[option].default)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (
            "tpe",
            {"n_startup_trails": 5},
            "no option of tpe named 'n_startup_trails'; did you mean n_startup_trials?",
        ),
        ("tpe", {"n_startup_trials": "many"}, "n_startup_trials: is 'many'; give a whole number"),
        ("tpe", {"n_startup_trials": 2.5}, "give a whole number"),
        ("tpe", {"n_startup_trials": True}, "give a whole number"),
        ("tpe", {"n_startup_trials": -1}, "give at least 0"),
        ("tpe", {"multivariate": 1}, "give true or false"),
        ("tpe", {"group": True, "multivariate": False}, "options were refused"),
        ("nsga2", {"crossover_prob": 1.5}, "give 0 to 1"),
        ("nsga2", {"population_size": 1}, "give at least 2"),
        ("qmc", {"qmc_type": "soboll"}, "allowed: 'sobol', 'halton'"),
        ("random", {"points": 3}, "random takes no options; remove points"),
        ("brute-force", {"points": 3}, "takes no options"),
        ("grid", {"points": 0}, "give at least 1"),
        ("grid", {"points": {"widht": 2}}, "no decision named 'widht'; did you mean width?"),
        ("grid", {"points": {"width": 0}}, "points.width: is 0"),
        ("local", {"starts": 0}, "give at least 1"),
        ("frontier", {"pol": 100}, "no option of frontier named 'pol'; did you mean pool?"),
        ("frontier", {"pool": 3}, "pool: is 3; give at least 16"),
        ("frontier", {"tolerance": "small"}, "tolerance: is 'small'; give a number"),
    ],
)
def test_wrong_options_are_refused_before_the_first_evaluation(name, options, said):
    with pytest.raises(UserError) as caught:
        strategy(name, SPACE, objectives=OBJECTIVES, options=options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_options_of_every_strategy_are_checked_without_making_it(name):
    source = strategy_source(name)
    with pytest.raises(UserError, match=f"lab.toml: .*{name}.*nonsense"):
        source.checked({"nonsense": 1}, where="lab.toml")
    defaults = {option: described.default for option, described in source.options.items()}
    assert source.resolved({}) == source.checked(defaults) == defaults


def test_no_objective_and_no_choice_are_refused():
    with pytest.raises(UserError, match="no objective"):
        strategy("random", SPACE, objectives={})
    with pytest.raises(UserError, match="decision empty has no choices"):
        strategy("random", Space((Decision("empty", ()),)), objectives=OBJECTIVES)


def test_checking_a_config_imports_neither_numpy_nor_optuna():
    code = (
        "import sys; from widthwise.strategies import strategy_source as s; s('tpe').checked({}); "
        "print({'numpy', 'optuna', 'torch', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

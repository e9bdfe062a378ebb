"""Optuna's samplers: what they are given and told, which spaces they refuse, and where they may come from."""

from __future__ import annotations

import sys
import types

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from widthwise.core.errors import UserError
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy
from widthwise.strategies.numbered import derived_seed
from widthwise.strategies.unrepeated import distributions

ORDERED = Space(tuple(Decision(f"d{i}", tuple(range(2, 10))) for i in range(4)))
NAMED = Space((Decision("format", ("integer", "float", "log")), Decision("width", (4, 8))))
ONE = {"accuracy": "maximize"}
TWO = {"accuracy": "maximize", "model_size": "minimize"}


def peak(candidates):
    """[k, 1]: best at the choices 5, 2, 6, 3."""
    return -np.abs(candidates - np.array([5, 2, 6, 3])).sum(axis=1, keepdims=True).astype(float)


def run(made, n, function=peak, batch=1):
    values = []
    for _ in range(n):
        candidates = made.ask(batch)
        found = function(candidates)
        made.tell(candidates, found)
        values.append(found)
    return np.concatenate(values)


def test_numbers_in_order_are_given_as_ordered_and_names_as_categories():
    space = Space((*NAMED.decisions, Decision("downwards", (8, 4)), Decision("one", (3,))))
    assert distributions(space) == {
        "format": CategoricalDistribution((0, 1, 2)),
        "width": IntDistribution(0, 1),
        "downwards": CategoricalDistribution((0, 1)),
    }


@pytest.mark.parametrize("name", ["tpe", "nsga2", "cmaes"])
def test_samplers_learn_from_what_they_are_told(name):
    options = {"population_size": 10} if name == "nsga2" else {}
    learned, random = (
        np.median(
            [
                run(strategy(which, ORDERED, objectives=ONE, seed=s, options=o), 120)[60:].mean()
                for s in range(3)
            ]
        )
        for which, o in ((name, options), ("random", {}))
    )
    assert learned > random + 1.5


def test_a_search_is_optunas_own_where_nothing_repeats():
    made = strategy("tpe", ORDERED, objectives=ONE, seed=11)
    ours = []
    for _ in range(40):
        candidates = made.ask(1)
        made.tell(candidates, peak(candidates))
        ours.append(candidates[0].tolist())
    study = optuna.create_study(direction="maximize")
    theirs = []
    for number in range(40):
        seed = derived_seed(11, number)  # of each proposal
        study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
        trial = study.ask(distributions(ORDERED))
        theirs.append([trial.params[f"d{i}"] for i in range(4)])
        study.tell(trial, float(peak(np.array(theirs[-1:]))[0, 0]))
    repeated = next((i for i, row in enumerate(theirs) if row in theirs[:i]), 40)
    assert repeated > 15  # the model has been at work for some trials
    assert ours[:repeated] == theirs[:repeated]


def test_failures_are_failed_trials_and_all_objectives_are_maximised():
    made = strategy("tpe", NAMED, objectives=TWO)
    candidates = made.ask(3)
    made.tell(candidates, np.array([[1.0, -5.0], [np.nan, -5.0], [2.0, -7.0]]))
    study = made._study
    assert [trial.state for trial in study.trials] == [
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.COMPLETE,
    ]
    assert len(study.best_trials) == 2
    assert {direction.name for direction in study.directions} == {"MAXIMIZE"}


def test_a_replaced_proposal_is_what_the_sampler_is_told_of():
    made = strategy("nsga2", NAMED, objectives=TWO, options={"population_size": 2})
    proposed = np.concatenate([made.ask(1) for _ in range(6)])
    made.tell(proposed, np.arange(12.0).reshape(6, 2))
    trials = [[trial.params["format"], trial.params["width"]] for trial in made._study.trials]
    assert trials == proposed.tolist()
    assert [trial.values for trial in made._study.trials] == np.arange(12.0).reshape(6, 2).tolist()


def test_a_generation_is_the_natural_batch():
    assert strategy("nsga2", NAMED, objectives=TWO).batch == 50
    assert strategy("nsga3", NAMED, objectives=TWO, options={"population_size": 8}).batch == 8
    assert strategy("cmaes", ORDERED, objectives=ONE).batch == 8
    assert strategy("tpe", NAMED, objectives=TWO).batch == 1


@pytest.mark.parametrize(
    ("name", "space", "objectives", "said"),
    [
        ("cmaes", ORDERED, TWO, "takes one objective, found 2; combine them"),
        ("cmaes", NAMED, ONE, "needs numbers in ascending order in every decision; format have others"),
        ("cmaes", Space((Decision("a", (1, 2)),)), ONE, "needs 2 decisions"),
        (
            "gp",
            Space((Decision("f", tuple(f"format {i}" for i in range(100_000))),)),
            TWO,
            "takes up to 500 choices without an order in a decision; f has 100,000",
        ),
        ("gp", Space(tuple(Decision(f"d{i}", (1, 2)) for i in range(501))), TWO, "takes up to 500 decisions"),
        (
            "tpe",
            Space((Decision("f", tuple(f"format {i}" for i in range(100_000))),)),
            TWO,
            "takes up to 10,000 choices",
        ),
    ],
)
def test_spaces_it_cannot_handle_are_refused_before_the_first_evaluation(name, space, objectives, said):
    with pytest.raises(UserError) as caught:
        strategy(name, space, objectives=objectives)
    assert said in str(caught.value)
    assert "use " in str(caught.value)


def test_a_gaussian_process_leaves_the_number_of_threads_as_it_was():
    import torch

    before = torch.get_num_threads()
    run(strategy("gp", ORDERED, objectives=ONE, options={"n_startup_trials": 2}), 3)
    assert torch.get_num_threads() == before


def test_any_sampler_of_optuna_may_be_given():
    sampler = optuna.samplers.RandomSampler(seed=1)
    made = strategy(sampler, NAMED, objectives=TWO)
    rows = np.concatenate([made.ask(2) for _ in range(4)])
    assert sorted(NAMED.positions(rows)) == list(range(6))
    with pytest.raises(UserError, match="takes its options when it is made"):
        strategy(sampler, NAMED, objectives=TWO, options={"seed": 1})
    with pytest.raises(UserError, match="is a int; give a name or an Optuna sampler"):
        strategy(3, NAMED, objectives=TWO)


def test_without_optunahub_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optunahub", None)
    with pytest.raises(UserError, match="pip install optunahub"):
        strategy("optunahub/auto_sampler", NAMED, objectives=TWO)


@pytest.mark.parametrize("name", ["optunahub/../../etc", "optunahub/", "optunahub//x", "optunahub/a b"])
def test_a_hub_name_is_never_a_path(name):
    with pytest.raises(UserError, match="give a package of OptunaHub"):
        strategy(name, NAMED, objectives=TWO)


class HubSampler(optuna.samplers.RandomSampler):
    def __init__(self, seed=None, depth=1):
        super().__init__(seed=seed)
        self.depth = depth


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for the package optunahub, which downloads from the network."""

    def load_module(package):
        if package != "samplers/deep":
            raise ModuleNotFoundError(f"no {package}")
        base = type("SimpleBaseSampler", (HubSampler,), {"__module__": "optunahub.samplers"})
        return types.SimpleNamespace(
            HubSampler=HubSampler, TPESampler=optuna.samplers.TPESampler, SimpleBaseSampler=base
        )

    module = types.ModuleType("optunahub")
    module.__spec__ = types.SimpleNamespace(name="optunahub")
    module.load_module = load_module
    monkeypatch.setitem(sys.modules, "optunahub", module)


@pytest.mark.usefixtures("hub")
def test_samplers_of_the_hub_come_by_name_with_options():
    made = strategy("optunahub/deep", NAMED, objectives=TWO, options={"depth": 3})
    assert made._sampler.sampler.depth == 3
    assert len(made.ask(10)) == 6
    named = strategy("optunahub/samplers/deep:HubSampler", NAMED, objectives=TWO)
    assert isinstance(named._sampler.sampler, HubSampler)
    with pytest.raises(UserError, match="no option of optunahub/deep named 'deph'; did you mean depth"):
        strategy("optunahub/deep", NAMED, objectives=TWO, options={"deph": 3})
    with pytest.raises(UserError, match="OptunaHub could not load it: ModuleNotFoundError"):
        strategy("optunahub/shallow", NAMED, objectives=TWO)


def test_cmaes_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(UserError, match="pip install cmaes"):
        strategy("cmaes", ORDERED, objectives=ONE)


def test_optuna_writes_nothing(capfd):
    made = strategy("tpe", NAMED, objectives=TWO)
    run(made, 3, lambda candidates: np.ones((len(candidates), 2)))
    assert capfd.readouterr() == ("", "")

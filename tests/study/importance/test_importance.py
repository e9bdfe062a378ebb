"""Importance of decisions: closed forms, brute-force ANOVA, known interactions, fits of honest quality."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import searches
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Results
from widthwise.report.importance import caution_lines
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.spaces.space import Decision, Space
from widthwise.study.importance import importance
from widthwise.study.importance.exact import exact_effects, exact_layers, is_complete
from widthwise.study.importance.fitted import NOISES, PAIR_WEIGHTS, fitted_effects, fitted_layers
from widthwise.study.importance.sensitivity import largest, sensitivity, smallest
from widthwise.study.run_folder import load_run


def _all(counts):
    """All combinations, the last decision fastest, [n, D]."""
    return np.array(list(itertools.product(*(range(count) for count in counts))), dtype=np.int64)


def _anova(table):
    """Variances of every effect of a table [n_1, ..., n_D] by subset, straight from the definition."""
    axes = range(table.ndim)
    parts, variances = {}, {}
    for size in range(table.ndim + 1):
        for subset in itertools.combinations(axes, size):
            others = tuple(axis for axis in axes if axis not in subset)
            average = table.mean(axis=others, keepdims=True)
            below = [parts[s] for k in range(size) for s in itertools.combinations(subset, k)]
            parts[subset] = average - sum(below) if below else average
            variances[subset] = float((np.broadcast_to(parts[subset], table.shape) ** 2).mean())
    return parts, variances


tables = st.lists(st.integers(2, 4), min_size=1, max_size=4).flatmap(
    lambda counts: st.tuples(st.just(counts), st.integers(0, 10**6))
)


@given(tables)
def test_exact_shares_are_those_of_the_definition(given_table):
    counts, seed = given_table
    table = np.random.default_rng(seed).normal(size=counts) * 3 + 7
    rng = np.random.default_rng(seed + 1)
    order = rng.permutation(table.size)
    codes = _all(counts)[order]
    found = exact_effects("accuracy", codes, np.array(counts), table.reshape(-1)[order])
    parts, variances = _anova(table)
    whole = table.var()
    assert found.mean == pytest.approx(table.mean())
    assert found.variance == pytest.approx(whole)
    for i in range(len(counts)):
        assert found.main[i] == pytest.approx(variances[(i,)] / whole)
        assert found.by_choice[i] == pytest.approx(parts[(i,)].reshape(-1))
        involved = sum(v for subset, v in variances.items() if i in subset)
        assert found.total[i] == pytest.approx(involved / whole)
        for j in range(len(counts)):
            expected = variances[tuple(sorted((i, j)))] / whole if i != j else 0
            assert found.pairs[i, j] == pytest.approx(expected)
    higher = sum(v for subset, v in variances.items() if len(subset) > 2)
    assert found.rest == pytest.approx(higher / whole, abs=1e-9)


@given(tables, st.data())
def test_exact_shares_of_layers_are_those_of_the_definition(given_table, data):
    counts, seed = given_table
    table = np.random.default_rng(seed).normal(size=counts) - 2
    owners = [data.draw(st.integers(0, 1)) for _ in counts]
    layers = [[i for i, owner in enumerate(owners) if owner == layer] for layer in sorted(set(owners))]
    alone, total = exact_layers(_all(counts), np.array(counts), table.reshape(-1), layers)
    _, variances = _anova(table)
    for layer, own, whole in zip(layers, alone, total, strict=True):
        inside = sum(v for subset, v in variances.items() if subset and set(subset) <= set(layer))
        touched = sum(v for subset, v in variances.items() if set(subset) & set(layer))
        assert own == pytest.approx(inside / table.var())
        assert whole == pytest.approx(touched / table.var())


def test_fitted_shares_of_layers_are_the_sums_of_their_decisions_and_pairs():
    rng = np.random.default_rng(7)
    counts = np.array([3, 2, 4])
    codes = rng.integers(0, counts, size=(40, 3))
    found = fitted_effects("x", codes, counts, codes[:, 0] * codes[:, 1] - codes[:, 2] * codes[:, 1] + 0.0)
    alone, total = fitted_layers(found, [(0, 1), (2,)])
    assert found.pairs.all(where=~np.eye(3, dtype=bool))
    assert alone == pytest.approx([found.main[0] + found.main[1] + found.pairs[0, 1], found.main[2]])
    crossing = found.pairs[0, 2] + found.pairs[1, 2]
    assert total == pytest.approx(alone + crossing)
    assert alone.sum() + crossing == pytest.approx(1)


def test_a_fit_gives_a_decision_without_effect_none_at_all():
    rng = np.random.default_rng(8)
    counts = np.array([4, 3, 2])
    codes = rng.integers(0, counts, size=(60, 3))
    values = 2799.67 + np.array([-768.0, -256, 256, 768])[codes[:, 0]] + np.array([-21.0, 5, 16])[codes[:, 1]]
    found = fitted_effects("model_size", codes, counts, values)
    assert found.by_choice[0] == pytest.approx([-768, -256, 256, 768], abs=0.01)
    assert found.by_choice[2].tolist() == [0, 0]
    assert (found.main[2], found.total[2], found.pairs.any()) == (0, 0, False)


def test_main_effects_are_those_that_optunas_fanova_finds(tmp_path):
    import optuna

    found = importance(_ran(tmp_path / "run"), metrics=["accuracy"]).effects[0]
    table = searches.Evaluator()(_all([3] * 6))["accuracy"]
    kinds = {str(i): optuna.distributions.CategoricalDistribution((0, 1, 2)) for i in range(6)}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    study.add_trials(
        optuna.create_trial(
            params={str(i): choice for i, choice in enumerate(row)}, distributions=kinds, value=value
        )
        for row, value in zip(_all([3] * 6).tolist(), table.tolist(), strict=True)
    )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0, n_trees=8)
    other = evaluator.evaluate(study)  # of a forest that has seen part of the table
    assert [other[str(i)] for i in range(6)] == pytest.approx(found.main.tolist(), abs=0.08)
    assert sorted(other, key=other.__getitem__)[2:] == [str(i) for i in np.argsort(found.main)[2:]]


def test_an_additive_function_has_the_shares_of_its_parts():
    counts = [2, 3, 4]
    parts = [np.array([0.0, 4.0]), np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 0.0, 1.0])]
    codes = _all(counts)
    values = sum(part[codes[:, i]] for i, part in enumerate(parts))
    found = exact_effects("loss", codes, np.array(counts), values)
    variances = np.array([part.var() for part in parts])  # 4, 2/3, 3/16
    assert found.main == pytest.approx(variances / variances.sum())
    assert found.total == pytest.approx(found.main)
    assert not found.pairs.any()
    assert found.by_choice[0] == pytest.approx([-2.0, 2.0])


def test_a_decision_without_effect_has_none_at_all():
    codes = _all([3, 4, 2])
    values = 2799.67 + np.array([0.1, 0.2, 768.3])[codes[:, 0]] + np.array([0.3, 0.7])[codes[:, 2]]
    found = exact_effects("model_size", codes, np.array([3, 4, 2]), values)
    assert found.by_choice[1].tolist() == [0, 0, 0, 0]
    assert (found.main[1], found.total[1], found.pairs.any()) == (0, 0, False)


def test_a_product_of_signs_is_all_interaction():
    codes = _all([2, 2, 2])
    signs = codes * 2 - 1
    two = exact_effects("loss", codes, np.array([2, 2, 2]), 5.0 + signs[:, 0] * signs[:, 2])
    assert two.main.tolist() == [0, 0, 0]
    assert two.pairs[0, 2] == two.pairs[2, 0] == 1.0
    assert two.total.tolist() == [1, 0, 1]
    three = exact_effects("loss", codes, np.array([2, 2, 2]), signs.prod(axis=1).astype(float))
    assert (three.pairs.any(), three.rest, three.total.tolist()) == (False, 1.0, [1, 1, 1])


def test_a_metric_that_never_changes_has_no_shares():
    for effects in (exact_effects, fitted_effects):
        found = effects("loss", _all([3, 3]), np.array([3, 3]), np.full(9, 0.1))
        assert (found.variance, found.main.tolist(), found.rest) == (0.0, [0, 0], 0.0)


@given(tables)
def test_a_fit_to_everything_finds_the_shares_of_singles_and_pairs(given_table):
    counts, seed = given_table
    rng = np.random.default_rng(seed)
    table = sum(
        rng.normal(size=[n if axis in subset else 1 for axis, n in enumerate(counts)])
        for size in (1, 2)
        for subset in itertools.combinations(range(len(counts)), size)
    )
    table = np.broadcast_to(table, counts)
    codes, values = np.repeat(_all(counts), 2, axis=0), np.repeat(table.reshape(-1), 2)
    # twice each, so that leaving one out is no loss and the least ridge wins
    found = fitted_effects("accuracy", codes, np.array(counts), values)
    exact = exact_effects("accuracy", _all(counts), np.array(counts), table.reshape(-1))
    assert found.fit == pytest.approx(1, abs=1e-3)
    assert found.main == pytest.approx(exact.main, abs=2e-3)
    assert found.pairs == pytest.approx(exact.pairs, abs=2e-3)
    assert found.mean == pytest.approx(exact.mean, abs=2e-2 * table.std())
    for fitted, true in zip(found.by_choice, exact.by_choice, strict=True):
        assert fitted == pytest.approx(true, abs=2e-2 * table.std())


def test_a_fit_to_some_of_an_additive_function_is_nearly_exact_and_says_so():
    rng = np.random.default_rng(0)
    counts = np.array([2, 3, 4] * 4)
    weights = [rng.normal(size=count) * (i + 1) for i, count in enumerate(counts)]
    codes = rng.integers(0, counts, size=(150, len(counts)))
    values = sum(weight[codes[:, i]] for i, weight in enumerate(weights))
    found = fitted_effects("accuracy", codes, counts, values)
    variances = np.array([weight.var() for weight in weights])
    assert found.fit > 0.99
    assert found.main == pytest.approx(variances / variances.sum(), abs=0.01)
    assert found.pairs.sum() / 2 < 0.01


def test_a_fit_finds_the_one_interaction_there_is():
    rng = np.random.default_rng(1)
    counts = np.full(8, 3)
    codes = rng.integers(0, 3, size=(200, 8))
    values = codes[:, 0] + 2.0 * (codes[:, 2] == 0) * (codes[:, 5] == 2)
    found = fitted_effects("accuracy", codes, counts, values)
    exact = exact_effects(
        "x",
        _all([3, 3, 3]),
        np.full(3, 3),
        np.array([a + 2.0 * (b == 0) * (c == 2) for a, b, c in _all([3] * 3)]),
    )
    assert found.fit > 0.9
    assert np.unravel_index(found.pairs.argmax(), found.pairs.shape) in ((2, 5), (5, 2))
    assert found.pairs[2, 5] == pytest.approx(exact.pairs[1, 2], abs=0.05)


def test_a_fit_to_noise_says_that_it_predicts_nothing():
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 3, size=(60, 10))
    found = fitted_effects("accuracy", codes, np.full(10, 3), rng.normal(size=60))
    assert found.fit < 0.2


def _predicted_without(row, codes, counts, values, weight, noise):
    """What the same model, fitted to the others, predicts for one row; written out from its definition."""
    d = len(counts)
    same = codes[:, None, :] == codes[None, :, :]
    single = (same * counts - 1) / (counts - 1)
    pairs = sum(single[:, :, i] * single[:, :, j] for i in range(d) for j in range(i + 1, d))
    kernel = (single.sum(axis=2) / d + weight * pairs / (d * (d - 1) / 2)) / (1 + weight) + 1
    others = np.arange(len(values)) != row
    dual = np.linalg.solve(kernel[others][:, others] + noise * np.eye(others.sum()), values[others])
    return kernel[row, others] @ dual


def test_the_fit_is_the_best_of_really_leaving_out_each_trial():
    rng = np.random.default_rng(3)
    counts = np.array([3, 2, 4])
    codes = rng.integers(0, counts, size=(18, 3))
    values = codes @ np.array([1.0, -2.0, 0.5]) + rng.normal(size=18)
    scaled = (values - values.mean()) / values.std()
    errors = []
    for weight, noise in itertools.product(PAIR_WEIGHTS, [n for n in NOISES if n >= 1e-4]):
        predictions = [_predicted_without(row, codes, counts, scaled, weight, noise) for row in range(18)]
        errors.append(((scaled - predictions) ** 2).mean())
    means = [(scaled.sum() - value) / 17 for value in scaled]
    expected = 1 - min(errors) / ((scaled - means) ** 2).mean()
    assert fitted_effects("x", codes, counts, values).fit == pytest.approx(expected, abs=1e-4)


def test_decisions_in_another_order_have_the_same_shares():
    rng = np.random.default_rng(4)
    counts = np.array([3, 2, 4, 3])
    codes = rng.integers(0, counts, size=(60, 4))
    values = codes[:, 0] * codes[:, 2] + rng.normal(size=60)
    order = np.array([2, 0, 3, 1])
    first = fitted_effects("x", codes, counts, values)
    second = fitted_effects("x", codes[:, order], counts[order], values)
    assert second.total == pytest.approx(first.total[order], abs=1e-6)


def test_complete_is_all_combinations_once():
    codes = _all([2, 3])
    assert is_complete(codes, np.array([2, 3]))
    assert not is_complete(codes[:-1], np.array([2, 3]))
    assert not is_complete(np.concatenate([codes[:-1], codes[:1]]), np.array([2, 3]))


def _ran(folder, name="brute-force", **options):
    searches.search(folder, name, **options)
    return load_run(folder)


def test_a_run_of_everything_is_exact(tmp_path):
    found = importance(_ran(tmp_path / "run"))
    assert [effects.metric for effects in found.effects] == ["accuracy", "model_size"]
    assert {effects.method for effects in found.effects} == {"exact"}
    assert (found.trials, found.left_out, found.size) == (729, 0, 729)
    accuracy, size = found.effects
    assert size.main == pytest.approx(np.full(6, 1 / 6))  # a sum of the widths
    assert not size.pairs.any()
    assert found.ranked(accuracy) == [5, 4, 2, 0, 1, 3]  # as the sample's weights 3, 1, 4, 1, 5, 9
    table = searches.Evaluator()(_all([3] * 6))["accuracy"]
    _, variances = _anova(table.reshape([3] * 6))
    assert accuracy.main[5] == pytest.approx(variances[(5,)] / table.var())
    assert found.choices[0] == (2, 4, 8)


def test_a_run_of_some_is_estimated_near_the_truth(tmp_path):
    whole = importance(_ran(tmp_path / "whole"))
    some = importance(_ran(tmp_path / "some", "random", limits=Limits(trials=120)))
    for exact, fitted in zip(whole.effects, some.effects, strict=True):
        assert fitted.method == "fitted"
        assert fitted.fit > 0.95
        assert fitted.main == pytest.approx(exact.main, abs=0.05)


def test_metrics_can_be_named_and_must_be_stored(tmp_path):
    study = _ran(tmp_path / "run")
    (effects,) = importance(study, metrics=["model_size"]).effects
    assert effects.metric == "model_size"
    for every in ("all", ["all"]):
        assert [e.metric for e in importance(study, metrics=every).effects] == ["accuracy", "model_size"]
    with pytest.raises(UserError, match="no metric named 'acuracy'; did you mean accuracy"):
        importance(study, metrics=["acuracy"])


def test_failed_trials_are_left_out_whatever_metrics_they_have(tmp_path):
    class Failing(searches.Evaluator):
        def __call__(self, candidates):
            results = super().__call__(candidates)
            rows = np.flatnonzero(candidates[:, 0] == 0).tolist()
            accuracy = np.where(candidates[:, 0] == 0, 1e6, results["accuracy"])
            return Results({**results, "accuracy": accuracy}, dict.fromkeys(rows, "broken"))

    with searches.start_or_resume(tmp_path / "run") as run:
        run_search(searches.make_strategy(), Failing(), run.writer, limits=Limits(max_failures=None))
    found = importance(load_run(tmp_path / "run"))
    assert (found.trials, found.left_out) == (486, 243)
    assert found.choices[0] == (4, 8)  # of all combinations of what is left it is exact
    assert found.effects[0].method == "exact"
    assert found.effects[0].mean < 1


def test_a_run_that_kept_its_front_alone_says_so(tmp_path):
    found = importance(_ran(tmp_path / "run", keep="front", batch_size=9))
    assert found.not_kept == 729 - found.trials - found.left_out > 0
    assert found.as_json()["not_kept"] == found.not_kept
    warned = caution_lines(found)
    assert warned[0].startswith(f"only trials of the front were kept ({found.not_kept} others not)")
    assert not any("evaluated" in line for line in warned[1:])
    assert importance(_ran(tmp_path / "all")).not_kept == 0


def test_too_few_trials_tell_nothing(tmp_path):
    study = _ran(tmp_path / "run", "random", limits=Limits(trials=4))
    with pytest.raises(UserError, match="only 4 trials succeeded, too few"):
        importance(study)


def test_the_largest_has_the_greatest_numbers_and_the_first_of_what_is_no_number():
    space = Space(
        (
            Decision("a", (2, 4)),
            Decision("b", ("integer", "float")),
            Decision("c", (4, 8, 2)),
            Decision("d", (True, False)),
        )
    )
    assert largest(space).tolist() == [1, 0, 1, 0]
    assert smallest(space).tolist() == [0, 0, 2, 0]


def test_a_layer_at_its_smallest_is_the_trial_with_all_others_at_their_largest():
    space = Space(
        tuple(Decision(f"{layer}/{key}", (2, 4, 8)) for layer in ("one", "two") for key in ("data", "weight"))
    )
    candidates = space.at(range(space.size))
    metrics = (candidates @ np.array([1.0, 2, 4, 8]))[:, None]
    found = sensitivity(space, np.arange(81), candidates, metrics, ["loss"])
    expected = [space.positions(np.array([row]))[0] for row in ([0, 0, 2, 2], [2, 2, 0, 0])]
    assert [change.layer for change in found.layers] == ["one", "two"]
    assert [change.trial for change in found.layers] == expected
    assert [change.differences["loss"] for change in found.layers] == [-6, -24]
    some = sensitivity(space, np.arange(30, 81), candidates[30:], metrics[30:], ["loss"])
    assert [change.layer for change in some.layers] == ["two"]


def test_a_difference_that_is_only_rounding_is_none():
    space = Space((Decision("a", (2, 4)),))
    found = sensitivity(space, np.arange(2), space.at(range(2)), np.array([[0.1 + 0.2], [0.3]]), ["loss"])
    assert found.changes[0].differences == {"loss": 0.0}


def test_single_changes_are_all_trials_that_differ_once_from_the_largest():
    space = replace(searches.SPACE, decisions=searches.SPACE.decisions[:3])
    candidates = space.at(range(space.size))
    metrics = np.arange(27.0)[:, None] ** 2
    found = sensitivity(space, np.arange(100, 127), candidates, metrics, ["loss"])
    assert (found.base, found.metrics, found.missing) == (126, {"loss": 676.0}, 0)
    expected = {
        (decision.name, choice): 100 + space.positions(np.array([row]))[0]
        for column, decision in enumerate(space.decisions)
        for index, choice in enumerate(decision.choices[:-1])
        for row in [[index if i == column else 2 for i in range(3)]]
    }
    assert {(c.decision, c.choice): c.trial for c in found.changes} == expected
    for change in found.changes:
        assert change.differences["loss"] == (change.trial - 100) ** 2 - 676
    some = sensitivity(space, np.arange(26, 12, -1), candidates[:12:-1], metrics[:12:-1], ["loss"])
    assert some.missing == 6 - len(some.changes) > 0


def test_without_the_largest_there_are_no_single_changes():
    space = searches.SPACE
    found = sensitivity(space, np.arange(5), space.at(range(5)), np.zeros((5, 1)), ["loss"])
    assert (found.base, found.changes) == (None, ())

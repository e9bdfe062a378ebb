"""Frontier's models: the kernel, the process and what is expected of objectives, against direct formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import multivariate_normal, norm

from widthwise.metrics.quality.follows import Follows, figure
from widthwise.spaces.space import Decision, Space
from widthwise.strategies.frontier.kernel import Kernel
from widthwise.strategies.frontier.model import AT_ONCE, EXPECTED, SPREADS, answer_model, value_model
from widthwise.strategies.frontier.process import Process, _misfit, fit, prior

WIDTHS = (2, 3, 4, 6, 8)


def mixed_space() -> Space:
    return Space(
        (Decision("a", WIDTHS), Decision("b", ("x", "y", "z")), Decision("c", (1,)), Decision("d", (2, 8)))
    )


def test_the_kernel_is_the_product_of_its_tables():
    space, rng = mixed_space(), np.random.default_rng(0)
    kernel = Kernel(space)
    parameters = rng.normal(size=kernel.size)
    rows = space.sample(12, rng)
    tables = kernel.tables(parameters)
    shown = kernel.encode(rows)
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            value = 1.0
            for d, (a, b) in enumerate(zip(one, other, strict=True)):
                apart = np.exp(parameters[kernel.step_starts[d] :][min(a, b) : max(a, b)]).sum()
                decay = (
                    np.exp(-apart)
                    if space.decisions[d].ordered and len(space.decisions[d].choices) > 1
                    else a == b
                )
                value *= 1 - tables.weights[d] * (1 - decay)
            assert np.exp(shown @ tables.log @ shown.T)[i, j] == pytest.approx(value)


@pytest.mark.parametrize("columns", [1, 4, 40])
def test_the_gradient_of_the_fit_is_right(columns):
    space, rng = mixed_space(), np.random.default_rng(1)
    kernel = Kernel(space)
    shown, outputs = kernel.encode(space.sample(15, rng)), rng.normal(size=(15, columns))
    products = outputs @ outputs.T
    for _ in range(3):
        at = prior(kernel)[0] + 0.3 * rng.normal(size=kernel.size + 2)
        gradient = _misfit(kernel, shown, products, at)[1]
        value, slope = (lambda p, k=k: _misfit(kernel, shown, products, p)[k] for k in (0, 1))
        off = check_grad(value, slope, at)
        assert off < 1e-4 * np.abs(gradient).max()


def test_expecting_is_what_a_model_told_the_expectation_would_predict():
    space, rng = mixed_space(), np.random.default_rng(2)
    kernel = Kernel(space)
    rows = space.at([0, 3, 7, 12, 20, 26, 29])
    values = rng.normal(size=7)
    parameters = fit(kernel, rows, values[:, None], iterations=20)
    model = value_model(Process(kernel, rows, values[:, None], parameters))
    others = space.at([1, 2, 10, 15, 28])
    before = model.predict(others)
    after = model.expecting(before, others, 2)
    # the model again by its formulas, with one row more
    told = np.concatenate([rows, others[2:3]])
    table = np.exp(parameters[-2]) * np.exp(
        kernel.encode(told) @ kernel.tables(parameters[:-2]).log @ kernel.encode(told).T
    )
    cross = np.exp(parameters[-2]) * np.exp(
        kernel.encode(others) @ kernel.tables(parameters[:-2]).log @ kernel.encode(told).T
    )
    solved = np.linalg.solve(table + np.exp(parameters[-1]) * np.eye(8), cross.T)
    outputs = np.append(values, before.mean[2]) - values.mean()
    doubt = values.std() ** 2 * (np.exp(parameters[-2]) - (cross * solved.T).sum(axis=1))
    assert after.variance == pytest.approx(doubt, abs=1e-6)
    assert after.mean == pytest.approx(values.mean() + outputs @ solved, abs=1e-5)


@pytest.mark.parametrize("columns", [1, 3])
def test_the_misfit_is_the_likelihood_of_all_columns(columns):
    space, rng = mixed_space(), np.random.default_rng(5)
    kernel = Kernel(space)
    shown, outputs = kernel.encode(space.at(range(0, 30, 3))), rng.normal(size=(10, columns))
    at = prior(kernel)[0] + 0.3 * rng.normal(size=kernel.size + 2)
    covariance = np.exp(at[-2]) * np.exp(shown @ kernel.tables(at[:-2]).log @ shown.T)
    direct = [multivariate_normal.logpdf(y, cov=covariance + np.exp(at[-1]) * np.eye(10)) for y in outputs.T]
    offset = 0.5 * 10 * np.log(2 * np.pi)
    found = _misfit(kernel, shown, outputs @ outputs.T / columns, at)[0]
    assert found == pytest.approx(-np.mean(direct) - offset, rel=1e-5)


def test_columns_that_say_the_same_count_once():
    space, rng = mixed_space(), np.random.default_rng(6)
    kernel, rows = Kernel(space), space.at(range(0, 30, 2))
    one = rng.normal(size=(15, 1))
    alone = fit(kernel, rows, one, iterations=50)
    assert fit(kernel, rows, np.repeat(one, 7, axis=1) * 3.0 + 1.0, iterations=50) == pytest.approx(alone)
    assert np.isfinite(fit(kernel, rows, np.ones((15, 4)), iterations=50)).all()  # nothing to learn from


def process_of(rows: np.ndarray, outputs: np.ndarray, space: Space) -> Process:
    kernel = Kernel(space)
    return Process(kernel, rows, outputs, fit(kernel, rows, outputs, iterations=30))


def test_what_is_expected_of_one_left_out_is_what_the_others_predict():
    space, rng = mixed_space(), np.random.default_rng(3)
    rows, outputs = space.at(range(0, 30, 3)), rng.normal(size=(10, 4))
    kernel = Kernel(space)
    parameters = fit(kernel, rows, outputs, iterations=30)
    outputs -= outputs.mean(axis=0)  # so that the centre is that of all
    expected, variance = Process(kernel, rows, outputs, parameters).left_out
    for out in range(10):
        others = np.delete(np.arange(10), out)
        shown, alone = kernel.encode(rows[others]), kernel.encode(rows[[out]])
        log, scale, noise = kernel.tables(parameters[:-2]).log, *np.exp(parameters[-2:])
        covariance = scale * np.exp(shown @ log @ shown.T) + (noise + 1e-8) * np.eye(9)
        solved = np.linalg.solve(covariance, scale * np.exp(shown @ log @ alone.T))[:, 0]
        assert expected[out] == pytest.approx(solved @ outputs[others], abs=1e-6)
        left = scale + noise + 1e-8 - scale * np.exp(alone @ log @ shown.T)[0] @ solved
        assert variance[out] == pytest.approx(left, abs=1e-6)


def layers(samples: int, seed: int) -> tuple[Space, np.ndarray, np.ndarray]:
    """A space, and margins [size, samples] that each decision adds to, with some give and take in pairs."""
    space, rng = Space(tuple(Decision(f"d{i}", WIDTHS) for i in range(4))), np.random.default_rng(seed)
    every = space.at(range(space.size))
    harm = np.cumsum(rng.exponential(0.2, size=(4, 5, 1)), axis=1)[:, ::-1] * rng.normal(
        1, 1, (4, 1, samples)
    )
    margins = rng.gamma(3.0, 0.4, samples) - sum(harm[d, every[:, d]] for d in range(4))
    return space, every, margins + 0.05 * np.sin(every @ rng.normal(size=(4, samples)))


EVERY_LINK = [
    ("right", "sum"),
    ("square", "sum"),
    ("square", "root"),
    ("square", "decibels"),
    ("absolute", "sum"),
]


@pytest.mark.parametrize(("of", "then"), EVERY_LINK)
@pytest.mark.parametrize("weighted", [False, True])
def test_answers_predict_an_objective_better_than_its_values_do(of, then, weighted):
    off: dict[str, list[float]] = {"answers": [], "values": []}
    for seed in range(4):
        space, every, margins = layers(200, seed)
        rng = np.random.default_rng(seed)
        shares = rng.dirichlet(np.ones(200)) if weighted else np.full(200, 1 / 200)
        follows = Follows(shares, of, then)
        truth = figure(follows, margins) + 3.0
        told = rng.permutation(space.size)[:30]
        by_answers = answer_model(
            process_of(every[told], margins[told], space), follows, truth[told], doubt=1.0
        )
        by_values = value_model(process_of(every[told], truth[told, None], space))
        for name, model in (("answers", by_answers), ("values", by_values)):
            off[name].append(float(np.sqrt(np.mean((model.predict(every).mean - truth) ** 2))))
    assert np.median(off["answers"]) < 0.6 * np.median(off["values"])


@pytest.mark.parametrize(("of", "then"), EVERY_LINK)
def test_figures_follow_from_the_samples_as_the_link_says(of, then):
    values, shares = np.array([[-2.0, 1.0, 3.0], [0.5, 0.0, -1.0]]), np.array([0.5, 0.25, 0.125])
    sums = {"right": [0.375, 0.5], "square": [3.375, 0.25], "absolute": [1.625, 0.375]}[of]
    expected = {"sum": sums, "root": np.sqrt(sums), "decibels": -10 * np.log10(sums)}[then]
    assert figure(Follows(shares, of, then, factor=-2.0), values) == pytest.approx(-2 * np.array(expected))


@pytest.mark.parametrize("of", ["square", "absolute"])
def test_what_is_expected_of_a_normal_value_is_its_mean_over_many(of):
    rng = np.random.default_rng(0)
    mean, deviation = np.array([[-3.0, 0.0, 0.2]], dtype=np.float32), np.array([[0.7]], dtype=np.float32)
    drawn = rng.normal(mean, deviation, (200_000, 3))
    direct = (drawn**2 if of == "square" else np.abs(drawn)).mean(axis=0)
    assert EXPECTED[of](mean, deviation)[0] == pytest.approx(direct, rel=0.01)


def test_expected_is_the_sum_of_chances():
    space, every, margins = layers(60, 1)
    told, rng = np.arange(0, 625, 20), np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(60))
    truth = (margins > 0) @ shares + 0.125  # judged on other samples too
    process = process_of(every[told], margins[told], space)
    found = answer_model(process, Follows(shares), truth[told], doubt=0.25).predict(every)

    def by_chances(outputs, variance, spread):
        deviations = process.sizes * np.sqrt(spread * variance)[:, None]
        return norm.sf(0, loc=outputs, scale=deviations) @ shares + 0.125

    outputs, variance = process.left_out
    errors = {spread: truth[told] - by_chances(outputs, variance, spread) for spread in SPREADS}
    spread = min(errors, key=lambda spread: np.mean(errors[spread] ** 2))
    reach = process.reach(every)
    each = process.centre + reach.cross.T @ process.weights  # [P, S]
    assert len(every) > AT_ONCE
    assert found.mean == pytest.approx(by_chances(each, reach.variance, spread), abs=1e-4)
    square = 0.25 * np.mean(errors[spread] ** 2 / variance)
    assert found.variance == pytest.approx(square * reach.variance, rel=1e-4)


def test_what_is_far_from_all_that_was_told_is_not_expected_to_be_right_by_half():
    """Single changes of many decisions are known: that many of them leave nearly nothing is foreseen."""
    space, rng = Space(tuple(Decision(f"d{i}", WIDTHS) for i in range(30))), np.random.default_rng(0)
    harm = rng.exponential(0.02, (30, len(WIDTHS), 300)) * np.arange(len(WIDTHS))[::-1, None]

    def margins(rows):
        return np.linspace(1, 2, 300) - 3 * (1 - np.exp(-sum(harm[d, rows[:, d]] for d in range(30))))

    best = np.full((1, 30), len(WIDTHS) - 1)
    told = np.concatenate([best, space.variants(best[0]), space.sample(8, rng)])
    every = space.sample(200, rng)
    follows = Follows(np.full(300, 1 / 300))
    process = process_of(told, margins(told), space)
    model = answer_model(process, follows, figure(follows, margins(told)), doubt=1.0)
    truth = figure(follows, margins(every))
    reach = process.reach(every)
    deviations = process.sizes * np.sqrt(reach.variance)[:, None]
    whole = norm.sf(0, loc=process.centre + reach.cross.T @ process.weights, scale=deviations).mean(axis=1)
    off = np.abs(model.predict(every).mean - truth).mean()
    assert off < 0.6 * np.abs(whole - truth).mean()

"""Strategies as they are listed: names in any spelling, options in brackets, and what is refused."""

from __future__ import annotations

import pytest

from widthwise.core.errors import UserError
from widthwise.search.comparing import Entrant, parse_entrants


def test_names_in_any_spelling_are_the_canonical_ones():
    found = parse_entrants("BruteForceSampler, brute_force_x:Own ,NSGAII")
    assert [entrant.name for entrant in found] == ["brute-force", "brute_force_x:Own", "nsga2"]


def test_options_stand_in_brackets_and_show_in_the_label():
    (tpe, grid, plain) = parse_entrants(
        "tpe(multivariate=false, n_startup_trials=5),grid(points=2),own:Strategy(sizes=[1, 2])"
    )
    assert tpe == Entrant("tpe", (("multivariate", False), ("n_startup_trials", 5)))
    assert tpe.label == "tpe(multivariate=false, n_startup_trials=5)"
    assert grid.label == "grid(points=2)"
    assert dict(plain.options) == {"sizes": [1, 2]}


def test_a_label_reads_back_as_its_entrant():
    for text in ("tpe", "tpe(multivariate=true)", "nsga2(population_size=10, mutation_prob=0.5)"):
        (entrant,) = parse_entrants(text)
        assert parse_entrants(entrant.label) == (entrant,)


def test_the_configured_strategy_keeps_its_options_where_it_is_listed_without():
    configured = Entrant("tpe", (("n_startup_trials", 3),))
    found = parse_entrants("tpe,random", configured=configured)
    assert [entrant.label for entrant in found] == ["tpe(n_startup_trials=3)", "random"]
    (other,) = parse_entrants("tpe(n_startup_trials=4)", configured=configured)
    assert other.label == "tpe(n_startup_trials=4)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tpee", "no strategy named 'tpee'; did you mean tpe?"),
        ("tpe(multivariat=true)", "did you mean multivariate?"),
        ("tpe(n_startup_trials=-1)", "n_startup_trials: is -1; give at least 0"),
        ("tpe(multivariate)", "can't read the option 'multivariate'; write name or name(option=value"),
        ("tpe(multivariate=true", "can't read 'tpe(multivariate=true'"),
        ("random(x=1)", "random takes no options; remove x"),
        ("tpe,TPESampler", "tpe stands there twice"),
        ("", "names no strategy"),
        (" , ,", "names no strategy"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, said):
    with pytest.raises(UserError) as caught:
        parse_entrants(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)

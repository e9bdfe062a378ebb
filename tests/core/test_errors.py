"""What an error of the user says: its parts put together once, on one line."""

from __future__ import annotations

import copy
import pickle

import pytest

from widthwise.core.errors import UserError, said_once, unknown


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("too wide"), "too wide"),
        (UserError("too wide", where="conv1"), "conv1: too wide"),
        (UserError("too wide", allowed=(2, "all")), "too wide; allowed: 2, all"),
        (UserError("no such key", near="width"), "no such key; did you mean width?"),
        (
            UserError("no such key", near="width", allowed=("width", "name")),
            "no such key; did you mean width? allowed: width, name",
        ),
        (UserError("goes with per", key="per", advice="leave it out"), "goes with per; leave it out"),
        (
            UserError("no such key", near="width", advice="remove it"),
            "no such key; did you mean width? remove it",
        ),
        (
            UserError("too wide", allowed=(2,), advice="take less"),
            "too wide; allowed: 2; take less",
        ),
        (
            unknown("format", "intger", ["log", "integer"], where="--format"),
            "--format: no format named 'intger'; did you mean integer? allowed: integer, log",
        ),
    ],
)
def test_its_text_is_made_of_its_parts(error, said):
    assert str(error) == said
    assert isinstance(error, ValueError)


def test_places_come_from_the_outermost_inwards_and_the_error_given_stays_as_it_is():
    inner = UserError("too wide", where="integer", key="width", allowed=(1, 2))
    outer = inner.at("").at("seed").at("lab3.toml")
    assert str(outer) == "lab3.toml: seed: integer: too wide; allowed: 1, 2"
    assert (outer.key, outer.where) == ("width", ("lab3.toml", "seed", "integer"))
    assert str(inner) == "integer: too wide; allowed: 1, 2"


@pytest.mark.parametrize("parts", [{"found": "a\nb"}, {"found": "a", "where": "x\ty"}, {"found": "a\x1b[2J"}])
def test_it_is_one_line_that_a_terminal_can_show(parts):
    assert str(UserError(**parts)).isprintable()


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copy_says_the_same(copied):
    error = UserError(
        "no such key", where="seed", key="widht", near="width", allowed=("width",), advice="mend it"
    )
    assert str(copied(error)) == str(error)
    assert copied(error).key == "widht"


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        ([], ""),
        (["a: is odd"], "a: is odd"),
        (["a: is odd", "b: too"], "a: is odd; b: too"),
        (["a: is a gelu; relu can be", "b: is a gelu; relu can be"], "a, b: is a gelu; relu can be"),
        (
            ["a: is a gelu; relu can be", "c: pads", "b: is a silu; relu can be"],
            "a: is a gelu; b: is a silu; relu can be; c: pads",
        ),
        (["no place; none", "no place; none"], "no place; none"),
        ([f"l{n}: odd; mend" for n in range(10)], "l0, l1, l2, l3, l4, l5, l6, l7 and 2 more: odd; mend"),
    ],
)
def test_of_several_reasons_each_thing_is_said_once(reasons: list[str], said: str):
    assert said_once(reasons) == said

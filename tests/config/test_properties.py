"""Whatever comes in, the answer is a config that writes and reads back as itself, or one line of error."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from helpers.places import EXAMPLES
from widthwise.config import example_text, load_config
from widthwise.config.write import toml_of
from widthwise.core.errors import UserError
from widthwise.core.toml import dumps, parse_toml
from widthwise.formats import BY_NAME, parameters
from widthwise.metrics.catalogue import METRICS

TEXTS = [
    example_text("jsc-tiny"),
    *(p.read_text("utf-8") for p in sorted(EXAMPLES.glob("*.toml"))),
]

scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(),
    st.sampled_from(["NA", "integer", "name", "auto", "default", "tpe", "<= 2 KiB"]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


def paths(tables: dict[str, Any], before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of nested tables, the tables' own included."""
    found = []
    for key, value in tables.items():
        found.append((*before, key))
        if isinstance(value, dict):
            found += paths(value, (*before, key))
    return found


TABLES = [parse_toml(text, label="example") for text in TEXTS]
PLACES = sorted({path for tables in TABLES for path in paths(tables)})


@st.composite
def searches(draw: st.DrawFn) -> dict[str, Any]:
    """Configs that are right: any rules, metrics, limits and bounds, in the lab's schema."""
    widths = st.lists(st.integers(2, 16), min_size=1, max_size=4, unique=True)
    fracs = st.lists(
        st.integers(-8, 8) | st.sampled_from(["NA", "auto"]), min_size=1, max_size=3, unique=True
    )
    keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    config = st.fixed_dictionaries(
        {"name": st.just(["integer"]), "weight_width": widths},
        optional={"weight_frac_width": fracs, "data_in_width": widths, "bias_width": widths},
    )
    metrics = st.dictionaries(
        st.sampled_from(sorted(METRICS)),
        st.fixed_dictionaries(
            {"direction": st.sampled_from(["maximize", "minimize"])},
            optional={"scale": st.floats(allow_nan=False, allow_infinity=False)},
        ),
        min_size=1,
    )
    setup = st.fixed_dictionaries(
        {"sum_scaled_metrics": st.booleans(), "direction": st.sampled_from(["maximize", "minimize"])},
        optional={
            "n_trials": st.integers(1, 2**40),
            "timeout": st.floats(1e-6, 1e9),
            "n_jobs": st.integers(1, 64) | st.just(-1),
        },
    )
    rules = draw(st.dictionaries(keys, config.map(lambda found: {"config": found}), min_size=1, max_size=4))
    bound = draw(st.floats(allow_nan=False, allow_infinity=False))
    return {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "search": {
            "search_space": {
                "name": "graph/quantize/mixed_precision_ptq",
                "setup": {"by": "name", "tie": draw(st.booleans()), "share_inputs": draw(st.booleans())},
                "seed": rules,
            },
            "strategy": {
                "name": draw(st.sampled_from(["tpe", "brute_force", "NSGAII", "my.module:Class"])),
                "setup": draw(setup),
                "metrics": draw(metrics),
            },
            "constraints": {"loss": f">= {abs(bound)!r}"},
        },
    }


def answer(tables: Any, overrides: dict[str, Any] | None = None) -> None:
    """Reads tables; the answer must be a config that reads back as itself, or one line."""
    message = None
    try:
        config = load_config(tables, overrides)
    except UserError as error:
        message = str(error)
    if message is None:
        assert load_config(parse_toml(toml_of(config), label="again")) == config
    else:
        assert message.isprintable()


@given(searches())
def test_config_reads_back_as_itself(tables: dict[str, Any]) -> None:
    config = load_config(tables)
    text = toml_of(config)
    again = load_config(parse_toml(text, label="again"))
    assert again == config
    assert again.ignored == ()
    assert toml_of(again) == text
    assert load_config(config) == config


@given(st.sampled_from(range(len(TEXTS))), st.sampled_from(PLACES), values)
@settings(max_examples=300)
def test_any_value_in_any_place_gives_a_config_or_a_line(
    which: int, path: tuple[str, ...], value: Any
) -> None:
    tables = parse_toml(TEXTS[which], label="example")
    table = tables
    for key in path[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            return
    table[path[-1]] = value
    answer(tables)


@given(
    st.sampled_from(sorted(BY_NAME)),
    st.dictionaries(
        st.builds(
            "{}_{}".format,
            st.sampled_from(["data_in", "weight", "bias"]),
            st.sampled_from(sorted({param for name in BY_NAME for param in parameters(name)})),
        ),
        values,
        max_size=4,
    ),
)
@settings(max_examples=300)
@example("binary", {"weight_scale": [[1.0]], "weight_axis": [0]})
def test_any_parameters_of_any_format_give_a_config_or_a_line(name: str, fields: dict[str, Any]) -> None:
    tables = parse_toml(TEXTS[0], label="example")
    tables["search"]["search_space"]["seed"] = {"linear": {"config": {"name": [name], **fields}}}
    answer(tables)


@given(st.dictionaries(st.text(), values))
def test_any_tables_give_a_config_or_a_line(tables: dict[str, Any]) -> None:
    answer(tables)


@given(st.text(), values | st.text())
@settings(max_examples=200)
def test_any_override_gives_a_config_or_a_line(key: str, value: Any) -> None:
    answer(TABLES[0], {key: value})


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_gives_a_config_or_a_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "any.toml"
    file.write_bytes(content)
    answer(file)


@given(st.integers(0, 5), st.data())
@settings(max_examples=200)
def test_damaged_text_gives_a_config_or_a_line(edits: int, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(edits):
        start = data.draw(st.integers(0, len(text)))
        text = text[:start] + data.draw(st.text(max_size=3)) + text[start + data.draw(st.integers(0, 9)) :]
    with contextlib.suppress(UserError):
        answer(parse_toml(text, label="damaged"))


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), scalars | st.lists(scalars)))
def test_written_toml_reads_back_as_it_was(tables: dict[str, Any]) -> None:
    text = dumps({"table": tables})
    assert repr(parse_toml(text, label="written")) == repr({"table": tables})
    assert text.isascii() or text.encode().decode() == text

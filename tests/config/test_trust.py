"""What of a config runs code is known before anything is imported, and can be refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.config import example_text, load_config
from widthwise.config.trust import check, code_in
from widthwise.core.errors import UserError
from widthwise.core.toml import parse_toml
from widthwise.data.modules import DATA, FILE_TYPES
from widthwise.network.named import MODELS
from widthwise.strategies import STRATEGIES

EXAMPLE = parse_toml(example_text("jsc-tiny"), label="example")
del EXAMPLE["search"]["strategy"]["setup"]["sampler"]  # it would contradict other names
OWN = {"model": "my.module:build", "dataset": "my.data:Jets", "search.strategy.name": "my.strategy:Greedy"}


def config(**changes: Any):
    """The example with these keys changed; __ stands for a dot."""
    return load_config(EXAMPLE, {key.replace("__", "."): value for key, value in changes.items()})


@pytest.mark.parametrize("key", OWN)
def test_each_key_that_names_code_is_found_and_refused(key: str):
    read = load_config(EXAMPLE, {key: OWN[key]})
    kind = key.rpartition(".")[2].replace("name", "strategy")
    assert code_in(read) == (f"{kind} {OWN[key]}",)
    assert [(code.key, code.name) for code in check(read, untrusted=False)] == [(key, OWN[key])]
    with pytest.raises(UserError, match=rf"{key} = {OWN[key]}: names code that would run"):
        check(read)


def test_all_of_them_are_listed_at_once():
    read = load_config(EXAMPLE, OWN)
    assert code_in(read) == ("model my.module:build", "dataset my.data:Jets", "strategy my.strategy:Greedy")
    with pytest.raises(UserError, match=r"model = .*, dataset = .*, search\.strategy\.name = "):
        check(read)


def test_downloaded_samplers_are_code():
    read = load_config(EXAMPLE, {"search.strategy.name": "optunahub/samplers/auto_sampler"})
    assert code_in(read) == ("strategy optunahub/samplers/auto_sampler",)


@given(
    st.sampled_from(sorted(MODELS.own)),
    st.sampled_from([*DATA.own, *(f"a:b{ending}" for ending in FILE_TYPES), "DATA.CSV", "JSC"]),
    st.sampled_from(sorted({"tpe", "brute-force", "random"} & set(STRATEGIES))),
)
def test_built_ins_and_files_are_no_code(model: str, dataset: str, strategy: str):
    read = config(model=model.upper(), dataset=dataset, search__strategy__name=strategy)
    assert code_in(read) == ()
    assert check(read) == ()


def test_nothing_is_imported(project: Path):
    (project / "spy_module.py").write_text("raise SystemExit('imported')")
    read = config(model="spy_module:build", dataset="spy_module:data", search__strategy__name="spy_module:S")
    assert len(code_in(read)) == 3
    assert "spy_module" not in sys.modules

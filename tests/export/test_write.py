"""An export is refused, or proved, before it is in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import widthwise as ww
from helpers.configs import FORMATS
from widthwise.core.errors import UserError
from widthwise.export.checking import compare
from widthwise.export.exporter import Exported
from widthwise.network.graph import Graph
from widthwise.network.realised import Realised

Run = Callable[[Tensor], Any]


@dataclass(frozen=True)
class Form:
    """One that writes a line, and runs the network with something done to what it gives."""

    change: Callable[[Tensor], Any]
    exact: bool = True
    refused: tuple[str, ...] = ()
    name: str = "mine"
    extra: str = ""

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        return list(self.refused)

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        (folder / "inner").mkdir()
        (folder / "inner" / "net.txt").write_text(f"{[tuple(x.shape) for x in example]}")
        return Exported((folder / "inner" / "net.txt",), lambda x: self.change(graph.model(x)))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ww.Study:
    """A finished search of formats."""
    return ww.search(None, None, FORMATS, out=tmp_path_factory.mktemp("runs") / "run", page=False)


def one_bit_off(x: Tensor) -> Tensor:
    """One output of one sample to the next float."""
    x = x.clone()
    x[-1, 0] = torch.nextafter(x[-1, 0], torch.tensor(torch.inf))
    return x


def test_a_form_of_ones_own_is_written_and_its_files_are_in_their_place(
    study: ww.Study, tmp_path: Path
) -> None:
    done = ww.export(study, study.front[0], Form(lambda x: x), tmp_path / "out")
    assert done.exported.files == (tmp_path / "out" / "inner" / "net.txt",)
    assert done.exported.files[0].read_text() == "[(1, 16)]"
    assert (done.check.equal, done.check.samples, done.check.as_judged) == (205, 205, True)
    assert done.as_json()["files"] == ["inner/net.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        (Form(one_bit_off), r"mine: what was written is another network: 204 of 205 outputs are equal"),
        (Form(lambda x: x * 1.01, exact=False), "is another network"),
        (Form(lambda x: x * torch.nan, exact=False), "is another network: 0 of 205"),
        (Form(lambda x: x[:, :4]), r"gives outputs of shape \[205, 4\], the network \[205, 5\]"),
        (Form(lambda x: 1 / 0), "does not run: ZeroDivisionError"),
        (Form(lambda x: "x"), "returns a str"),
        (Form(lambda x: x, refused=("a: is odd", "b: too")), "can't be exported as mine: a: is odd; b: too"),
    ],
)
def test_what_is_wrong_is_not_kept(form: Form, says: str, study: ww.Study, tmp_path: Path) -> None:
    ww.export(study, 0, "torch", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(UserError, match=says) as caught:
        ww.export(study, 0, form, tmp_path / "out", force=True)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_form_that_is_not_exact_may_differ_as_floats_do(study: ww.Study, tmp_path: Path) -> None:
    done = ww.export(study, study.front[-1], Form(one_bit_off, exact=False), tmp_path / "out")
    assert done.check.equal == 204
    assert 0 < done.check.largest_difference < 1e-6


def test_a_rule_picks_the_trial_and_the_run_may_be_a_folder(study: ww.Study, tmp_path: Path) -> None:
    assert study.folder is not None
    done = ww.export(study.folder, "knee", "torch", tmp_path / "out")
    assert done.trial == study.pick("knee")


@pytest.mark.parametrize(
    ("found", "equal", "largest"),
    [([1.0, torch.nan], 2, 0.0), ([1.0, 2.0], 1, float("inf")), ([0.5, torch.nan], 1, 0.5)],
)
def test_nan_equals_nan_alone(found: list[float], equal: int, largest: float) -> None:
    network = Graph(torch.nn.Identity())
    outputs = torch.tensor(found)[:, None]
    inputs = torch.tensor([1.0, torch.nan])[:, None]
    check = compare(network, lambda x: outputs, [(inputs,)], on="two")
    assert (check.equal, check.largest_difference) == (equal, largest)
    assert check.passes(exact=True) == (equal == 2)

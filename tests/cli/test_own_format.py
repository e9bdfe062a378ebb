"""A format of one's own, as docs/formats.md shows it: searched, kept, exported, drawn, refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import widthwise as ww
from helpers.places import DOCS
from helpers.running import Run
from widthwise.core.errors import UserError
from widthwise.study.run_folder import load_run
from widthwise.testing import check_format

CODE = r"```python file=my_formats.py\n(.*?)```"
CONFIG = """
model = "jsc-tiny"
dataset = "jsc"
[search.search_space]
name = "graph/quantize/mixed_precision_ptq"
[search.search_space.setup]
by = "type"
[search.search_space.seed.linear.config]
weight_name = ["integer", "my_formats:Thirds"]
weight_width = [2, 3]
[search.strategy]
name = "brute-force"
[search.strategy.metrics.loss]
direction = "minimize"
"""


@pytest.fixture
def here(place: Path) -> Iterator[Path]:
    """A folder with the format's file and a config that names it; the module is forgotten afterwards."""
    (found,) = re.findall(CODE, (DOCS / "formats.md").read_text("utf-8"), re.DOTALL)
    (place / "my_formats.py").write_text(found)
    (place / "own.toml").write_text(CONFIG)
    path = list(sys.path)
    yield place
    sys.modules.pop("my_formats", None)
    sys.path[:] = path


def test_it_is_searched_beside_others(run: Run, here: Path) -> None:
    ran = run("search", "own.toml", "--out", "run")
    assert ran.status == 0, ran.err
    assert "this config runs code: format my_formats:Thirds" in ran.err
    study = load_run("run")
    assert len(study.trials) == 4
    network = ww.load_model("jsc-tiny", seed=0)
    for parameter in network.seq_blocks[2].parameters():
        if parameter.ndim == 2:
            parameter.data = (parameter.data * 3).round() / 3  # none is beyond 2 bits
    rounded = ww.evaluate(network, ww.load_data("jsc"), metrics=["loss"])["loss"]
    own = [trial.metrics["loss"] for trial in study.trials if "my_formats:Thirds" in str(trial.config)]
    assert own == pytest.approx([rounded] * 2, rel=1e-6)


def test_a_kept_trial_is_made_again_where_the_config_names_it(run: Run, here: Path) -> None:
    run("search", "own.toml", "--out", "run")
    sys.modules.pop("my_formats")
    number = next(t.number for t in load_run("run").trials if "my_formats:Thirds" in str(t))
    ran = run("test", "--run", "run", "--trial", number)
    assert ran.status == 0, ran.err
    ran = run("export", "run", "--trial", number, "--to", "torch", "--out", "there")
    assert "205 of 205 outputs equal" in ran.out


def test_a_file_that_names_it_runs_no_code(run: Run, here: Path) -> None:
    run("search", "own.toml", "--out", "run")
    run("export", "run", "--trial", 3, "--to", "torch", "--out", "there")
    sys.modules.pop("my_formats")
    with pytest.raises(UserError, match="import my_formats first"):
        ww.load("there")
    assert "my_formats" not in sys.modules


def test_untrusted_configs_do_not_name_it(run: Run, here: Path) -> None:
    ran = run("search", "own.toml", "--untrusted")
    assert ran.status == 2
    assert "weight_name = my_formats:Thirds: names code that would run" in ran.err
    assert "my_formats" not in sys.modules


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("my_formats:Third", "no object named 'Third'; did you mean"),
        ("my_formats:Notation", "must be a subclass of widthwise's Format"),
        ("my_formats:parameter", "is a function; it must be a subclass"),
        ("no_such:Thirds", "no module named no_such"),
        ("my_formats:", "is not of the form module:callable"),
    ],
)
def test_what_is_no_format_is_one_line(run: Run, here: Path, named: str, told: str) -> None:
    (here / "own.toml").write_text(CONFIG.replace("my_formats:Thirds", named))
    ran = run("search", "own.toml")
    assert ran.status == 2
    assert told in ran.err
    assert len(ran.err.splitlines()) == 2


def test_a_class_whose_names_lack_its_own_is_told_so(run: Run, here: Path) -> None:
    code = (here / "my_formats.py").read_text()
    (here / "my_formats.py").write_text(code.replace('("my_formats:Thirds",)', '("thirds",)'))
    ran = run("search", "own.toml")
    assert ran.status == 2
    assert 'put it first, names = ("my_formats:Thirds", "thirds")' in ran.err


@pytest.mark.parametrize(
    ("taken", "told"),
    [
        (r"    names = .*\n", "lacks names; a format has names, notation, quantize, bits and range"),
        (r"    @property\n    def range.*\n.*\n", "lacks range; a format has"),
        (r"@dataclass.*\n", "has fields but is no dataclass"),
    ],
)
def test_what_a_format_lacks_is_said(run: Run, here: Path, taken: str, told: str) -> None:
    code = (here / "my_formats.py").read_text()
    (here / "my_formats.py").write_text(re.sub(taken, "", code))
    ran = run("search", "own.toml")
    assert ran.status == 2
    assert told in ran.err


def test_it_is_drawn_and_checked(run: Run, here: Path) -> None:
    assert run("formats", "plot", "my_formats:Thirds<4>").status == 0
    assert "my_formats:Thirds" in (here / "formats.html").read_text()
    fmt = ww.formats.parse("my_formats:Thirds<4>")
    check_format(fmt)
    assert fmt.quantize(torch.tensor([0.3, 5.0])).mul(3).tolist() == [1.0, 7.0]

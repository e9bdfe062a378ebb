"""The report's code for Lab 4 runs as it stands there, between import lines that name widthwise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from torch import nn

HERE = Path(__file__).parent
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
DOUBLED, GRID, WANTED, SECOND_PASS, PAIRS = BLOCK.findall((HERE / "lab4_of_the_report.md").read_text("utf-8"))
IMPORTS = """
import torch
from torch import nn

from widthwise.mase import (
    MaseDataModule,
    MaseGraph,
    get_parent_name,
    instantiate_linear,
    redefine_linear_transform_pass,
)
"""
LAB = """
class JSC_Three_Linear_Layers(nn.Module):
    def __init__(self):
        super(JSC_Three_Linear_Layers, self).__init__()
        self.seq_blocks = nn.Sequential(
            nn.BatchNorm1d(16),  # 0
            nn.ReLU(16),  # 1
            nn.Linear(16, 16),  # linear  2
            nn.ReLU(16),  # 3
            nn.Linear(16, 16),  # linear  4
            nn.ReLU(16),  # 5
            nn.Linear(16, 5),  # linear  6
            nn.ReLU(5),  # 7
        )

    def forward(self, x):
        return self.seq_blocks(x)


data_module = MaseDataModule(name="jsc", batch_size=8, model_name="jsc-tiny", num_workers=0)
data_module.prepare_data()
data_module.setup()
"""


def ran(*blocks: str) -> dict[str, Any]:
    """The names after the lab's own lines and these blocks."""
    names: dict[str, Any] = {"__name__": "lab4"}
    for block in (IMPORTS, LAB, *blocks):
        exec(compile(block, "lab4", "exec"), names)
    return names


def linears(model: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]


def test_the_code_is_the_reports(shared_data: Path) -> None:
    report = shared_data.parent / "reference" / "lab-report.md"
    if not report.exists():
        pytest.skip("the report isn't here")
    text = report.read_text("utf-8")
    assert BLOCK.findall(text[text.index("# Lab 4") :]) == [DOUBLED, GRID, WANTED, SECOND_PASS, PAIRS]


def test_question_1_doubles_the_layers(capsys: pytest.CaptureFixture[str]) -> None:
    names = ran(DOUBLED)
    assert linears(names["mg"].model) == [(16, 32), (32, 32), (32, 5)]
    before, after = capsys.readouterr().out.split("Transformed Graph:")
    assert "Block number 4: Linear(in_features=16, out_features=16, bias=True)" in before
    assert "Block number 4: Linear(in_features=32, out_features=32, bias=True)" in after


def test_question_2_searches_one_multiplier(capsys: pytest.CaptureFixture[str]) -> None:
    names = ran(DOUBLED, GRID)
    assert [result["multiplier"] for result in names["results"]] == [1, 2, 3, 4]
    assert linears(names["mg"].model) == [(16, 64), (64, 64), (64, 5)]
    best = max(result["metrics"][0]["accuracy"] for result in names["results"])
    said = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(rf"Best Channel Multiplier: [1-4] with Accuracy: {re.escape(str(best))}", said)


@pytest.mark.parametrize(
    "second", [SECOND_PASS, "redefine_linear_transform_pass2 = redefine_linear_transform_pass"]
)
def test_question_3_searches_pairs_with_the_reports_pass_and_with_ours(
    second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ran(DOUBLED, GRID, second, PAIRS)
    assert [result["multipliers"] for result in names["results"]] == [(1, 2), (2, 3), (3, 4), (4, 1)]
    assert linears(names["mg"].model) == [(16, 64), (64, 16), (16, 5)]
    assert "Best Channel Multipliers: (" in capsys.readouterr().out
    wanted = ran(WANTED)["JSC_Three_Linear_Layers"]()
    reached, _ = names["configure_and_apply_transformations_gridsearch"](
        names["create_model_and_graph"](), 2, 4
    )
    assert linears(reached.model) == linears(wanted) == [(16, 32), (32, 64), (64, 5)]

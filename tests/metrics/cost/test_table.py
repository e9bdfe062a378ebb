"""Costs from a table: equal to looking each layer up by hand, and what the table lacks is named."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import widthwise as ww
from helpers.networks import build, inputs
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.metrics.cost.of_widths import WidthCosts
from widthwise.network.graph import Graph
from widthwise.network.scheme import Scheme
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import schemes, slot_choices
from widthwise.spaces.width import WidthSpace

LAYER = "seq_blocks_2"
CONFIG = {"name": ["integer"], "data_in_width": [4, 8], "weight_width": [2, 3, 8], "bias_width": [8]}


def written(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def evaluator(path: Path, config: dict[str, object] | None = None, **keywords: str) -> ww.Evaluator:
    graph, data = Graph(ww.load_model("jsc-tiny", seed=0)), ww.load_data("jsc")
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": config or CONFIG}})
    return ww.Evaluator(graph, space, data, metrics=[ww.cost_table(path, **keywords), "bops"])


def candidates(judge: ww.Evaluator) -> np.ndarray:
    counts = [int(np.prod(slot.table.shape)) for slot in judge.slots if slot.columns]
    return np.array(list(product(*map(range, counts))))


@pytest.mark.parametrize("by", ["formats", "bits"])
def test_formats_are_looked_up(tmp_path: Path, by: str) -> None:
    def shown(fmt: object, bits: int) -> object:
        return fmt if by == "formats" else bits

    worth = {(a, w): 1.5 * a + w**2 for a in (4, 8) for w in (2, 3, 8)}
    rows = [
        ("seq_blocks.2", shown(f"fixed<{a},{a // 2}>", a), shown(f"fixed<{w},{w // 2}>", w), value)
        for (a, w), value in worth.items()
    ]
    judge = evaluator(written(tmp_path / "cells.csv", ("layer", "data_in", "weight", "cells"), rows))
    batch = candidates(judge)
    found = judge.costs(batch)["cells"]
    for row, chosen in enumerate(slot_choices(judge.slots, batch)):
        scheme = schemes(judge.slots, chosen)[LAYER]
        assert isinstance(scheme, Scheme)
        assert found[row] == worth[scheme.data_in.bits, scheme.weight.bits]  # type: ignore[union-attr]
    assert judge(batch)["cells"].tolist() == found.tolist()


def test_a_format_goes_before_its_bits_and_float_has_a_name(tmp_path: Path) -> None:
    rows = [(LAYER, 8, 1), (LAYER, "fixed<8,4>", 2), (LAYER, "float", 3)]
    path = written(tmp_path / "cost.csv", ("layer", "weight", "value"), rows)
    config = {
        "name": ["NA"],
        "weight_name": ["integer", "e4m3", "NA"],
        "weight_width": [8],
    }
    judge = evaluator(path, config)
    assert sorted(judge.costs(candidates(judge))["cost"]) == [1, 2, 3]
    found = ww.evaluate(ww.load_model("jsc-tiny"), ww.load_data("jsc"), metrics=[ww.cost_table(path)])
    assert found == {"cost": 3.0}


def test_calibrated_formats_are_found_as_they_are_written(tmp_path: Path) -> None:
    rows = [(LAYER, f"int<{bits}>", bits * 10) for bits in (4, 8)]
    path = written(tmp_path / "cost.csv", ("layer", "weight", "value"), rows)
    judge = evaluator(path, {"weight_name": ["scaled_integer"], "weight_width": [4, 8]})
    assert judge.costs(candidates(judge))["cost"].tolist() == [40, 80]


def test_only_what_goes_together_is_needed(tmp_path: Path) -> None:
    rows = [(LAYER, "e4m3", "e4m3", 1), (LAYER, "binary", "binary", 2)]
    path = written(tmp_path / "cost.csv", ("layer", "data_in", "weight", "value"), rows)
    judge = evaluator(path, {"name": ["e4m3", "binary"]})  # one decision for all tensors
    assert judge.costs(np.array([[0], [1]]))["cost"].tolist() == [1, 2]


def test_sizes_are_looked_up(tmp_path: Path) -> None:
    graph, x = Graph(build("three linear")), inputs("three linear")
    space = WidthSpace(graph, multipliers=[0.5, 1, 2], example=x)
    varying = [choice.group for choice in space.choices]
    costs = WidthCosts(graph, space.groups, (x,), varying=varying, largest=space.largest)
    batch = next(space.enumerate())
    sizes = space.size_table(batch)
    linear = [layer.name for layer in graph.layers if layer.type == "linear"]
    expected = np.zeros(len(batch))
    rows: set[tuple[str, int, int, float]] = set()
    for row in range(len(batch)):
        made = {node.name: node for node in costs.nodes(sizes[row])}
        for number, name in enumerate(linear):
            inside = made[name].fan_in
            outside = made[name].weight_elements // inside
            value = (number + 1) * 1000.0 + outside * 7 + inside
            rows.add((name, inside, outside, value))
            expected[row] += value
    path = written(tmp_path / "cells.csv", ("layer", "input_size", "size", "cells"), sorted(rows))
    metric = ww.cost_table(path)
    costs.check([metric], [choice.sizes for choice in space.choices])
    assert costs([metric], sizes)["cells"] == pytest.approx(expected)
    fewer = written(tmp_path / "fewer.csv", ("layer", "input_size", "size", "cells"), sorted(rows)[1:])
    lacking = "has no row for layer .* with size .*, input_size"
    with pytest.raises(UserError, match=lacking):
        costs.check([ww.cost_table(fewer)], [choice.sizes for choice in space.choices])
    with pytest.raises(UserError, match=lacking):
        costs([ww.cost_table(fewer)], sizes)


def test_sizes_of_convolutions_are_channels(tmp_path: Path) -> None:
    graph = Graph(build("resnet"))
    names = [layer.name for layer in graph.layers if layer.type == "conv2d"]
    modules = dict(graph.network.named_modules())
    rows = []
    for name in names:
        module = next(m for key, m in modules.items() if key.replace(".", "_") == name)
        rows.append((name, module.in_channels, module.out_channels, 1))  # type: ignore[union-attr]
    path = written(tmp_path / "one.csv", ("layer", "input_size", "size", "value"), rows)
    x = inputs("resnet")
    space = WidthSpace(graph, multipliers=[1], example=x)
    varying = [choice.group for choice in space.choices]
    costs = WidthCosts(graph, space.groups, (x,), varying=varying, largest=space.largest)
    table = space.size_table(next(space.enumerate()))
    assert costs([ww.cost_table(path)], table)["one"].tolist() == [len(names)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no column layer (found: none)"),
        ("a,b\n", "has no column layer (found: a, b)"),
        ("layer,weight\n", "has 0 columns of values (none)"),
        ("layer,weight,cells,ffs\nx,2,1,1\n", "has 2 columns of values (cells, ffs)"),
        ("layer,weight,cells\n", "has no rows"),
        ("layer,weight,cells\nseq_blocks_2,2\n", "line 2: has 2 cells, the header has 3"),
        ("layer,weight,cells\nseq_blocks_2,2,much\n", "line 2: cells: 'much' is no finite number"),
        ("layer,weight,cells\nseq_blocks_2,2,nan\n", "line 2: cells: 'nan' is no finite number"),
        ("layer,weight,cells\n\nseq_blocks_2,fixd<8>,1\n", "line 3: weight: fixd<8>: no format named fixd"),
        ("layer,size,cells\nseq_blocks_2,big,1\n", "line 2: size: 'big' is no whole number"),
        ("layer,weight,cells\nseq_blocks_2,2,1\nseq_blocks.2,2,3\n", "line 3: stands there twice"),
        ("layer,weight,cells\nseq_blocks_3,2,1\n", "has no row for layer seq_blocks_2"),
        (
            "layer,weight,cells\nseq_block_2,2,1\n",
            "no layer of the network named 'seq_block_2'; did you mean",
        ),
        ("layer,weight,weight\n", "has two columns of the same name"),
        ("layer,cells\nseq_blocks_2,1\n", "has none of the columns data_in, weight, bias, size, input_size"),
        ("layer,weight,cells\nseq_blocks_2,2,1\nseq_blocks_2,3,1\n", "with weight fixed<8,4>; of this layer"),
        ("layer,weight,cells\nseq_blocks_2,float,1\nseq_blocks_2,3,1\n", "it has weight float or weight 3"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "cells.csv"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        evaluator(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_column_of_values_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text("layer,bias,cells,ffs\nseq_blocks_2,8,1,2\n")
    assert set(evaluator(path, column="ffs").costs(np.zeros((1, 2), dtype=int))["all"]) == {2.0}
    with pytest.raises(UserError, match="no column of values named 'cell'; did you mean cells"):
        evaluator(path, column="cell")


def test_tables_are_searched_bounded_and_read_back(tmp_path: Path, project: Path) -> None:
    del project
    path = tmp_path / "cells.csv"
    rows = [("seq_blocks.2", bits, bits**2) for bits in (2, 3, 8)]
    written(path, ("layer", "weight", "cells"), rows)
    config = load_config(
        {
            "model": "jsc-tiny",
            "dataset": "jsc",
            "metrics": {"cells": {"table": str(path), "unit": "LUT"}},
            "search": {
                "search_space": {
                    "name": "graph/quantize/mixed_precision_ptq",
                    "setup": {"by": "type"},
                    "seed": {"linear": {"config": CONFIG}},
                },
                "strategy": {
                    "name": "brute-force",
                    "metrics": {"accuracy": {"direction": "maximize"}, "cells": {"direction": "minimize"}},
                },
                "constraints": {"cells": "<= 10"},
            },
        },
        untrusted=True,
    )
    assert load_config(tables_of(config)) == config
    study = ww.search(None, None, config, out=tmp_path / "run", page=False)
    assert study.summary.cut == 2  # 8 bits, known without evaluating
    assert {trial.metrics["cells"] for trial in study.trials} == {4.0, 9.0}
    assert np.isnan(study.record.settings.float_metrics["cells"])
    kept = json.loads((tmp_path / "run" / "standard_errors.json").read_text())
    assert kept["samples"] == 205  # of accuracy, of the float network too
    assert ww.search(None, None, config, out=tmp_path / "run", resume=True, page=False).front == study.front
    written(path, ("layer", "weight", "cells"), [(name, bits, value + 1) for name, bits, value in rows])
    with pytest.raises(UserError, match="own metrics"):
        ww.search(None, None, config, out=tmp_path / "run", resume=True, page=False)

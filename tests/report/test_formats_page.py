"""The page that draws formats: what its charts hold is what the formats do."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import numpy as np
import pytest
import torch

from widthwise.core.errors import UserError
from widthwise.formats import Format, Integer, NamedFloat, ScaledInteger, Ternary, catalogue, parse
from widthwise.report.formats_page import formats_page


def charts(page: str) -> dict[str, list[dict[str, Any]]]:
    """The traces of the page's charts, by heading."""
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    headings = [html.unescape(text) for text in re.findall(r"<h2>(.*?)</h2>", page)]
    return dict(zip(headings, (chart["data"] for chart in json.loads(found[1])), strict=False))


def values(page: str) -> dict[str, list[float]]:
    return {html.unescape(trace["name"]): trace["x"] for trace in charts(page)["Values"]}


def test_the_values_of_small_formats_are_all_there() -> None:
    page = formats_page([Integer(4, 2), NamedFloat("e2m1"), parse("ternary<t=0.5>")])
    found = values(page)
    # the first to saturate, ternary, ends the axis shortly after 1
    assert found["fixed<4,2>"] == [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1]
    assert found["e2m1"] == [-1, -0.5, 0, 0.5, 1]
    assert found["ternary<t=0.5>"] == [-1, 0, 1]
    alone = values(formats_page([NamedFloat("e4m3")]))["e4m3"]
    assert len(alone) == 253  # 2 x 126 finite values and zero


def test_errors_are_what_quantising_changes() -> None:
    page = formats_page([Integer(6, 3), NamedFloat("e5m2")])
    for fmt, trace in zip(
        [Integer(6, 3), NamedFloat("e5m2")], charts(page)["Error of each number"], strict=True
    ):
        x = torch.tensor(trace["x"], dtype=torch.float64)
        assert trace["name"] == html.escape(repr(fmt))
        assert np.allclose(trace["y"], (fmt.quantize(x) - x).numpy(), rtol=0, atol=0)
        assert x[-1] > Integer(6, 3).range[1]


def test_relative_errors_are_half_a_step_where_a_float_is_normal() -> None:
    (trace,) = charts(formats_page([NamedFloat("e4m3")]))["Relative error by size"]
    size, error = np.array(trace["x"]), np.array(trace["y"])
    normal = (size >= -6) & (size < 8.5)
    assert (error[normal] <= 100 / 2 / 8 + 1e-9).all()
    assert (error[size < -10.2] == 100).all()  # below half of the least value: zero
    assert error[-1] > 99  # far beyond the greatest


def test_every_format_can_be_drawn() -> None:
    formats = [row.example for row in catalogue()]
    formats += [
        parse(text)
        for text in (
            "fixed<8,auto>",
            "affine<8>/channel",
            "uint<4>/group8@0",
            "binary<scaled>@0",
            "ternary<scaled>@1",
            "mxint8/32@3",
        )
    ]
    formats.append(ScaledInteger(4, symmetric=False, per="channel", scale=(0.1, 0.2), zero_point=(0, 1)))
    page = formats_page(formats)
    assert set(values(page)) == {repr(fmt) for fmt in formats}
    assert all(values(page).values())


@pytest.mark.parametrize("fmt", [parse("mxint8/32"), parse("int<8>"), Ternary(scaling_factor=True)], ids=repr)
def test_scales_follow_data_that_fills_the_axis(fmt: Format) -> None:
    found = values(formats_page([fmt]))[repr(fmt)]
    assert max(found) == pytest.approx(-min(found))
    assert 0.5 < max(found) <= 1


def test_a_format_given_twice_is_drawn_once() -> None:
    assert len(values(formats_page([Integer(8), Integer(8, 4)]))) == 1


def test_the_page_stands_alone_and_escapes_names() -> None:
    page = formats_page([Integer(8, 4)])
    assert "fixed&lt;8,4&gt;" in page
    assert "fixed<8,4>" not in page
    assert not re.search(r"<(?:script|link|img)[^>]*(?:src|href)=", page)
    assert len(page) > 1_000_000  # plotly is inside


def test_no_formats_is_an_error_of_the_user() -> None:
    with pytest.raises(UserError, match="name some"):
        formats_page([])

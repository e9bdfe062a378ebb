"""Pages of charts: whatever names hold, they are shown as text and end no script."""

from __future__ import annotations

import json

import numpy as np
import pytest

from widthwise.core.counting import count_text
from widthwise.report.charts import Chart, band, chart_page, plotly_text
from widthwise.report.document import embedded
from widthwise.report.sheets import Sheet, brief_time, plural

NASTY = "</script><script>alert('1')</script><!-- & \u2028 \"quoted\""


def test_embedded_json_reads_back_and_holds_nothing_that_ends_a_script():
    content = {NASTY: [1.5, float("nan"), NASTY]}
    text = embedded(content)
    assert not set("<>&") & set(text)
    assert json.loads(text) == {NASTY: [1.5, None, NASTY]}


def test_a_page_of_nasty_names_has_three_scripts_of_its_own():
    low, middle, high = np.zeros(2), np.ones(2), np.full(2, np.nan)
    chart = Chart("key", NASTY, tuple(band(NASTY, 0, [1, 2], low, middle, high)), NASTY, NASTY)
    sheet = Sheet(NASTY, (NASTY, "n"), ((NASTY, "1"),))
    page = chart_page(
        title=NASTY, lines=[NASTY], warnings=[NASTY], charts=[chart], sheets=[sheet], notes=[NASTY]
    )
    assert page.count("alert(&#x27;1&#x27;)") >= 7
    assert "<script>alert" not in page
    start = page.index('id="charts">') + len('id="charts">')
    drawn = json.loads(page[start : page.index("</script>", start)])
    names = [trace["name"] for trace in drawn[0]["data"] if "name" in trace]
    assert names == [plotly_text(NASTY)]
    assert "<" not in names[0]  # plotly reads tags in names


def test_many_lines_differ_in_colour_or_dash():
    values = np.ones(1)
    looks = [band("x", number, [1], values, values, values)[2]["line"] for number in range(30)]
    assert len({(look["color"], look["dash"]) for look in looks}) == 30


@pytest.mark.parametrize(
    ("seconds", "shown"), [(4.5e-5, "45 µs"), (0.0031, "3.1 ms"), (2.4, "2.4 s"), (200.0, "3 min 20 s")]
)
def test_short_times_have_a_unit_that_fits(seconds, shown):
    assert brief_time(seconds) == shown


def test_counts_are_read_at_a_glance():
    assert (plural(1, "seed"), plural(1200, "seed")) == ("1 seed", "1,200 seeds")
    assert [count_text(count) for count in (13824, 10**12, 42 * 10**360, 9 * 10**9999 + 97 * 10**9998)] == [
        "13,824",
        "1.0e12",
        "4.2e361",
        "1.9e10000",
    ]

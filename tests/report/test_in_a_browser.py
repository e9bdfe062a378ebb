"""Pages in a real browser: they draw, answer, ask nothing of anybody, and can be read by everybody."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from helpers.browser import accessibility, chromium, complaints, draw_all, open_page, pale_texts, requests
from helpers.studies import HOSTILE, made_run
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.quality.detail.found import Confusion, Histogram, QualityDetail, Row, Table
from widthwise.report.page.study import study_page
from widthwise.study.detail import KeptDetail
from widthwise.study.run_folder import load_run

OWN = Metric(HOSTILE, "quality", "maximize", None, HOSTILE)
KINDS = {
    "empty": {"trials": 0},
    "one trial": {"trials": 1},
    "failures only": {"fail": "all", "trials": 20},
    "one metric": {"metrics": ["accuracy"], "objectives": 1, "trials": 40},
    "five metrics": {
        "metrics": ["accuracy", "model_size", "bops", "loss", "average_bitwidth"],
        "objectives": 5,
        "trials": 90,
    },
    "60 layers": {"layers": [f"blocks.{n}.conv" for n in range(60)], "trials": 90},
    "joint": {"layers": ["a", "b"], "channels": True, "trials": 90},
    "hostile": {"layers": [HOSTILE, "b"], "metrics": [OWN, "model_size"], "name": HOSTILE, "fail": "some"},
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


def _written(folder: Path, **options: object) -> Path:
    page = folder / "page.html"
    page.write_text(study_page(made_run(folder / "made", **options)), encoding="utf-8")
    return page


def _drawn(browser, selector: str) -> int:
    return len(browser.find_elements("css selector", selector))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    made_run(folder / "made", bounds=["model_size <= 190"])
    classes = ("cat", HOSTILE, *(f"class {n}" for n in range(14)))
    counts = tuple(tuple(90 if a == b else (a * b) % 7 for b in range(16)) for a in range(16))
    table = Table("Each class", "class", ("samples", "f1"), (Row(HOSTILE, (90.0, 0.5), (90.0, 0.75)),))
    worst = Table("Worst samples, by loss", "sample", ("loss",), (Row("17", (3.5,), (1.25,)),))
    histogram = Histogram("Errors: output less target", (-1.0, 0.0, 2.0), (3, 4), (5, 2))
    found = QualityDetail((table, worst), Confusion(classes, counts, counts[::-1]), histogram, ("Cut.",))
    KeptDetail(7, "classification", "val", 1800, found).write(folder / "made")
    page = folder / "page.html"
    page.write_text(study_page(load_run(folder / "made")), encoding="utf-8")
    return page


@pytest.fixture
def opened(browser, page):
    open_page(browser, page)
    return browser


def test_the_page_draws_asks_for_nothing_and_complains_of_nothing(opened, page):
    time.sleep(0.3)
    assert _drawn(opened, "#front-chart .scatterlayer .point") >= 729
    assert _drawn(opened, "#front-chart .shapelayer path") == 1  # out of bounds
    assert requests(opened) == [page.resolve().as_uri()]
    assert complaints(opened) == []


def test_choosers_selection_and_pinning_work_by_keyboard(opened):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    Select(opened.find_element("id", "choose-y")).select_by_visible_text("loss (nats)")
    assert "loss" in opened.find_element("css selector", "#front-chart .ytitle").text
    first, second = opened.find_elements("css selector", "button[data-pin]")[:2]
    first.send_keys(Keys.ENTER)
    second.send_keys(Keys.SPACE)
    numbers = [first.get_attribute("data-pin"), second.get_attribute("data-pin")]
    heads = [cell.text for cell in opened.find_elements("css selector", "#pinned thead th")]
    assert heads == ["", *(f"trial {number}" for number in numbers)]
    assert first.get_attribute("aria-pressed") == "true"
    chosen = opened.find_elements("css selector", "button[data-select]")[2]
    chosen.send_keys(Keys.ENTER)
    assert (
        opened.find_element("css selector", "#selected h3").text
        == f"Trial {chosen.get_attribute('data-select')}"
    )
    assert complaints(opened) == []


def test_a_click_on_a_point_selects_its_trial_and_hovering_shows_its_scheme(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    point = opened.find_elements("css selector", "#front-chart .trace.scatter .points path")[-1]
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
    ActionChains(opened).move_to_element(point).perform()
    time.sleep(0.3)
    shown = opened.find_element("css selector", "#front-chart .hoverlayer").text
    assert "weight_width" in shown
    ActionChains(opened).click(point).perform()
    assert opened.find_element("css selector", "#selected h3").text.startswith("Trial ")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_wrong_with_it(opened, dark):
    if dark:
        opened.find_element("id", "theme").click()
        assert opened.execute_script("return document.documentElement.dataset.theme") == "dark"
    opened.find_elements("css selector", "button[data-pin]")[0].click()
    draw_all(opened)
    assert _drawn(opened, ".js-plotly-plot") == _drawn(opened, ".chart") >= 4
    assert accessibility(opened) == []
    assert pale_texts(opened) == []


def test_a_phone_scrolls_tables_and_never_the_page(browser, page):
    open_page(browser, page, size="phone")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert complaints(browser) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_study_is_a_sensible_page(browser, tmp_path, kind):
    page = _written(tmp_path, **KINDS[kind])
    for size in ("laptop", "phone"):
        open_page(browser, page, size=size)
        assert browser.execute_script("return window.hurt") is None
        assert browser.execute_script("return document.documentElement.dataset.drawn") is not None
        assert (
            browser.execute_script("return document.documentElement.scrollWidth")
            <= {"laptop": 1280, "phone": 390}[size]
        )
        draw_all(browser)
        assert requests(browser) == [page.resolve().as_uri()]
        assert complaints(browser) == []
    assert accessibility(browser) == []

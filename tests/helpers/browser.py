"""A real browser for pages, where one is installed: Debian's chromium, without a window."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

LEAST_CONTRAST = 4.5
# what is written in charts, its colour, and that of the page or of the map's cell below it
CHART_TEXTS = """
const paper = getComputedStyle(document.documentElement).getPropertyValue('--paper').trim();
const parts = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
const cell = (trace, z) => {
  const share = (z - trace.zmin) / (trace.zmax - trace.zmin || 1), scale = trace.colorscale;
  const above = Math.max(1, scale.findIndex(([at]) => at >= share));
  const [low, high] = [scale[above - 1], scale[above]];
  const way = (share - low[0]) / (high[0] - low[0]);
  return 'rgb(' + parts(low[1]).map((part, i) => part + way * (parts(high[1])[i] - part)).join() + ')';
};
const texts = [...document.querySelectorAll('.js-plotly-plot text')].filter((text) => text.textContent);
return texts.map((text) => {
  const label = text.closest('.heatmap-label'), chart = text.closest('.js-plotly-plot');
  const ground = label ? cell(chart._fullData[0], text.__data__.z) : paper;
  return [text.textContent, getComputedStyle(text).fill, ground];
});
"""
SIZES = {"laptop": (1280, 900), "phone": (390, 844)}


@contextmanager
def chromium() -> Iterator[Any]:
    """A driver; skips the test, with the reason, where there is no browser."""
    binary, service = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or service is None:
        pytest.skip("no chromium and chromedriver here; `make debs` brings them")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(service))
    try:
        yield driver
    finally:
        driver.quit()


def open_page(driver: Any, page: Path | str, *, size: str = "laptop") -> None:
    """A page at the size of a device; what was logged before is forgotten."""
    width, height = SIZES[size]
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"},
    )
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.get(page.resolve().as_uri() if isinstance(page, Path) else page)


def complaints(driver: Any) -> list[str]:
    """What the console holds of errors and warnings."""
    return [
        entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
    ]


def requests(driver: Any) -> list[str]:
    """Addresses that were asked for, but for what pages hold themselves."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [address for address in sent if not address.startswith(("data:", "blob:"))]


def accessibility(driver: Any) -> list[str]:
    """What axe-core finds wrong, contrast among it."""
    import axe_selenium_python

    source = Path(axe_selenium_python.__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
    driver.execute_script(source.read_text(encoding="utf-8"))
    found = driver.execute_async_script(
        "const done = arguments[0];axe.run(document).then((found) => done(found.violations));"
    )
    return [f"{each['id']}: {node['html'][:120]}" for each in found for node in each["nodes"]]


def draw_all(driver: Any) -> None:
    """Come to every chart, so that each is drawn."""
    for chart in driver.find_elements("css selector", ".chart"):
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
        driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 50))")
    driver.execute_script("scrollTo(0, 0)")


def pale_texts(driver: Any) -> list[str]:
    """Letters in charts with less contrast than 4.5 to 1 to what they stand on, which axe-core can't tell."""
    texts = driver.execute_script(CHART_TEXTS)
    assert texts
    return [
        f"{shown}: {fill} on {ground}"
        for shown, fill, ground in texts
        if _contrast(_rgb(fill), _rgb(ground)) < LEAST_CONTRAST
    ]


def _rgb(colour: str) -> tuple[float, ...]:
    if colour.startswith("#"):
        return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return tuple(float(part) for part in re.findall(r"[\d.]+", colour)[:3])


def _contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """As WCAG 2 has it."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: tuple[float, ...]) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

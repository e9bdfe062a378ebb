"""A real browser for pages, where one is installed: Debian's chromium, without a window."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
        "const done = arguments[0];"
        "axe.run(document, {exclude: [['.js-plotly-plot']]}).then((found) => done(found.violations));"
    )
    return [f"{each['id']}: {node['html'][:120]}" for each in found for node in each["nodes"]]

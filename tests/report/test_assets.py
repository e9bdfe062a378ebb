"""What lies beside a script of others is true of it: its version, licence and sum."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from widthwise.report.document import PLOTLY


def test_the_script_of_charts_is_the_one_that_its_origin_names() -> None:
    assets = files("widthwise.report") / "assets"
    content = (assets / PLOTLY).read_bytes()
    origin = (assets / "plotly-cartesian.md").read_text()
    assert hashlib.sha256(content).hexdigest() in origin
    version = content.split(b"minified) v")[1].split()[0].decode()
    assert f"plotly.js {version}" in origin
    assert f"@{version}" in origin
    assert (assets / "plotly-LICENSE.txt").read_text().startswith("MIT License")

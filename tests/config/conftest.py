"""What the tests of configs share: reading a config that is wrong, and the least that is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from widthwise.config import load_config
from widthwise.errors import UserError


@pytest.fixture
def error_of(tmp_path: Path) -> Callable[..., str]:
    """The one line that the text of a config gives rise to, behind the file's name."""

    def read(text: str, overrides: Mapping[str, Any] | None = None) -> str:
        file = tmp_path / "lab3.toml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(UserError) as caught:
            load_config(file, overrides)
        message = str(caught.value)
        assert message.isprintable(), "an error is one line"
        assert message.startswith(f"{file}: ")
        return message.removeprefix(f"{file}: ")

    return read


@pytest.fixture
def quantisation() -> Callable[..., dict[str, Any]]:
    """The least config with the given rules."""

    def config(seed: dict[str, Any], *, by: str = "type") -> dict[str, Any]:
        space = {"name": "graph/quantize/mixed_precision_ptq", "setup": {"by": by}, "seed": seed}
        metrics = {"accuracy": {"direction": "maximize"}}
        return {"search": {"search_space": space, "strategy": {"name": "tpe", "metrics": metrics}}}

    return config

"""timm's layers where torchvision and PIL aren't installed, of which the layers need nothing."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import warnings
from typing import Any

import pytest


class _Anything(type):
    """Classes that have every attribute: further ones like them."""

    def __getattr__(cls, name: str) -> Any:
        return _anything(name)


def _anything(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Anything(name, (), {})


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules of packages that aren't there."""

    def __init__(self, packages: list[str]) -> None:
        self.packages = packages

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname.partition(".")[0] not in self.packages:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__version__ = "11.0.0"  # type: ignore[attr-defined]
        module.__getattr__ = _anything  # type: ignore[method-assign]


def timm_layers() -> types.ModuleType:
    """timm.layers; the test is skipped where there is no timm. What stands in is gone afterwards."""
    missing = [name for name in ("torchvision", "PIL") if importlib.util.find_spec(name) is None]
    finder = _StandIns(missing)
    sys.meta_path.append(finder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: types.ModuleType = pytest.importorskip("timm.layers", exc_type=ImportError)
        return found
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] in missing]:
            del sys.modules[name]

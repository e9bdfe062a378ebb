"""The names of torchmetrics' classes, found without importing it (imports no torch)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

NAMESPACES = ("torchmetrics.classification", "torchmetrics", "torchmetrics.nominal")


@cache
def torchmetrics_classes() -> Mapping[str, str]:
    """Class name to where it lives ("torchmetrics.classification.MulticlassAUROC"), of what is installed.

    Read from the `__all__` in each namespace: importing torchmetrics would import torch (seconds).
    """
    import ast
    from importlib.util import find_spec

    spec = find_spec("torchmetrics")
    if spec is None or spec.origin is None:
        return {}
    found: dict[str, str] = {}
    for namespace in NAMESPACES:
        folder = Path(spec.origin).parent.joinpath(*namespace.split(".")[1:])
        tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        lists = [
            s.value for s in tree.body if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == "__all__"
        ]
        names = [name for listed in lists for name in ast.literal_eval(listed) if name[0].isupper()]
        for name in names:
            found.setdefault(name, f"{namespace}.{name}")
    return found


def class_named(name: str) -> str | None:
    """The full name of the torchmetrics class that `name` stands for, or None."""
    classes = torchmetrics_classes()
    if name.startswith("torchmetrics."):
        namespace, _, short = name.rpartition(".")
        known = short in classes and namespace in ("torchmetrics", classes[short].rpartition(".")[0])
        return classes[short] if known else None
    if name in classes:
        return classes[name]
    if not re.fullmatch(r"[a-z0-9_]+", name):
        return None
    flat = name.replace("_", "")
    folded = {known.lower(): full for known, full in classes.items()}
    return folded.get(f"multiclass{flat}") or folded.get(flat)


def direction_of(source: str) -> Literal["maximize", "minimize"]:
    """Errors, losses, distances and unfairness are better small, as `higher_is_better` has it."""
    small = re.search(
        r"Error|Loss|Distance|Deviance|Divergence|Perplexity|Fairness|GroupStatRates|EER$", source
    )
    return "minimize" if small else "maximize"

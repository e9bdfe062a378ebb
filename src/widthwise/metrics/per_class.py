"""Metrics of one class or one output: f1[2], f1[t] (imports no torch)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from widthwise.core.errors import UserError

# what may be asked of one class or one output, as f1[2] or f1[t], and of which metric that is a part
OF_OUTPUTS = ("mse", "rmse", "mae", "r2")
PER_CLASS = {"iou": "mean_iou", "top_accuracy": "top_accuracy"} | {
    name: name for name in ("precision", "recall", "f1", "auroc", "average_precision", *OF_OUTPUTS)
}


def per_class(name: str) -> tuple[str, str] | None:
    """("f1", "t") for "f1[t]", where the metric can be asked of one class; else None."""
    match = re.fullmatch(r"(\w+)\[(.+)\]", name)
    return (match[1], match[2]) if match and match[1] in PER_CLASS else None


def class_index(name: str, classes: int, class_names: Sequence[str] = (), where: str = "") -> int:
    """Which class `f1[t]` or `f1[2]` asks for: a name goes before an index. Raises UserError for no class."""
    asked = per_class(name)
    key = asked[1] if asked else name
    if key in class_names:
        return list(class_names).index(key)
    if key.isascii() and key.isdigit() and int(key) < classes:
        return int(key)
    place = f"{where}: " if where else ""
    named = f" or one of the names {', '.join(class_names)}" if class_names else ""
    raise UserError(f"{place}{name}: no class {key}; allowed: 0 to {classes - 1}{named}")

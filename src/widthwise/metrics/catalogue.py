"""The metrics that a config may name: what each is, its unit, and which way is better (imports no torch)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from widthwise.core.errors import UserError, unknown

Direction = Literal["maximize", "minimize"]
Kind = Literal["quality", "cost"]

NAMESPACES = ("torchmetrics.classification", "torchmetrics", "torchmetrics.nominal")
PER_CLASS = ("precision", "recall", "f1")  # may be asked of one class: f1[2], f1[t]


@dataclass(frozen=True)
class Metric:
    """One figure per candidate; `direction` says which way is better where the config does not."""

    name: str
    kind: Kind
    direction: Direction
    unit: str
    description: str
    source: str = (
        ""  # the class that computes it, "torchmetrics.classification.MulticlassCohenKappa"; "": ours
    )


_QUALITY = (
    Metric("accuracy", "quality", "maximize", "share", "share of correct answers (micro average)"),
    Metric("accuracy_macro", "quality", "maximize", "share", "mean over the classes of their share correct"),
    Metric("loss", "quality", "minimize", "nats", "mean cross entropy of a sample"),
    Metric("precision", "quality", "maximize", "share", "TP / (TP + FP), mean over the classes"),
    Metric("recall", "quality", "maximize", "share", "TP / (TP + FN), mean over the classes"),
    Metric("f1", "quality", "maximize", "share", "2 TP / (2 TP + FP + FN), mean over the classes"),
)
_COST = (
    Metric("parameters", "cost", "minimize", "", "numbers that training sets: weights, biases, norms"),
    Metric("model_size", "cost", "minimize", "bytes", "bytes that the exported network must store"),
    Metric("average_bitwidth", "cost", "minimize", "bits", "bits of a weight, mean over all weights"),
    Metric("memory_density", "cost", "maximize", "x", "compare_to (32 bits) / average_bitwidth"),
    Metric("macs", "cost", "minimize", "MAC", "multiply-accumulates of one sample"),
    Metric("flops", "cost", "minimize", "FLOP", "2 macs + all other arithmetic of one sample"),
    Metric("bops", "cost", "minimize", "bit operations", "sum of MACs (b_a b_w + b_a + b_w + log2 fan-in)"),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _QUALITY + _COST}


def find_metric(name: str, where: str = "") -> Metric:
    """The metric of this name; its `.name` is the name as written, so that results are found under it.

    Allowed are the names in METRICS; precision, recall and f1 of one class, by index or name (`f1[2]`,
    `f1[t]`); and torchmetrics classes: `MulticlassCohenKappa`, `torchmetrics.classification.MulticlassAUROC`,
    or the functional name `cohen_kappa`, which stands for the Multiclass class where there is one. Raises
    UserError.
    """
    if name in METRICS:
        return METRICS[name]
    if (asked := per_class(name)) is not None:
        base = METRICS[asked[0]]
        return Metric(name, "quality", base.direction, base.unit, f"{base.name} of class {asked[1]}")
    source = _torchmetrics_class(name)
    if source is None:
        raise _no_metric(name, where)
    return Metric(name, "quality", _torchmetrics_direction(source), "", f"as {source} has it", source)


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


def torchmetrics_classes() -> dict[str, str]:
    """Class name to where it lives ("torchmetrics.classification.MulticlassAUROC"), of what is installed."""
    return dict(_torchmetrics_classes())


@cache
def _torchmetrics_classes() -> dict[str, str]:
    """Read from the `__all__` in each namespace: importing torchmetrics would import torch (seconds)."""
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


def _torchmetrics_class(name: str) -> str | None:
    """The full name of the torchmetrics class that `name` stands for, or None."""
    classes = _torchmetrics_classes()
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


def _torchmetrics_direction(source: str) -> Direction:
    """Errors, losses, distances and unfairness are better small, as `higher_is_better` has it."""
    small = re.search(
        r"Error|Loss|Distance|Deviance|Divergence|Perplexity|Fairness|GroupStatRates|EER$", source
    )
    return "minimize" if small else "maximize"


def _no_metric(name: str, where: str) -> UserError:
    """An error that offers the nearest name, of a torchmetrics class too, but lists only our own."""
    from difflib import get_close_matches

    lower = {known.lower(): known for known in [*_torchmetrics_classes(), *METRICS]}
    close = get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    if not close or lower[close[0]] in METRICS:
        return unknown("metric", name, METRICS, where=where)
    place = f"{where}: " if where else ""
    allowed = f"{', '.join(sorted(METRICS))}, f1[class], or a torchmetrics class"
    return UserError(f"{place}no metric named {name!r}; did you mean {lower[close[0]]}? allowed: {allowed}")


def is_hardware(metric: str) -> bool:
    """Whether a metric is computed from the network alone: what the lab lists under hardware_metrics."""
    known = METRICS.get(metric)
    return known is not None and known.kind == "cost"

"""The metrics that a config may name, each with all that is to know of it (imports no torch)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from math import inf
from typing import Any, Literal, get_args

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error, load_object
from widthwise.core.registry import Entry, Registry
from widthwise.metrics.per_class import OF_OUTPUTS, PER_CLASS, per_class
from widthwise.metrics.torchmetrics_names import class_named, direction_of, torchmetrics_classes

Direction = Literal["maximize", "minimize"]
Kind = Literal["quality", "cost", "measured"]
Judges = Literal["task", "all", "sample"]

GROUP = "widthwise.metrics"  # of entry points


@dataclass(frozen=True)
class Metric:
    """One figure of a candidate, with all that is to know of it; the object travels, not its name.

    kind: "quality" is judged from outputs; "cost" is exact and known without running; "measured" is of the
        network alone too, but something has to run for it (a latency, a synthesis).
    direction: which way is better where the config does not say. unit: "" for plain numbers; None: not known,
        so bounds may be written in any. low, high: no value lies below or above.
    source: "module:object" that computes it, imported when it is first used, or the object itself: for a cost
        a function (see `widthwise.metrics.cost.formulas.Cost`) or a `TableFile`, for a quality a class like
        torchmetrics' ("": ours).
    judges: who computes a quality. "task": the task, which knows it by its name. Of one's own (see
        `widthwise.metrics.own`) the source itself does, from "all" outputs at once, or of each "sample".
    """

    name: str
    kind: Kind
    direction: Direction
    unit: str | None
    description: str
    low: float = -inf
    high: float = inf
    source: Any = ""
    judges: Judges = "task"

    def __post_init__(self) -> None:
        for field, kinds in (
            ("kind", get_args(Kind)),
            ("direction", get_args(Direction)),
            ("judges", get_args(Judges)),
        ):
            if getattr(self, field) not in kinds:
                raise UserError(
                    f"metric {self.name}: {field} = {getattr(self, field)!r}; allowed: {', '.join(kinds)}"
                )
        if not self.low < self.high:
            raise UserError(f"metric {self.name}: low = {self.low} and high = {self.high}; give low < high")

    @property
    def is_own(self) -> bool:
        """Whether it is a quality that no task knows."""
        return self.judges != "task"

    @property
    def is_hardware(self) -> bool:
        """Whether it is a figure of the network alone: what the lab lists under hardware_metrics."""
        return self.kind != "quality"


_FORMULAS = "widthwise.metrics.cost.formulas"
_LOGIC = "widthwise.export.rtl.luts"
_SIZES = "widthwise.export.stored_size"
SIZED = ("c", "hls4ml", "onnx", "qonnx", "torch")  # forms whose stored bytes are a cost: model_size[c]


def _quality(name: str, direction: Direction, unit: str, description: str, high: float = 1.0) -> Metric:
    return Metric(name, "quality", direction, unit, description, 0.0, high)


def _cost(name: str, direction: Direction, unit: str, description: str) -> Metric:
    return Metric(name, "cost", direction, unit, description, 0.0, inf, f"{_FORMULAS}:{name}")


_QUALITY = (
    _quality("accuracy", "maximize", "share", "share of correct answers (micro average)"),
    _quality("accuracy_macro", "maximize", "share", "mean over the classes of their share correct"),
    _quality("balanced_accuracy", "maximize", "share", "mean of the share correct over the classes present"),
    _quality("top_accuracy", "maximize", "share", "share whose class is among the 5 highest scores"),
    _quality("calibration_error", "minimize", "share", "mean of |confidence - share correct| over 15 bins"),
    _quality("loss", "minimize", "nats", "mean cross entropy of an answer", inf),
    _quality("precision", "maximize", "share", "TP / (TP + FP), mean over the classes"),
    _quality("recall", "maximize", "share", "TP / (TP + FN), mean over the classes"),
    _quality("f1", "maximize", "share", "2 TP / (2 TP + FP + FN), mean over the classes"),
    Metric(
        "sqnr", "quality", "maximize", "dB", "power of the float outputs over that of the errors", -200, 200
    ),
    Metric("worst_sqnr", "quality", "maximize", "dB", "sqnr of the sample where it is least", -200, 200),
    _quality("agreement", "maximize", "share", "share of answers that are those of the float network"),
    Metric(
        "cosine", "quality", "maximize", "", "cosine between a sample's outputs and the float ones", -1, 1
    ),
    Metric("worst_cosine", "quality", "maximize", "", "cosine of the sample where it is least", -1, 1),
    _quality("kl", "minimize", "nats", "Kullback-Leibler divergence from the float probabilities", inf),
    _quality("worst_kl", "minimize", "nats", "kl of the sample where it is greatest", inf),
    Metric("worst_mse", "quality", "minimize", None, "mse of the sample where it is greatest", 0.0),
    _quality("mean_iou", "maximize", "share", "intersection over union, mean over the classes"),
    _quality("pixel_accuracy", "maximize", "share", "share of the places with the right class"),
    _quality("auroc", "maximize", "share", "chance that what is there is scored above what is not"),
    _quality("average_precision", "maximize", "share", "area under precision over recall"),
    Metric("mse", "quality", "minimize", None, "mean squared error, mean over the outputs", 0.0),
    Metric("rmse", "quality", "minimize", None, "root of an output's mse, mean over the outputs", 0.0),
    Metric("mae", "quality", "minimize", None, "mean absolute error, mean over the outputs", 0.0),
    Metric("perplexity", "quality", "minimize", "", "e to the mean cross entropy of a token", 1.0),
    Metric("r2", "quality", "maximize", "", "1 - squared errors / those of the targets' mean", high=1.0),
)
_COST = (
    _cost("parameters", "minimize", "", "numbers that training sets: weights, biases, norms"),
    _cost("model_size", "minimize", "bytes", "bytes that the exported network must store"),
    _cost("average_bitwidth", "minimize", "bits", "bits of a weight, mean over all weights"),
    _cost("activation_bitwidth", "minimize", "bits", "bits of a layer's input, mean over the products"),
    _cost("memory_density", "maximize", "x", "compare_to (32 bits) / average_bitwidth"),
    _cost("macs", "minimize", "MAC", "multiply-accumulates of one sample"),
    _cost("flops", "minimize", "FLOP", "2 macs + all other arithmetic of one sample"),
    _cost("accumulator_bits", "minimize", "bits", "bits of the widest sum of products"),
    _cost("bops", "minimize", "bit operations", "sum of MACs (b_a b_w + b_a + b_w + log2 fan-in)"),
    _cost(
        "ebops",
        "minimize",
        "bit operations",
        "sum of MACs (bits of the input) (significant bits of the weight)",
    ),
    Metric(
        "luts",
        "cost",
        "minimize",
        "LUTs",
        "LUTs of an FPGA by alkaid's estimate, every product unrolled",
        0.0,
        source=f"{_LOGIC}:luts",
    ),
    Metric(
        "adders",
        "cost",
        "minimize",
        "adders",
        "additions and subtractions of that logic",
        0.0,
        source=f"{_LOGIC}:adders",
    ),
    Metric(
        "latency_cycles",
        "cost",
        "minimize",
        "clocks",
        "clocks from input to output of that logic, with a register after every 4 adders",
        0.0,
        source=f"{_LOGIC}:latency_cycles",
    ),
)
_TIMED = "widthwise.export.latency.searching:LatencyMeasurer"
_MEASURED = (
    Metric(
        "latency",
        "measured",
        "minimize",
        "us",
        "time of a call of what is exported, here",
        0.0,
        source=_TIMED,
    ),
    Metric(
        "latency_ratio",
        "measured",
        "minimize",
        "x",
        "time of a call of what is exported to one of the float network, here",
        0.0,
        source=_TIMED,
    ),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _QUALITY + _COST + _MEASURED}

# a plug-in's entry point names a Metric; names are taken as they are written
REGISTRY: Registry[Metric] = Registry(
    "metric",
    [Entry(metric.name, str(metric.source), metric.description, about=metric) for metric in METRICS.values()],
    group=GROUP,
    spelling=str,
)


def find_metric(name: str, where: str = "", *, among: Registry[Metric] = REGISTRY) -> Metric:
    """The metric of this name; its `.name` is the name as written, so that results are found under it.

    Allowed are the names in METRICS; precision, recall and f1 of one class, by index or name (`f1[2]`,
    `f1[t]`); torchmetrics classes: `MulticlassCohenKappa`, `torchmetrics.classification.MulticlassAUROC`, or
    the functional name `cohen_kappa`, which stands for the Multiclass class where there is one;
    `model_size[c]`, the bytes that a form stores; one's own as `module:callable`, which isn't imported yet;
    and what plug-ins add to these, for which their packages are imported. Raises UserError.
    """
    if (known := known_metric(name)) is not None:
        return known
    if ":" in name:
        return Metric(name, "quality", "maximize", None, f"as {name} has it", source=name, judges="all")
    entry = among.get(name)
    if entry is None:
        raise _no_metric(name, where, among)
    return entry.about if entry.about is not None else _of_plug_in(entry, among)


def known_metric(name: str) -> Metric | None:
    """One of ours, of one class, or of torchmetrics, without looking for plug-ins; None for other names."""
    if name in METRICS:
        return METRICS[name]
    if (asked := per_class(name)) is not None:
        base = METRICS[PER_CLASS[asked[0]]]
        if asked[0] == "top_accuracy":
            return replace(base, name=name, description=f"share whose class is among the {asked[1]} highest")
        part = "output" if base.name in OF_OUTPUTS else "class"
        return replace(base, name=name, description=f"{asked[0]} of {part} {asked[1]}")
    if (form := _sized_form(name)) is not None:
        said = f"bytes of weights and biases as {form} keeps them, with their scales and zero points"
        return replace(METRICS["model_size"], name=name, description=said, source=f"{_SIZES}:{form}")
    full = class_named(name)
    if full is None:
        return None
    namespace, _, short = full.rpartition(".")
    return Metric(name, "quality", direction_of(full), "", f"as {full} has it", source=f"{namespace}:{short}")


def _sized_form(name: str) -> str | None:
    """ "c" for "model_size[c]"; UserError for forms without sizes of their own."""
    match = re.fullmatch(r"model_size\[(.*)\]", name)
    if match is None or match[1] in SIZED:
        return None if match is None else match[1]
    raise UserError(f"{name}: is known of the forms {', '.join(SIZED)}; logic (verilog, vhdl) has luts")


def computing(metric: Metric) -> Any:
    """What computes a metric that has a source, imported now; UserError where that can't be."""
    if not isinstance(metric.source, str):
        return metric.source
    if metric.is_own and not metric.source:
        raise UserError(
            f"metric {metric.name}: was given from Python; give it again, as widthwise.search(…, metrics=[…])"
        )
    if metric.is_own:
        return load_object(metric.source, what="metric")
    try:
        return EntryPoint(metric.name, metric.source, GROUP).load()
    except Exception as error:  # a package may do anything when it is imported
        raise UserError(
            f"metric {metric.name}: {metric.source} can't be loaded: {describe_error(error)}; mend the "
            "package that it is from, or leave the metric out"
        ) from error


def _of_plug_in(entry: Entry[Metric], among: Registry[Metric]) -> Metric:
    found = among.loaded(entry)
    if isinstance(found, Metric) and found.name == entry.name:
        return found
    raise among.broken(entry, f"is no {__name__}.Metric of this name")


def _no_metric(name: str, where: str, among: Registry[Metric]) -> UserError:
    """An error that offers the nearest name, of a torchmetrics class too, but lists only the others."""
    from difflib import get_close_matches

    listed = among.entries
    lower = {known.lower(): known for known in [*torchmetrics_classes(), *listed]}
    close = get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    if not close or lower[close[0]] in listed:
        return unknown("metric", name, listed, where=where)
    place = f"{where}: " if where else ""
    allowed = (
        f"{', '.join(sorted(listed))}, f1[class], model_size[form], a torchmetrics class, module:callable"
    )
    return UserError(f"{place}no metric named {name!r}; did you mean {lower[close[0]]}? allowed: {allowed}")

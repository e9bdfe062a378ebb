"""The whole config: the top of the file, [data], and [search]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from widthwise.config.budgets import read_bounds, read_budgets, read_target
from widthwise.config.metrics import FindMetric, metrics_of, read_metrics
from widthwise.config.schema import (
    Accelerator,
    DataOptions,
    DeclaredMetric,
    Search,
    SearchConfig,
    Standardise,
    TargetKind,
)
from widthwise.config.specs import check_spec
from widthwise.config.strategy import read_strategy
from widthwise.core.errors import UserError
from widthwise.core.table import Table, as_number
from widthwise.core.toml import dotted, shown
from widthwise.data.modules import FILE_TYPES, data_source
from widthwise.metrics.quality.tasks import TASKS
from widthwise.network.forms import computes_in_integers
from widthwise.network.named import model_source
from widthwise.spaces.kinds import read_space
from widthwise.spaces.settings import with_folding
from widthwise.training.finetuning.reading import read_finetuning
from widthwise.training.reading import read_lab_training
from widthwise.training.settings import Settings

ACCELERATORS: dict[str, Accelerator] = {
    "auto": "auto",
    "cpu": "cpu",
    "gpu": "gpu",
    "cuda": "gpu",
    "mps": "auto",
}
STANDARDISATIONS: dict[str, Standardise] = {"train": "train", "reference": "reference", "none": "none"}
TARGET_KINDS: dict[str, TargetKind | None] = {"auto": None, "classes": "classes", "numbers": "numbers"}
LOAD_TYPES = {"pt": "pt", "pl": "pl", "safetensors": "safetensors"}
# fmt: off
LAB_TOP = (
    "accumulate_grad_batches", "config", "disable_dataset_cache", "eta_min", "github_ci", "is_pretrained",
    "is_to_auto_requeue", "log_every_n_steps", "log_level", "max_token_len", "no_warnings", "num_devices",
    "num_nodes", "num_workers", "passes", "profile", "project_dir", "quant_config", "report_to", "strategy",
    "t_max", "to_debug", "trainer_precision", "transform",
)
# fmt: on


def read_config(top: Table, given: Sequence[DeclaredMetric] = ()) -> SearchConfig:
    """The config of these tables, checked; raises UserError at the first thing that is wrong.

    given: metrics from Python, which take the place of those that the tables declare by the same names.
    """
    task = _task(top)
    declared = {one.metric.name: one for one in (*read_metrics(top.table("metrics")), *given)}
    metrics = tuple(declared.values())
    find = metrics_of(task, metrics)
    training = read_lab_training(top)
    load_name, load_type = _checkpoint(top)
    config = SearchConfig(
        model=_source(top, "model", model_source, files=()),
        dataset=_source(top, "dataset", data_source, files=FILE_TYPES),
        load_name=load_name,
        load_type=load_type,
        batch_size=top.whole("batch_size", 256),
        seed=top.whole("seed", 0, least=0, most=2**32 - 1),
        accelerator=top.choice("accelerator", ACCELERATORS, "cpu"),
        project=top.text("project"),
        task=task,
        output=_output(top),
        data=_data(top.table("data")),
        training=training,
        metrics=metrics,
        searching=_search(top.table("search"), training, find) if "search" in top else None,
        source=top.document.label,
    )
    top.close(lab=LAB_TOP)
    return replace(config, ignored=tuple(dict.fromkeys(map(dotted, top.document.ignored))))


def _task(top: Table) -> str | None:
    """The canonical name of the task, if it is said; nothing is imported."""
    given = top.get("task")
    if given is None:
        return None
    if isinstance(given, str) and ":" in given:
        check_spec(given, what="task", where=top.where("task"))
        return given
    if isinstance(given, str) and (entry := TASKS.get(given)) is not None:
        return entry.name
    names = {
        name.lower(): entry.name for entry in TASKS.entries.values() for name in (*entry.aliases, entry.name)
    }
    return top.choice("task", names, None)


def _output(top: Table) -> str | None:
    """Which of the network's outputs is judged: a key, or an index, as text."""
    given = top.get("output")
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    return top.text("output")


def _source(top: Table, key: str, find: Callable[[str], str], *, files: tuple[str, ...]) -> str | None:
    """The canonical name of a model or a data set."""
    name = top.text(key)
    if name is None:
        return None
    try:
        found = find(name)
    except UserError as error:
        raise error.at(top.where(key)) from None
    if not found.lower().endswith(files or ("\0",)):
        check_spec(found, what=key, where=top.where(key))
    return found


def _checkpoint(top: Table) -> tuple[str | None, str | None]:
    """Where weights are read from; a load_type without a load_name says nothing."""
    name, kind = top.text("load_name"), top.text("load_type")
    if name is None:
        return None, None
    if kind is not None and kind.strip().lower() == "mz":
        top.fail(
            "load_type",
            "mz is a pickled network, and pickle can run any code when it is read, so it is refused; save "
            "the weights alone, with torch.save(model.state_dict(), path) or as safetensors",
        )
    return name, top.choice("load_type", LOAD_TYPES, None)


def _data(table: Table) -> DataOptions:
    splits = _splits(table)
    options = DataOptions(
        path=table.text("path"),
        download=table.flag("download", False),
        splits=splits,
        label=_label(table),
        header=_header(table),
        targets=table.choice("targets", TARGET_KINDS, None),
        standardise=_standardise(table),
        flatten=table.flag("flatten", False),
    )
    table.close(strict=True)
    return options


def _label(table: Table) -> tuple[str | int, ...] | None:
    """Columns or arrays by name or number: one, or a list; an empty one for no targets."""
    value = table.get("label")
    if value is None:
        return None
    found = value if isinstance(value, list) else [value]
    if any(isinstance(one, bool) or not isinstance(one, str | int) or one == "" for one in found):
        table.fail(
            "label",
            f"{shown(value)} names no columns; write a name or a number, or a list for several targets",
        )
    return tuple(found)


def _header(table: Table) -> bool | None:
    """Whether a .csv has a line of names; None where it is to be seen from the file."""
    value = table.get("header")
    if value is not None and value != "auto" and not isinstance(value, bool):
        table.fail("header", f"{shown(value)} is unknown", allowed=("auto", "true", "false"))
    return value if isinstance(value, bool) else None


def _standardise(table: Table) -> Standardise | None:
    """By which statistics; true and false stand for those of the training part, and none."""
    value = table.get("standardise")
    if isinstance(value, bool):
        return "train" if value else "none"
    return table.choice("standardise", STANDARDISATIONS, None)


def _splits(table: Table) -> tuple[float, float, float]:
    value = table.get("splits")
    if value is None:
        return DataOptions().splits
    shares = [as_number(share) for share in value] if isinstance(value, list) else []
    found = [share for share in shares if share is not None and 0 <= share <= 1]
    if len(found) != 3 or len(shares) != 3:
        table.fail("splits", f"{shown(value)} are not three shares from 0 to 1, as in [0.6, 0.2, 0.2]")
    if abs(sum(found) - 1) > 1e-6:
        table.fail("splits", f"{shown(value)} add up to {sum(found):g}; train, val and test add up to 1")
    if not found[1]:
        table.fail(
            "splits", f"{shown(value)} leave nothing to val, which quality is judged on; give it a share"
        )
    return found[0], found[1], found[2]


def _search(table: Table, training: Settings, find: FindMetric) -> Search:
    target = read_target(table.table("constraints"))
    finetune = None
    if table.get("finetune") is not None:
        finetune = read_finetuning(table.table("finetune"), table.table("training"))
    space = read_space(
        table.table("search_space"), table.table("training"), training, finetuned=finetune is not None
    )
    if target is not None and computes_in_integers(target):
        space = with_folding(space)
    strategy = read_strategy(table.table("strategy"), find)
    constraints, limits = table.table("constraints"), strategy.limits
    setup = table.table("strategy").table("setup")
    trials, timeout = read_budgets(constraints, setup, limits.trials, limits.timeout)
    table.close(lab=("nas",))
    return Search(
        space=space,
        strategy=strategy.strategy,
        objectives=strategy.objectives,
        summed=limits.summed,
        direction=limits.direction,
        constraints=read_bounds(constraints, find),
        evaluation=strategy.evaluation,
        timing=strategy.timing,
        trials=trials,
        timeout=timeout,
        jobs=limits.jobs,
        uniform_first=limits.uniform_first,
        target=target,
        finetune=finetune,
    )

"""[search.strategy]: who proposes candidates, by which metrics they are judged, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from widthwise.config.metrics import DIRECTIONS, FindMetric
from widthwise.config.schema import Evaluation, EvaluationPart, StrategySettings
from widthwise.config.specs import check_spec
from widthwise.core.errors import UserError
from widthwise.core.table import Table, as_number
from widthwise.core.toml import shown
from widthwise.metrics.catalogue import Direction
from widthwise.metrics.goals.objective import Objective
from widthwise.metrics.timing import FEWEST_ROUNDS, RUNTIMES, Timing
from widthwise.strategies import strategy_source

LOADERS: dict[str, EvaluationPart] = {
    "val_dataloader": "val",
    "validation_dataloader": "val",
    "test_dataloader": "test",
}
LAB_SETUP = ("model_parallel", "runner_style", "save_every_n_trials", "deepsave", "study_name", "storage")
SAMPLER_OF_OPTUNA = "tpe"


@dataclass(frozen=True)
class SetupTable:
    """When a search ends, and how its metrics become objectives."""

    trials: int | None
    timeout: float | None
    jobs: int
    summed: bool
    direction: Direction | None
    uniform_first: bool


@dataclass(frozen=True)
class StrategyTable:
    """All that [search.strategy] says."""

    strategy: StrategySettings
    objectives: tuple[Objective, ...]
    evaluation: Evaluation
    limits: SetupTable
    timing: Timing


def read_strategy(table: Table, find: FindMetric) -> StrategyTable:
    """[search.strategy], its metrics as `find` knows them.

    Raises UserError for what is unknown, missing or contradicts itself.
    """
    setup = table.table("setup")
    strategy = _strategy(table, setup)
    limits = _limits(setup)
    _check_no_options(setup, strategy.name)
    setup.close(lab=LAB_SETUP)
    objectives = _objectives(table.table("metrics"), limits, find)
    evaluation, timing = _evaluation(table), _timing(table)
    if table.get("eval_mode") is not None and not table.flag("eval_mode", True):
        table.ignore("eval_mode")  # quality is always judged in eval mode
    table.close()
    return StrategyTable(strategy, objectives, evaluation, limits, timing)


def _strategy(table: Table, setup: Table) -> StrategySettings:
    """In the lab's files the strategy "optuna" has a sampler; ours have the sampler's name at once."""
    name, sampler = table.text("name"), setup.text("sampler")
    if name is None and sampler is None:
        table.fail("name", 'is missing; write name = "tpe" or another strategy\'s name')
    if name is None or name.strip().lower() == "optuna":
        where = setup.where("sampler")
        source = strategy_source(sampler or SAMPLER_OF_OPTUNA, where=where)
    else:
        where = table.where("name")
        source = strategy_source(name, where=where)
        if sampler is not None and strategy_source(sampler, where=setup.where("sampler")).name != source.name:
            setup.fail("sampler", f'{sampler} contradicts name = "{name}"; leave one of them out')
    check_spec(source.name, what="strategy", where=where)
    options = table.table("options")
    given = {key: value for key, value in options.values.items() if value is not None}
    checked: dict[str, Any] = source.checked(given, where=options.where())
    return StrategySettings(source.name, tuple(checked.items()))


def _check_no_options(setup: Table, name: str) -> None:
    """Raises UserError where an option of the strategy stands in its setup, where it would change nothing."""
    for key in setup:
        if key not in setup.known and key in (strategy_source(name).options or {}):
            setup.fail(key, f"is an option of {name}; write it in [search.strategy.options]")


def _limits(setup: Table) -> SetupTable:
    if "pkl_ckpt" in setup:
        setup.fail(
            "pkl_ckpt",
            "is a pickled study, and pickle can run any code when it is read, so it is refused; "
            "leave it out and resume a study of widthwise with --resume",
        )
    trials, timeout = setup.whole("n_trials", None), setup.number("timeout", None, above=0)
    summed = setup.flag("sum_scaled_metrics", False)
    direction = setup.choice("direction", DIRECTIONS, None)
    if summed and direction is None:
        setup.fail("direction", "is missing; sum_scaled_metrics = true needs maximize or minimize")
    if not summed and direction is not None:
        setup.ignore("direction")
    uniform = setup.flag("uniform_first", True)
    return SetupTable(trials, timeout, _jobs(setup), summed, direction if summed else None, uniform)


def _jobs(setup: Table) -> int:
    jobs = setup.get("n_jobs")
    if jobs is None:
        return 1
    number = as_number(jobs)
    if number is None or not number.is_integer() or not (number >= 1 or number == -1):
        setup.fail(
            "n_jobs", f"{shown(jobs)} is no number of processes; give 1 or more, or -1 for one for each core"
        )
    return int(number)


def _objectives(table: Table, limits: SetupTable, find: FindMetric) -> tuple[Objective, ...]:
    found = tuple(_objective(table.table(name), name, limits, find) for name in table)
    if not found:
        raise UserError(
            f'{table.where()}: names no metric; add accuracy.direction = "maximize" and one of cost, as '
            "model_size or average_bitwidth"
        )
    return found


def _objective(table: Table, name: str, limits: SetupTable, find: FindMetric) -> Objective:
    metric = find(name, table.where())
    scale = table.number("scale", 1.0)
    direction = table.choice("direction", DIRECTIONS, None)
    table.close(lab=("lower_bound", "upper_bound"), strict=True)
    if direction is None:
        if not limits.summed:
            table.fail(
                "direction",
                f"is missing; allowed: maximize, minimize ({name} is good when {metric.direction}d)",
            )
        direction = metric.direction  # the sum has a direction of its own
    return Objective(metric, direction, scale)


def _evaluation(table: Table) -> Evaluation:
    """Runners as tables, or by name with their settings in [search.strategy], as older files have them."""
    base = Evaluation()
    older = isinstance(table.get("sw_runner"), str)
    runner = table if older else table.table("sw_runner").table("basic_evaluation")
    if isinstance(runner.get("data_loader"), str) and runner.get("data_loader").startswith("train"):
        runner.fail(
            "data_loader",
            f"{shown(runner.get('data_loader'))} is what the network was trained on, which says nothing of "
            "quality; allowed: val_dataloader, test_dataloader",
        )
    part = runner.choice("data_loader", LOADERS, base.part)
    samples = runner.whole("num_samples", base.samples)
    if not older:
        runner.close()
        _close_runners(table, "sw_runner", "basic_evaluation")
    return Evaluation(part, samples, _compare_to(table, base.compare_to))


def _compare_to(table: Table, default: float) -> float:
    if isinstance(table.get("hw_runner"), str):
        return default
    runner = table.table("hw_runner").table("average_bitwidth")
    bits = runner.number("compare_to", default, above=0)
    runner.close()
    _close_runners(table, "hw_runner", "average_bitwidth", "latency")
    return bits


def _timing(table: Table) -> Timing:
    if isinstance(table.get("hw_runner"), str):
        return Timing()
    runner, base = table.table("hw_runner").table("latency"), Timing()
    found = Timing(
        threads=runner.whole("threads", base.threads),
        batch=runner.whole("batch", base.batch),
        warm_up=runner.whole("warm_up", base.warm_up, least=0),
        rounds=runner.whole("rounds", base.rounds, least=FEWEST_ROUNDS),
        runtime=runner.choice("runtime", {name: name for name in RUNTIMES}, base.runtime),
    )
    runner.close(strict=True)
    return found


def _close_runners(table: Table, key: str, *known: str) -> None:
    """Other runners have no meaning here: a metric is computed where it is named."""
    runners = table.table(key)
    runners.known |= dict.fromkeys(known)
    runners.close()

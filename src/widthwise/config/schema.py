"""What a config says, as frozen typed objects: nothing deeper in the package looks into a TOML table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import Direction, Metric
from widthwise.metrics.goals.constraints import Constraint
from widthwise.metrics.goals.objective import Objective
from widthwise.metrics.table_file import TableFile
from widthwise.metrics.timing import Timing
from widthwise.spaces.settings import SpaceSettings
from widthwise.training.finetuning.settings import Finetuning
from widthwise.training.settings import Settings

Accelerator = Literal["auto", "cpu", "gpu"]
Standardise = Literal["train", "reference", "none"]
TargetKind = Literal["classes", "numbers"]
EvaluationPart = Literal["val", "test"]


@dataclass(frozen=True)
class StrategySettings:
    """The strategy by its canonical name, with the options that were given, in order."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """On which part of the data quality is judged, on how many samples (None: all), against how many bits."""

    part: EvaluationPart = "val"
    samples: int | None = None
    compare_to: float = 32.0


@dataclass(frozen=True)
class Search:
    """The [search] table: what may be chosen, who proposes, what is judged, and when it ends.

    summed: one objective, the sum of scale * metric, in `direction`; else an objective for each metric.
    trials, timeout (seconds): limits; None: none. jobs: processes; -1: one for each core.
    timing: how latencies are measured, where they are.
    target: the export form that every candidate can be written in; None: any.
    uniform_first: a strategy that learns begins with the schemes that treat every layer alike.
    finetune: which candidates are trained on with their formats afterwards, and how; None: none is.
    """

    space: SpaceSettings
    strategy: StrategySettings
    objectives: tuple[Objective, ...]
    summed: bool = False
    direction: Direction | None = None
    constraints: tuple[Constraint, ...] = ()
    evaluation: Evaluation = field(default_factory=Evaluation)
    trials: int | None = None
    timeout: float | None = None
    jobs: int = 1
    timing: Timing = field(default_factory=Timing)
    target: str | None = None
    uniform_first: bool = True
    finetune: Finetuning | None = None


@dataclass(frozen=True)
class DeclaredMetric:
    """A metric of one's own, with the options of the class that computes it, in order."""

    metric: Metric
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def is_from_python(self) -> bool:
        """Whether no config can name what computes it."""
        return not isinstance(self.metric.source, str | TableFile)


@dataclass(frozen=True)
class DataOptions:
    """The [data] table: what load_data takes beside name, batch size and seed.

    label: columns or arrays by name or number; header, targets, standardise: None where it is as it looks.
    """

    path: str | None = None
    download: bool = False
    splits: tuple[float, float, float] = (0.6, 0.2, 0.2)
    label: tuple[str | int, ...] | None = None
    header: bool | None = None
    targets: TargetKind | None = None
    standardise: Standardise | None = None
    flatten: bool = False


@dataclass(frozen=True)
class SearchConfig:
    """A whole config, checked.

    model, dataset: canonical names, files or module:callable; None where the file leaves them to the caller.
    task: the canonical name of what the network's outputs are worth; None: the one that fits the data.
    output: which of several is judged, by its key or index; None: found by the data.
    metrics: one's own, which may be named as others are and are kept of every candidate.
    accelerator: "gpu" means the GPU where there is one, since a file for the lab's system always says so.
    ignored: dotted keys that have no meaning here, for one warning; not part of what makes two configs equal.
    source: how errors name this config: the file as it was given.
    """

    model: str | None = None
    dataset: str | None = None
    load_name: str | None = None
    load_type: str | None = None
    batch_size: int = 256
    seed: int = 0
    accelerator: Accelerator = "cpu"
    project: str | None = None
    task: str | None = None
    output: str | None = None
    data: DataOptions = field(default_factory=DataOptions)
    training: Settings = field(default_factory=Settings)
    metrics: tuple[DeclaredMetric, ...] = ()
    searching: Search | None = None  # for files that only train; ask for `search`
    ignored: tuple[str, ...] = field(default=(), compare=False)
    source: str = field(default="config", compare=False)

    @property
    def search(self) -> Search:
        """The [search] table; raises UserError where the config has none."""
        if self.searching is None:
            raise UserError(
                f"{self.source}: search: is missing; add [search.search_space] and "
                "[search.strategy], or write a config with widthwise init"
            )
        return self.searching

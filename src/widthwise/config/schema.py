"""What a config says, as frozen typed objects: nothing deeper in the package looks into a TOML table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import Direction
from widthwise.metrics.goals.constraints import Constraint
from widthwise.metrics.goals.objective import Objective
from widthwise.training.halving import Halving
from widthwise.training.settings import Settings

By = Literal["name", "type", "regex"]
WidthBy = Literal["all", "name", "type", "regex"]
Weights = Literal["scratch", "inherit", "supernet"]
Importance = Literal["magnitude", "batch_norm", "taylor"]
Accelerator = Literal["auto", "cpu", "gpu"]
Standardise = Literal["train", "reference", "none"]
EvaluationPart = Literal["val", "test"]
Training = Settings  # a config says of training what the library can be told, by the same names


@dataclass(frozen=True)
class SeedRule:
    """One [search.search_space.seed.KEY.config]: which layers, and the choices of every field.

    key: a layer's name, a type or a pattern, as `by` of the search says; "default" for the default rule.
    fields: field names as the lab writes them ("name", "data_in_width" ...) with their choices, in the file's
        order. "NA" stands as it was written; a list among the choices (a block's sizes) is a tuple.
    """

    key: str
    fields: tuple[tuple[str, tuple[Any, ...]], ...]


@dataclass(frozen=True)
class QuantisationSearch:
    """Which formats and bit widths a search may choose, as "graph/quantize/mixed_precision_ptq" has it.

    default: what layers get that no rule names; None leaves them in float.
    tie: one decision for all layers of a rule, instead of one for each.
    share_inputs: layers that read the same tensor get the same format for it.
    """

    by: By
    rules: tuple[SeedRule, ...]
    default: SeedRule | None = None
    tie: bool = False
    share_inputs: bool = False


@dataclass(frozen=True)
class WidthSearch:
    """How many channels each group may get, as "graph/width" has it.

    rules: fields are "name" (the lab's output_only, both, input_only), "channel_multiplier",
        "channel_multiplier_input", "channel_multiplier_output" and ours, "channels" (a number of channels).
        With by = "all" there are no rules and `default` holds for every group at once.
    round_to: channels come in multiples of it. minimum, maximum: channels of a group.
    weights: whether candidates start from random weights, inherit those of the network, or read them off a
        supernet. importance: what tells which channels shrinking keeps.
    training: of candidates, or of the supernet; the network that is searched is the teacher, where `distil`.
    repeats: how many seeds each candidate is trained with. halving: stops those early that do worse than
        others of their batch; None: each gets all of its training.
    """

    by: WidthBy
    rules: tuple[SeedRule, ...]
    default: SeedRule | None = None
    round_to: int = 1
    minimum: int = 1
    maximum: int | None = None
    weights: Weights = "scratch"
    importance: Importance = "magnitude"
    training: Training = field(default_factory=Training)
    repeats: int = 1
    halving: Halving | None = None


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
    """

    space: QuantisationSearch | WidthSearch
    strategy: StrategySettings
    objectives: tuple[Objective, ...]
    summed: bool = False
    direction: Direction | None = None
    constraints: tuple[Constraint, ...] = ()
    evaluation: Evaluation = field(default_factory=Evaluation)
    trials: int | None = None
    timeout: float | None = None
    jobs: int = 1


@dataclass(frozen=True)
class DataOptions:
    """The [data] table: what load_data takes beside name, batch size and seed."""

    path: str | None = None
    download: bool = False
    splits: tuple[float, float, float] = (0.6, 0.2, 0.2)
    standardise: Standardise | None = None
    flatten: bool = False


@dataclass(frozen=True)
class SearchConfig:
    """A whole config, checked.

    model, dataset: canonical names, files or module:callable; None where the file leaves them to the caller.
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
    data: DataOptions = field(default_factory=DataOptions)
    training: Training = field(default_factory=Training)
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

    def to_dict(self) -> dict[str, Any]:
        """The resolved config in the lab's schema; `load_config` reads it back as an equal one."""
        from widthwise.config.write import as_tables

        return as_tables(self)

    def to_toml(self) -> str:
        """The resolved config as TOML text, always the same for equal configs."""
        from widthwise.config.write import dumps

        return dumps(self.to_dict())

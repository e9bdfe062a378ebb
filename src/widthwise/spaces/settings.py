"""What a config says about a space: the rules of its seeds and what each kind of space takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

from widthwise.core.later import LATER
from widthwise.network.selection import By, WidthBy
from widthwise.training.halving import Halving
from widthwise.training.settings import Settings
from widthwise.training.trained_widths.settings import PathSettings

Weights = Literal["scratch", "inherit", "supernet"]
FormatWeights = Literal["inherit", "supernet"]
Importance = Literal["magnitude", "batch_norm", "taylor"]

QUANTISATION = "graph/quantize/mixed_precision_ptq"
WIDTH = "graph/width"
TRAINED = "graph/quantize/trained_widths"
JOINT = "graph/joint"
FOLD_BATCHNORM, EQUALISE, CORRECT = "fold_batchnorm", "equalise", "bias_correction"  # of a search's setup
ALL = "all"  # the key of the rule for all groups at once


class SpaceSettings(Protocol):
    """What [search.search_space] says, as its kind of space reads it: a frozen dataclass.

    Its fields, as `asdict` gives them, are part of what a stored search is known by; one that came LATER,
    only where it is not its default.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def kind(self) -> str:
        """The name of the kind, which reads and writes them (`widthwise.spaces.kinds`)."""
        ...


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
    untie: layers that read the same stored tensor may have it in formats of their own.
    fold_batchnorm: batch norms become part of the layers beside them before the search, so that formats reach
        them; None: as the form asks that the search keeps within, and where channels are equalised or biases
        corrected.
    equalise: channels between layers are scaled before the search so that weights are alike in size.
    bias_correction: each bias gets what the rounding of its layer's weight takes from the outputs on average.
    weights: whether candidates have the weights of the network, or those of one that is trained from it for
        all of them; training: how that is, None where it is not.
    """

    kind: ClassVar[str] = QUANTISATION

    by: By
    rules: tuple[SeedRule, ...]
    default: SeedRule | None = None
    tie: bool = False
    share_inputs: bool = False
    untie: bool = field(default=False, metadata={LATER: True})
    fold_batchnorm: bool | None = field(default=None, metadata={LATER: True})
    equalise: bool = field(default=False, metadata={LATER: True})
    bias_correction: bool = field(default=False, metadata={LATER: True})
    weights: FormatWeights = field(default="inherit", metadata={LATER: True})
    training: Settings | None = field(default=None, metadata={LATER: True})

    def __post_init__(self) -> None:
        """Norms would keep channels from being equalised, and layers before them often have no bias."""
        if (self.equalise or self.bias_correction) and self.fold_batchnorm is None:
            object.__setattr__(self, "fold_batchnorm", True)


@dataclass(frozen=True)
class WidthSearch:
    """How many channels each group may get, as "graph/width" has it.

    rules: fields are "name" (the lab's output_only, both, input_only), "channel_multiplier",
        "channel_multiplier_input", "channel_multiplier_output" and ours, "channels" (a number of channels).
        With by = "all" the rules are left out and `default` holds for every group at once.
    round_to: channels come in multiples of it. minimum, maximum: channels of a group.
    weights: whether candidates start from random weights, inherit those of the network, or read them off a
        supernet. importance: what tells which channels shrinking keeps.
    training: of candidates, or of the supernet; the network that is searched is the teacher, where `distil`.
    repeats: how many seeds each candidate is trained with. halving: stops those early that do worse than
        others of their batch; None: each gets all of its training. stacked: several are trained at once.
    """

    kind: ClassVar[str] = WIDTH

    by: WidthBy
    rules: tuple[SeedRule, ...]
    default: SeedRule | None = None
    round_to: int = 1
    minimum: int = 1
    maximum: int | None = None
    weights: Weights = "scratch"
    importance: Importance = "magnitude"
    training: Settings = field(default_factory=Settings)
    repeats: int = 1
    halving: Halving | None = None
    stacked: bool = field(default=False, metadata={LATER: True})


@dataclass(frozen=True)
class TrainedWidthSearch:
    """How widths are trained, as "graph/quantize/trained_widths" has it."""

    kind: ClassVar[str] = TRAINED

    training: PathSettings = field(default_factory=PathSettings)


@dataclass(frozen=True)
class JointSearch:
    """Formats and channels in one search, as "graph/joint" has it: what each of the two says by itself."""

    kind: ClassVar[str] = JOINT

    formats: QuantisationSearch
    widths: WidthSearch


def with_folding(settings: SpaceSettings) -> SpaceSettings:
    """The settings with batch norms folded, where they may be and nothing else is said."""
    if isinstance(settings, JointSearch) and settings.formats.fold_batchnorm is None:
        return replace(settings, formats=replace(settings.formats, fold_batchnorm=True))
    if isinstance(settings, QuantisationSearch) and settings.fold_batchnorm is None:
        return replace(settings, fold_batchnorm=True)
    return settings

"""Kinds of search spaces: what a config says of one, the space itself, and who judges its candidates.

Imports nothing heavy, nor do the kinds themselves until they make a space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from widthwise.core.errors import UserError
from widthwise.core.registry import Entry, Registry
from widthwise.core.table import Table
from widthwise.spaces.settings import JOINT, QUANTISATION, TRAINED, WIDTH, SpaceSettings
from widthwise.training.settings import Settings

if TYPE_CHECKING:
    from widthwise.data.modules import Data
    from widthwise.network.graph import Graph
    from widthwise.spaces.space import Space


@dataclass(frozen=True)
class SearchTables:
    """What a config says of the space of its search.

    setup, seed: tables of [search.search_space]; training: [search.training], `base` what that starts from.
    finetuned: whether candidates are fine-tuned after the search, which is what `training` is about then.
    """

    setup: Table
    seed: Table
    training: Table
    base: Settings
    finetuned: bool = False


class SpaceKind(Protocol):
    """One kind of space; its settings and its space are of types that only it looks into.

    name: as search_space.name has it. always: costs that are stored of each candidate in any case.
    evaluator: the function that makes the evaluator, as "module:function" of (graph, space, data, settings,
        judging); imported when a search needs it, so that spaces know nothing of evaluators.
    """

    name: str
    always: tuple[str, ...]
    evaluator: str

    def read(self, tables: SearchTables, /) -> SpaceSettings:
        """The settings in these tables; raises UserError that names key and what is allowed."""
        ...

    def write(self, settings: Any, /) -> dict[str, Any]:
        """The tables under [search] that `read` reads the settings from: "search_space", and others."""
        ...

    def space(self, network: Graph, data: Data, settings: Any, /) -> Space:
        """What may be chosen in this network; raises UserError where the settings don't fit it."""
        ...

    def needs_weights(self, settings: Any, /) -> bool:
        """Whether candidates have the weights that the network comes with, so that they mean something."""
        ...

    def lines(self, network: Graph, space: Any, /) -> list[str]:
        """What may be chosen for each part of the network, a line each."""
        ...

    def warnings(self, space: Any, /) -> list[str]:
        """What the user should know of the space, as of rules that apply to nothing."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A kind whose candidates are made of a network that goes through passes first."""

    def network(self, network: Graph, settings: Any, /) -> Graph:
        """The network that candidates are made of; what a run keeps makes it so again."""
        ...


@runtime_checkable
class WithoutRules(Protocol):
    """A kind whose spaces have no rules, so that a config need not have a seed."""

    without_rules: bool


@runtime_checkable
class Tunable(Protocol):
    """A kind whose candidates are not trained yet, so that some can be fine-tuned after the search."""

    tunable: bool


KINDS: Registry[None] = Registry(
    "search space",
    [
        Entry(QUANTISATION, "widthwise.spaces.quantisation_kind:KIND", "the formats of each layer's tensors"),
        Entry(TRAINED, "widthwise.spaces.trained_kind:KIND", "bits that are trained with the weights"),
        Entry(WIDTH, "widthwise.spaces.width_kind:KIND", "the number of channels of each layer"),
        Entry(JOINT, "widthwise.spaces.joint_kind:KIND", "formats and channels in one search"),
    ],
    group="widthwise.spaces",
    spelling=str,
    methods=("read", "write", "space", "needs_weights", "lines", "warnings"),
)


def kind_of(settings: SpaceSettings) -> SpaceKind:
    """The kind of space that settings are of."""
    kind: SpaceKind = KINDS.load(settings.kind)
    return kind


def is_tunable(kind: SpaceKind) -> bool:
    """Whether candidates of a kind can be fine-tuned after the search."""
    return isinstance(kind, Tunable) and kind.tunable


def read_space(table: Table, training: Table, base: Settings, *, finetuned: bool = False) -> SpaceSettings:
    """The search space by its name; `training` is [search.training], `base` what it starts from.

    finetuned: whether the config has candidates fine-tuned.
    """
    name = table.text("name")
    if name is None:
        table.fail("name", f"is missing; allowed: {', '.join(KINDS.entries)}")
    setup, seed = table.table("setup"), table.table("seed")
    table.close()
    kind: SpaceKind = KINDS.load(name, where=table.where("name"))
    if not seed.values and not isinstance(kind, WithoutRules):
        raise UserError(f"{seed.where()}: is missing; add [search.search_space.seed.linear.config]")
    if finetuned and not is_tunable(kind):
        raise UserError(
            f"{table.where('name')}: candidates of {kind.name} are trained already, and [search.finetune] is "
            "for searches of formats; leave it out"
        )
    return kind.read(SearchTables(setup, seed, training, base, finetuned))

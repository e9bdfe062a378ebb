"""A kind of search space: one number of bits for all weights of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from widthwise.data.modules import Data
from widthwise.evaluators.engine import Evaluator
from widthwise.evaluators.judging import Judging
from widthwise.network.graph import Graph
from widthwise.spaces.kinds import SearchTables
from widthwise.spaces.quantisation import QuantisationSpace


@dataclass(frozen=True)
class OneFormat:
    """The widths that all weights may have."""

    kind: ClassVar[str] = "example/one-format"

    least: int
    most: int


class OneFormatKind:
    """Reads `least` and `most` bits from the seed table; a candidate for each width between."""

    name = "example/one-format"
    always = ("model_size",)
    evaluator = "widthwise_example.one_format:make_evaluator"

    def read(self, tables: SearchTables) -> OneFormat:
        """From [search.search_space.seed]."""
        least, most = tables.seed.whole("least", 2), tables.seed.whole("most", 8)
        if most < least:
            tables.seed.fail("most", f"{most} is below least = {least}; give a greater one")
        tables.seed.close(strict=True)
        return OneFormat(least, most)

    def write(self, settings: OneFormat) -> dict[str, Any]:
        """As it was read."""
        return {"search_space": {"name": self.name, "seed": {"least": settings.least, "most": settings.most}}}

    def space(self, network: Graph, data: Data, settings: OneFormat) -> QuantisationSpace:
        """One decision, tied over all layers."""
        widths = list(range(settings.least, settings.most + 1))
        rule = {"config": {"name": ["integer"], "weight_width": widths}}
        return QuantisationSpace(network, by="regex", seed={".*": rule}, tie=True)

    def needs_weights(self, settings: OneFormat) -> bool:
        """Weights that mean nothing give figures that mean nothing."""
        return True

    def lines(self, network: Graph, space: QuantisationSpace) -> list[str]:
        """The one decision."""
        return [f"all weights: {', '.join(map(str, space.decisions[0].choices))} bits"]

    def warnings(self, space: QuantisationSpace) -> list[str]:
        """None."""
        return []


def make_evaluator(
    network: Graph, space: QuantisationSpace, data: Data, settings: OneFormat, judging: Judging
) -> Evaluator:
    """The engine's: a space of formats is all that it needs."""
    return Evaluator(network, space, data, judging)


KIND = OneFormatKind()

"""Searches that train widths: what a config says of them, and the path of networks that comes of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.table import Table
from widthwise.spaces.kinds import SearchTables, SpaceKind
from widthwise.spaces.settings import FOLD_BATCHNORM, TRAINED, TrainedWidthSearch
from widthwise.training.trained_widths.settings import EACH, PRICES, Each, PathSettings

if TYPE_CHECKING:
    from widthwise.data.modules import Data
    from widthwise.network.graph import Graph
    from widthwise.spaces.path import PathSpace

SETUP = ("weights", "data", "bits")


class TrainedKind:
    """How many bits each weight and each channel has is trained with the weights, at a price that rises."""

    name: str = TRAINED
    always: tuple[str, ...] = ("average_bitwidth", "model_size")
    evaluator: str = "widthwise.evaluators.path:for_space"
    without_rules = True

    def read(self, tables: SearchTables) -> TrainedWidthSearch:
        """What has widths of its own, and in [search.training] how they are trained."""
        setup, training, base = tables.setup, tables.training, PathSettings()
        if tables.seed.values:
            raise UserError(
                f"{tables.seed.where()}: has no meaning here, as widths are trained and not chosen from "
                "lists; leave it out"
            )
        every: dict[str, Each] = {name: name for name in EACH}
        some: dict[str, Each] = {name: name for name in EACH[1:]}
        try:
            found = PathSettings(
                weights=setup.choice("weights", every, base.weights),
                data=setup.choice("data", some, base.data),
                bits=setup.whole("bits", base.bits, least=2, most=16),
                **_read_training(training, base),
            )
        except UserError as error:
            raise error.at(training.where()) from None
        if FOLD_BATCHNORM in setup and not setup.flag(FOLD_BATCHNORM, True):
            setup.fail(FOLD_BATCHNORM, "is always done here, as batch norms have no widths; leave it out")
        setup.close(strict=True)
        training.close(strict=True)
        return TrainedWidthSearch(found)

    def write(self, settings: TrainedWidthSearch) -> dict[str, Any]:
        """The space, and how widths are trained."""
        values = asdict(settings.training)
        setup = {key: values.pop(key) for key in SETUP}
        return {"search_space": {"name": self.name, "setup": setup}, "training": values}

    def network(self, network: Graph, settings: TrainedWidthSearch) -> Graph:
        """The network with its batch norms folded, as they have no widths."""
        from widthwise.network.passes.fold import fold_batchnorm_transform_pass

        if not any(layer.type.startswith("batch_norm") for layer in network.layers):
            return network
        return fold_batchnorm_transform_pass(network, {})[0]

    def space(self, network: Graph, data: Data, settings: TrainedWidthSearch) -> PathSpace:
        """The checkpoints of the training; UserError for layers whose widths can't be trained."""
        from widthwise.spaces.path import path_space
        from widthwise.training.trained_widths.layers import check

        check(network)
        return path_space(settings.training)

    def needs_weights(self, settings: TrainedWidthSearch) -> bool:
        """Always: the network that is given is what is learned from."""
        return True

    def lines(self, network: Graph, space: PathSpace) -> list[str]:
        """What of each layer has trained widths, and the prices."""
        from widthwise.training.trained_widths.layers import SUMS, WEIGHTED

        found = [
            f"{layer.name} ({layer.type}): widths of {', '.join(layer.tensors)} are trained"
            for layer in network.layers
            if layer.type in WEIGHTED | SUMS
        ]
        prices = space.decisions[0].choices
        return [*found, f"price of all bits: {prices[0]:g} to {prices[-1]:g}, {len(prices)} checkpoints"]

    def warnings(self, space: PathSpace) -> list[str]:
        """None: what can't be trained is refused."""
        return []


KIND: SpaceKind = TrainedKind()


def _read_training(table: Table, base: PathSettings) -> dict[str, Any]:
    return {
        "steps": table.whole("steps", base.steps),
        "checkpoints": table.whole("checkpoints", base.checkpoints),
        "price_from": table.number("price_from", base.price_from, above=0),
        "price_to": table.number("price_to", base.price_to, above=0),
        "settle": table.number("settle", base.settle, least=0),
        "cost": table.choice("cost", {name: name for name in PRICES}, base.cost),
        "learning_rate": table.number("learning_rate", base.learning_rate, above=0),
        "width_rate": table.number("width_rate", base.width_rate, above=0),
        "batch_size": table.whole("batch_size", base.batch_size, least=2),
        "mixup": table.number("mixup", base.mixup, least=0),
        "noise": table.number("noise", base.noise, least=0),
        "labels": table.number("labels", base.labels, least=0),
    }

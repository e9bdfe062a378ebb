"""Searches of formats: what a config says of them, and what it means for each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.toml import shown_choices
from widthwise.formats.base import UNSET
from widthwise.network.selection import BY
from widthwise.spaces.format_rules import quantisation_rule
from widthwise.spaces.kinds import SearchTables, SpaceKind
from widthwise.spaces.reading import (
    LAB_SETUP,
    checked_rules,
    is_float,
    left_out_line,
    seed_tables,
    single_line,
    without_default,
)
from widthwise.spaces.settings import (
    CORRECT,
    EQUALISE,
    FOLD_BATCHNORM,
    QUANTISATION,
    FormatWeights,
    QuantisationSearch,
)
from widthwise.training.finetuning.reading import read_shared, write_tuning

if TYPE_CHECKING:
    from widthwise.data.modules import Data
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer
    from widthwise.spaces.quantisation import QuantisationSpace

WEIGHTS: dict[str, FormatWeights] = {"inherit": "inherit", "supernet": "supernet"}


class QuantisationKind:
    """Which format and bits each tensor of each layer has; the weights stay as they are, or are those of one
    network that is trained for all candidates."""

    name: str = QUANTISATION
    always: tuple[str, ...] = ("average_bitwidth", "memory_density", "model_size")
    evaluator: str = "widthwise.evaluators.shared:for_space"
    tunable = True

    def read(self, tables: SearchTables) -> QuantisationSearch:
        """[search.training] is about a shared network and fine-tuning; where neither is asked for nothing is
        trained, and it is refused."""
        setup, seed, training = tables.setup, tables.seed, tables.training
        by = setup.choice("by", BY, "name")
        tie, share_inputs = setup.flag("tie", False), setup.flag("share_inputs", False)
        untie = setup.flag("untie", False)
        fold = setup.flag(FOLD_BATCHNORM, False) if FOLD_BATCHNORM in setup else None
        equalise, correct = setup.flag(EQUALISE, False), setup.flag(CORRECT, False)
        weights = setup.choice("weights", WEIGHTS, "inherit")
        if training.values and weights == "inherit" and not tables.finetuned:
            raise UserError(
                f"{training.where()}: nothing is trained in a search of formats; add [search.finetune], "
                'which trains members of the front, or weights = "supernet" in [search.search_space.setup], '
                "which trains one network for all candidates, or leave it out"
            )
        if correct and weights == "supernet":
            setup.fail(
                CORRECT,
                "is found for weights that stay, and a shared network is trained; leave one of the two out "
                '(weights = "supernet")',
            )
        setup.close(lab=LAB_SETUP)
        found = [quantisation_rule(key, rule) for key, rule in checked_rules(seed, by)]
        if all(map(is_float, found)):
            raise UserError(
                f'{seed.where()}: keeps every layer in float; give a rule name = ["integer"] or alike'
            )
        default, rules = without_default(found)
        trained = read_shared(training) if weights == "supernet" else None
        return QuantisationSearch(
            by, rules, default, tie, share_inputs, untie, fold, equalise, correct, weights, trained
        )

    def write(self, settings: QuantisationSearch) -> dict[str, Any]:
        """The space, and how a network is trained that all candidates share."""
        setup: dict[str, Any] = {
            "by": settings.by,
            "tie": settings.tie,
            "share_inputs": settings.share_inputs,
            "untie": settings.untie,
            FOLD_BATCHNORM: settings.fold_batchnorm,
            EQUALISE: settings.equalise,
            CORRECT: settings.bias_correction,
        }
        seed = seed_tables(settings.default, settings.rules)
        tables = {"search_space": {"name": self.name, "setup": setup, "seed": seed}}
        if settings.training is None:
            return tables
        setup["weights"] = settings.weights
        return {**tables, "training": write_tuning(settings.training)}

    def network(self, network: Graph, settings: QuantisationSearch) -> Graph:
        """The network as candidates are made of it: batch norms folded, channels equalised, where asked."""
        fold, equalise = bool(settings.fold_batchnorm), settings.equalise
        if not fold and not equalise:
            return network
        from widthwise.network.passes.equalise import made_ready

        norms = [layer.name for layer in network.layers if layer.type.startswith("batch_norm")]
        if fold and norms and network.capture != "fx":
            raise UserError(
                f"fold_batchnorm: the network runs as it is, so {norms[0]} can't be folded "
                f"({network.capture_error}); leave it out, and a target that asks for it"
            )
        return made_ready(network, folded=fold, equalised=equalise)

    def space(self, network: Graph, data: Data, settings: QuantisationSearch) -> QuantisationSpace:
        """The formats that the rules allow."""
        from widthwise.spaces.quantisation import QuantisationSpace

        return QuantisationSpace.from_config(network, settings)

    def needs_weights(self, settings: QuantisationSearch) -> bool:
        """Always."""
        return True

    def lines(self, network: Graph, space: QuantisationSpace) -> list[str]:
        """The choices of each layer, or why it stays as it is."""
        lines = []
        for layer in network.layers:
            fields = space.fields.get(layer.name, ())
            kept = any(field.key == "name" and set(field.choices) <= set(UNSET) for field in fields)
            said = "" if kept else ", ".join(f"{f.key} {shown_choices(f.choices)}" for f in fields)
            stays = "can't be quantised" if not layer.tensors else "stays in float"
            with_next = network.equalised.get(layer.name)
            equalised = f"; channels equalised with {with_next}" if with_next else ""
            lines.append(
                f"{layer.name} ({layer.type}): {said or stays}{equalised}{_correction(layer, space)}"
            )
        return lines

    def warnings(self, space: QuantisationSpace) -> list[str]:
        """Rules for another way to select layers, and a space with nothing to choose."""
        rules = ", ".join(dict.fromkeys(space.rules.values()))
        gone = ", ".join(space.folded)
        folded = [f"left out: rules for batch norms that were folded: {gone}"] if gone else []
        single = f"one choice for each key in the rules {rules}" if rules else "no layer has a rule"
        left = ", ".join(f"{layer} ({why})" for layer, why in (space.uncorrected or {}).items())
        kept = [f"biases that are not corrected: {left}"] if left else []
        return [*folded, *kept, *left_out_line(space.by, space.unused), *single_line(space, single)]


def _correction(layer: Layer, space: QuantisationSpace) -> str:
    """What becomes of the bias of a layer, where biases are corrected."""
    if space.uncorrected is None or layer.name not in {s.layer for s in space.slots if s.tensor == "weight"}:
        return ""
    why = space.uncorrected.get(layer.name)
    return f"; bias not corrected: {why}" if why else "; bias corrected"


KIND: SpaceKind = QuantisationKind()

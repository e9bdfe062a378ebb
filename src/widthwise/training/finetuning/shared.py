"""One network trained so that it is a good one in any of many schemes: a supernet of formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.core.steps import step
from widthwise.formats.switched import Current, Switched
from widthwise.network.scheme import Scheme, TensorName
from widthwise.training.finetuning.tuning import Training, Tuned, Tuner, settled
from widthwise.training.finetuning.unlearnable import idle, unlearnable

if TYPE_CHECKING:
    from widthwise.formats.base import Format
    from widthwise.network.graph import Graph

CALIBRATIONS = 10  # evenly along the training: formats follow weights and what is computed with them

Formats = Sequence[Sequence["Format | None"]]
"""Of each of some tensors [S], the formats that it may have; None is float."""


@dataclass(frozen=True, eq=False)
class Choices:
    """The tensors of a network that have formats, and the schemes that a training has it compute with.

    places: layer and tensor of each [S]. formats: of a network in float, what each tensor may have there,
    fixed by its weights and by data. draw: the number of a step to its schemes, format indices [k, S]; the
    first is that by which the training is watched, the second the one that is hardest to learn.
    """

    places: Sequence[tuple[str, TensorName]]
    formats: Callable[[Graph], Formats]
    draw: Callable[[int], IntArray]


def train_shared(tuner: Tuner, graph: Graph, choices: Choices) -> Tuned:
    """A copy of a network in float, trained so that its weights are good in all schemes of some choices.

    Each step adds up the gradients of several schemes (the sandwich rule: Yu and Huang 2019, over bits as in
    Jin et al. 2020, AdaBits), all learning from the float network as `tuner` has it. Layers are in eval mode,
    so statistics of batch norms stay those of the float network; formats are fixed anew ten times along the
    way. The graph stays as it is, and what comes back has no formats. Losses are those of the first scheme.
    Raises UserError where the training diverges, with step and loss.
    """
    switches = _Switches(graph, choices)
    switched, steps = switches.graph, tuner.settings.training.steps
    model = switched.model.to(tuner.device).eval()
    losses: list[float] = []
    with settled(tuner.device, tuner.seed):
        training = Training(tuner, model, (), tuner.settings.training, switches.each)
        for loss in training.losses():
            step("training the shared network, steps", len(losses), steps)
            losses.append(loss)
    model.to("cpu").eval()
    plain = switches.plain()
    if not all(p.isfinite().all() for p in plain.model.parameters() if p.is_floating_point()):
        raise UserError(
            f"training diverged: after step {len(losses):,} some weights are no numbers; lower learning_rate "
            f"(now {tuner.settings.training.learning_rate:g})"
        )
    narrow = switches.at(choices.draw(0)[1])
    notes = dict.fromkeys((*unlearnable(narrow), *idle(switched, training.idle)))
    return Tuned(plain, losses[0], losses[-1], tuple(notes))


class _Switches:
    """A copy of a network whose formats can be switched, all at once."""

    def __init__(self, graph: Graph, choices: Choices) -> None:
        self.choices = choices
        self.current = [Current(None) for _ in choices.places]
        self.formats = choices.formats(graph)
        self._part = 0
        self.graph = graph.quantized(self._schemes([Switched(each) for each in self.current]))

    def each(self, number: int, done: float) -> Iterator[None]:
        """Has the network compute with the schemes of a step, one after another."""
        if int(done * CALIBRATIONS) > self._part:
            self._part = int(done * CALIBRATIONS)
            self.formats = self.choices.formats(self.plain())
        for row in self.choices.draw(number):
            for current, fmt in zip(self.current, self._of(row), strict=True):
                current.fmt = fmt
            yield

    def at(self, row: IntArray) -> Graph:
        """A copy of the network with format indices [S]."""
        return self.graph.quantized(self._schemes(self._of(row)))

    def plain(self) -> Graph:
        """A copy of the network as it is now, in float."""
        made = self.graph.quantized({layer: Scheme() for layer, _ in self.choices.places})
        for parameter in made.model.parameters():
            parameter.grad = None
        made.model.eval()
        return made

    def _of(self, row: IntArray) -> list[Format | None]:
        return [self.formats[place][int(index)] for place, index in enumerate(row)]

    def _schemes(self, formats: Sequence[Format | None]) -> dict[str, Scheme]:
        found: dict[str, dict[TensorName, Format | None]] = {}
        for (layer, tensor), fmt in zip(self.choices.places, formats, strict=True):
            found.setdefault(layer, {})[tensor] = fmt
        return {layer: Scheme(**tensors) for layer, tensors in found.items()}

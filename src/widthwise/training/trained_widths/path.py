"""The path of one training: widths are trained while the price of bits rises, checkpoint by checkpoint."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.core.threads import one_torch_thread
from widthwise.training.trained_widths.network import TrainedNetwork

if TYPE_CHECKING:
    from widthwise.network.graph import Graph
    from widthwise.network.scheme import Scheme
    from widthwise.training.trained_widths.samples import Samples
    from widthwise.training.trained_widths.settings import PathSettings

    Loss = Callable[[Tensor, Tensor], Tensor]

DIVERGED = 1e4  # a loss, in units of how far the float network's outputs vary
RECIPE = 3  # of training; another number where the same settings come to other networks
SEEN = 1024  # samples on which ranges and scales are found at the start

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Learned:
    """What the loss is made of.

    outputs: what is judged of what the network returns. distance: how far outputs are from the float
    network's. loss: the task's, of outputs for targets.
    """

    outputs: Callable[[Any], Tensor]
    distance: Loss
    loss: Loss


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network on the path: the formats of its layers, and its tensors by name.

    dead: layers whose outputs follow no input any more. constant: whether those of the network are so.
    """

    number: int
    step: int
    schemes: Mapping[str, Scheme]
    weights: Mapping[str, Tensor]
    dead: tuple[str, ...] = ()
    constant: bool = False


class WidthPath:
    """One training, from the float network on; it goes forward alone.

    graph: the float network, whose outputs are learned from. The same graph, samples, settings and seed give
    the same path, wherever it was interrupted and taken up.
    """

    def __init__(
        self, graph: Graph, samples: Samples, learned: Learned, settings: PathSettings, seed: int
    ) -> None:
        self.samples, self.learned, self.settings, self.seed = samples, learned, settings, seed
        self.teacher = graph.model.eval()
        seen = samples.inputs[torch.linspace(0, len(samples) - 1, min(SEEN, len(samples))).long()]
        self.network = TrainedNetwork(graph, seen, settings).eval()
        values, widths = self.network.groups()
        self.optimizer = torch.optim.Adam([{"params": values}, {"params": widths}], fused=True)
        self.step, self._seen = 0, seen
        self._unit = self._found_unit(seen)
        self._begins_with = self._counted()

    def _found_unit(self, seen: Tensor) -> float:
        """How far the float network's outputs are from their mean: what distances are measured in."""
        with torch.no_grad():
            wanted = self._wanted(seen)
            unit = float(self.learned.distance(wanted.mean(0, keepdim=True).expand_as(wanted), wanted))
        if not math.isfinite(unit) or unit <= 0:
            raise UserError(
                f"the float network's outputs are all alike (they vary by {unit:g}), so nothing can be "
                "learnt from them; train it first"
            )
        return unit

    def _wanted(self, x: Tensor) -> Tensor:
        return self.learned.outputs(self.teacher(x)).detach()

    def _counted(self) -> float:
        with torch.no_grad():
            return max(float(self.network.counted(self.settings.cost)), 1.0)

    def state(self) -> dict[str, Tensor]:
        """All that the training goes on from, but its number of steps: tensors by name."""
        found = {f"network.{name}": x for name, x in self._own().items()}
        for index, parameter in enumerate(self._parameters()):
            for name, x in self.optimizer.state.get(parameter, {}).items():
                found[f"optimizer.{index}.{name}"] = x
        return found

    def load(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Goes to where the path stood whose `state` this is; KeyError, ValueError where it is another's."""
        own, parameters = self._own(), self._parameters()
        states = [
            {name: tensors[f"optimizer.{index}.{name}"].clone() for name in ("step", "exp_avg", "exp_avg_sq")}
            for index in range(len(parameters))
        ]
        values = {name: tensors[f"network.{name}"] for name in own}
        if any(x.shape != own[name].shape for name, x in values.items()) or any(
            state["exp_avg"].shape != parameter.shape
            for state, parameter in zip(states, parameters, strict=True)
        ):
            raise ValueError("tensors of other shapes")
        with torch.no_grad():
            for name, x in values.items():
                own[name].copy_(x)
        for parameter, state in zip(parameters, states, strict=True):
            self.optimizer.state[parameter] = state
        self.step = step

    def _own(self) -> dict[str, Tensor]:
        """What of the network is trained, or follows the data."""
        named = dict(self.network.named_parameters())
        return {
            name: x.data
            for name, x in named.items()
            if name.rpartition(".")[2] in ("value", "fraction", "whole")
        }

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def advance(self, number: int) -> Checkpoint:
        """Trains up to a checkpoint, which lies ahead; raises UserError where the training diverges."""
        with one_torch_thread():
            while self.step < self.settings.ends()[number]:
                self._take_step()
            return self.checkpoint(number)

    def checkpoint(self, number: int) -> Checkpoint:
        """What the network has come to."""
        network = self.network
        with torch.no_grad():
            network.prepare()  # with what the last step came to
        dead, constant = tuple(network.dead), False
        if dead:
            with torch.no_grad():
                found = self.learned.outputs(network(self._seen))
                constant = bool((found == found[:1]).all())
        return Checkpoint(number, self.step, network.schemes(), network.weights(), dead, constant)

    def _take_step(self) -> None:
        settings = self.settings
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        x, rows = self.samples.drawn(settings.batch_size, settings.mixup, settings.noise, generator)
        with torch.no_grad():
            wanted = self._wanted(x)
        loss = self.learned.distance(self.learned.outputs(self.network(x)), wanted) / self._unit
        counted = self.network.counted(settings.cost)
        if settings.labels:
            given = self.learned.outputs(self.network(self.samples.inputs[rows]))
            told = self.learned.loss(given, self.samples.targets[rows]) / self._unit
            loss = (1 - settings.labels) * loss + settings.labels * told
        total = loss + settings.price(self.step) * counted / self._begins_with
        for group, rate in zip(self.optimizer.param_groups, settings.rates(self.step), strict=True):
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        if not (value := float(total.detach())) < DIVERGED:
            raise UserError(
                f"training diverged at step {self.step + 1}: loss {value:g}; lower learning_rate = "
                f"{settings.learning_rate:g} or width_rate = {settings.width_rate:g}"
            )
        self.optimizer.step()
        self.step += 1

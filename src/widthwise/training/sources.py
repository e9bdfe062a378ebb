"""Where networks of other widths come from: trained afresh, inherited and tuned, or read off a supernet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import numpy as np
from torch import Tensor

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import unknown
from widthwise.data.facts import part
from widthwise.data.modules import Data
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.task import Task
from widthwise.network.graph import Graph
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.groups import Groups
from widthwise.network.widths.resize import recaptured, resized
from widthwise.network.widths.statistics import reestimate_norms
from widthwise.network.widths.unit_scores import Importance, unit_scores
from widthwise.training.beginning import begin_near_targets
from widthwise.training.loop import train
from widthwise.training.losses import loss_of
from widthwise.training.settings import Settings
from widthwise.training.supernet import Sandwich, Supernet, train_supernet

Mode = Literal["scratch", "inherit", "supernet"]
MODES: tuple[Mode, ...] = get_args(Mode)
Sizes = Mapping[str, int]


class NetworkSource(Protocol):
    """Networks of any sizes of some groups, with weights by which they can be judged."""

    def network(self, sizes: Sizes, seed: int, settings: Settings | None = None) -> Graph:
        """The network of these sizes by group name; those left out stay as they are.

        The same for the same sizes, seed and settings. settings: in place of the source's own, as for less
        training; a source that trains once for all has no use for them. Raises UserError where the training
        diverges.
        """
        ...


@dataclass(frozen=True, eq=False)
class Widths:
    """How the sizes of a network's groups vary, by group name; draw: sizes from a generator of numbers."""

    smallest: Sizes
    largest: Sizes
    draw: Callable[[np.random.Generator], Sizes]


@dataclass(frozen=True, eq=False)
class Scratch:
    """Each network trained from random weights of its seed."""

    graph: Graph
    groups: Groups
    data: Data
    task: Task
    output: str | int | None
    settings: Settings
    device: str = "cpu"

    def network(self, sizes: Sizes, seed: int, settings: Settings | None = None) -> Graph:
        """Made and trained anew each time."""
        network = self.graph.network
        model = resized(network, self.groups, sizes, weights="scratch", seed=seed).to(self.device)
        train(
            model,
            self.data,
            settings or self.settings,
            seed=seed,
            device=self.device,
            task=self.task,
            output=self.output,
            begin=True,
        )
        return recaptured(self.graph, model)


@dataclass(frozen=True, eq=False)
class Inherited:
    """Each network cut out of the one that there is, or grown from it, then tuned; that one is its teacher.

    scores: by group, of its units: what shrinking keeps.
    """

    graph: Graph
    groups: Groups
    data: Data
    task: Task
    output: str | int | None
    settings: Settings
    scores: Mapping[str, FloatArray]
    device: str = "cpu"

    def network(self, sizes: Sizes, seed: int, settings: Settings | None = None) -> Graph:
        """Made and tuned anew each time."""
        model = resized(
            self.graph.network, self.groups, sizes, weights="inherit", seed=seed, scores=self.scores
        ).to(self.device)
        reestimate_norms(model, part(self.data, "train"), device=self.device)
        train(
            model,
            self.data,
            settings or self.settings,
            seed=seed,
            device=self.device,
            teacher=self.graph.model,
            task=self.task,
            output=self.output,
        )
        return recaptured(self.graph, model)


@dataclass(frozen=True, eq=False)
class ReadOff:
    """Each network read off one of the largest widths, trained once for a seed and then remembered."""

    graph: Graph
    groups: Groups
    data: Data
    task: Task
    output: str | int | None
    settings: Settings
    widths: Widths
    sandwich: Sandwich | None = None
    device: str = "cpu"
    trained: dict[int, Supernet] = field(default_factory=dict)

    def network(self, sizes: Sizes, seed: int, settings: Settings | None = None) -> Graph:
        """A slice of the seed's supernet, whatever the settings: all share one training."""
        return recaptured(self.graph, self.supernet(seed).network(sizes, self.data, device=self.device))

    def supernet(self, seed: int) -> Supernet:
        """The supernet of this seed, trained when it is first asked for."""
        if seed not in self.trained:
            largest = resized(
                self.graph.network, self.groups, self.widths.largest, weights="scratch", seed=seed
            )
            begin_near_targets(
                largest.to(self.device), self.data, self.task, output=self.output, device=self.device
            )
            made = Supernet(largest, find_groups(largest, self.data))
            train_supernet(
                made,
                self.data,
                self.settings,
                smallest=self.widths.smallest,
                draw=self.widths.draw,
                sandwich=self.sandwich,
                seed=seed,
                device=self.device,
                task=self.task,
                output=self.output,
            )
            made.model.to(self.device)
            self.trained[seed] = made
        return self.trained[seed]


def network_source(
    mode: Mode,
    graph: Graph,
    groups: Groups,
    data: Data,
    settings: Settings,
    widths: Widths,
    *,
    task: Task,
    output: str | int | None = None,
    importance: Importance = "magnitude",
    sandwich: Sandwich | None = None,
    device: str = "cpu",
) -> NetworkSource:
    """The source of this mode; UserError for another. importance: what tells which units shrinking keeps."""
    match mode:
        case "scratch":
            return Scratch(graph, groups, data, task, output, settings, device)
        case "inherit":
            fitting = check_data_fits_model(graph.network, data, task, output)
            of_outputs = loss_of(task, Settings(loss=settings.loss))

            def loss(result: Any, targets: Tensor) -> Tensor:
                return of_outputs(fitting.output(result), targets)

            scores = unit_scores(graph.network, groups, how=importance, data=data, device=device, loss=loss)
            return Inherited(graph, groups, data, task, output, settings, scores, device)
        case "supernet":
            return ReadOff(graph, groups, data, task, output, settings, widths, sandwich, device)
    raise unknown("way to train candidates", mode, MODES)

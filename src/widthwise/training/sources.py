"""Where networks of other widths come from: trained afresh, inherited and tuned, or read off a supernet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, get_args

import numpy as np
from torch import Tensor, nn

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError, unknown
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
from widthwise.training.padding import Widest
from widthwise.training.settings import Settings
from widthwise.training.supernet import Sandwich, Supernet, train_supernet
from widthwise.training.together import ROWS, check_together, train_together

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
    teacher: ClassVar[None] = None

    def begun(self, sizes: Sizes, seed: int) -> nn.Module:
        """The network of these sizes, about to be trained; on the device."""
        network = self.graph.network
        model = resized(network, self.groups, sizes, weights="scratch", seed=seed).to(self.device)
        begin_near_targets(model, self.data, self.task, output=self.output, device=self.device)
        return model

    def network(self, sizes: Sizes, seed: int, settings: Settings | None = None) -> Graph:
        """Made and trained anew each time."""
        return _trained(self, sizes, seed, settings)


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

    @property
    def teacher(self) -> nn.Module:
        """The network that there is."""
        return self.graph.model

    def begun(self, sizes: Sizes, seed: int) -> nn.Module:
        """The network of these sizes, about to be tuned; on the device."""
        network = self.graph.network
        model = resized(network, self.groups, sizes, weights="inherit", seed=seed, scores=self.scores)
        reestimate_norms(model.to(self.device), part(self.data, "train"), device=self.device)
        return model

    def network(self, sizes: Sizes, seed: int, settings: Settings | None = None) -> Graph:
        """Made and tuned anew each time."""
        return _trained(self, sizes, seed, settings)


def _trained(source: Scratch | Inherited, sizes: Sizes, seed: int, settings: Settings | None) -> Graph:
    model = source.begun(sizes, seed)
    train(model, source.data, settings or source.settings, seed=seed, **_how(source))
    return recaptured(source.graph, model)


def _how(source: Scratch | Inherited) -> dict[str, Any]:
    """What each training of a source's networks is told, whatever its seed and settings."""
    return {name: getattr(source, name) for name in ("device", "teacher", "task", "output")}


class Stacked:
    """The networks of another source, up to ROWS trained at once.

    Each is the same whichever others are trained beside it. Raises UserError where they can't be stacked.
    """

    def __init__(self, source: Scratch | Inherited, widths: Widths) -> None:
        graph, self.source = source.graph, source
        self.widest = Widest(graph.network, source.groups, widths.largest, source.data)
        check_together(
            source.begun(widths.smallest, 0).cpu(),
            self.widest.places(widths.smallest),
            self.widest.model,
            source.data,
            source.settings,
            task=source.task,
            output=source.output,
        )

    def network(self, sizes: Sizes, seed: int, settings: Settings | None = None) -> Graph:
        """Made and trained anew each time, as one of many that could be."""
        made = self.networks([sizes], seed, settings)[0]
        if isinstance(made, UserError):
            raise made
        return made

    def networks(
        self, sizes: Sequence[Sizes], seed: int, settings: Settings | None = None
    ) -> list[Graph | UserError]:
        """Those of up to ROWS sizes, all with this seed; in place of one that diverged what is wrong."""
        source = self.source
        models = [source.begun(each, seed).cpu() for each in sizes]
        outcomes = train_together(
            models,
            [self.widest.places(each) for each in sizes],
            self.widest.model,
            source.data,
            settings or source.settings,
            seed=seed,
            **_how(source),
        )
        return [
            outcome if isinstance(outcome, UserError) else recaptured(source.graph, model.to(source.device))
            for model, outcome in zip(models, outcomes, strict=True)
        ]


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


def made_at_once(source: NetworkSource) -> int:
    """How many networks a source makes at once."""
    return ROWS if isinstance(source, Stacked) else 1


def each_made(
    source: NetworkSource, sizes: Sequence[Sizes], seed: int, settings: Settings
) -> Iterator[Graph | Exception]:
    """The network of each of these sizes, as many at once as the source makes, or why there is none."""
    for start in range(0, len(sizes), made_at_once(source)):
        now = sizes[start : start + made_at_once(source)]
        made: Sequence[Graph | Exception]
        try:
            if isinstance(source, Stacked):
                made = source.networks(now, seed, settings)
            else:
                made = [source.network(now[0], seed, settings)]
        except (UserError, RuntimeError, MemoryError) as error:
            made = [error] * len(now)
        yield from made


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
    stacked: bool = False,
    device: str = "cpu",
) -> NetworkSource:
    """The source of this mode; UserError for another.

    importance: what tells which units shrinking keeps. stacked: networks are trained several at once.
    """
    match mode:
        case "scratch":
            scratch = Scratch(graph, groups, data, task, output, settings, device)
            return Stacked(scratch, widths) if stacked else scratch
        case "inherit":
            fitting = check_data_fits_model(graph.network, data, task, output)
            of_outputs = loss_of(task, Settings(loss=settings.loss))

            def loss(result: Any, targets: Tensor) -> Tensor:
                return of_outputs(fitting.output(result), targets)

            scores = unit_scores(graph.network, groups, how=importance, data=data, device=device, loss=loss)
            inherited = Inherited(graph, groups, data, task, output, settings, scores, device)
            return Stacked(inherited, widths) if stacked else inherited
        case "supernet":
            if stacked:
                raise UserError("stacked: a supernet is one training for all; leave it out")
            return ReadOff(graph, groups, data, task, output, settings, widths, sandwich, device)
    raise unknown("way to train candidates", mode, MODES)

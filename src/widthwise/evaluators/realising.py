"""Realising candidates: all that makes their networks again, and the marks by which these are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from widthwise.core.hashing import hash_arrays, hash_value, hash_weights
from widthwise.data.blocks import DataBlock, first_of
from widthwise.metrics.quality.fits import Fit
from widthwise.metrics.quality.outputs import Output
from widthwise.network.graph import Graph
from widthwise.network.reading import Reader, run
from widthwise.network.realised import Input, Realised, inputs_of

if TYPE_CHECKING:
    from torch import nn

    from widthwise.network.scheme import Scheme

MARKED = 64  # samples whose outputs are a mark


class Realiser:
    """Makes the realised networks of an evaluator, with their marks.

    loader: gives the loader of the samples that candidates are judged on, at most `most` of them.
    fitting: how they are read, and which output is judged.
    """

    def __init__(
        self, graph: Graph, loader: Callable[[], Iterable[Any]], fitting: Fit, *, most: int | None
    ) -> None:
        self.graph, self.most, self.fitting, self._loader = graph, most, fitting, loader

    def of_formats(self, candidate: Iterable[int], schemes: Mapping[str, Scheme]) -> Realised:
        """The network with these schemes and its own weights."""
        marks = {"weights": self._weights, "outputs": self.outputs(self.graph.quantized(schemes).model)}
        return Realised(_key(candidate), {}, schemes, marks=marks, inputs=self.inputs, batch=self.batch)

    def of_training(
        self,
        candidate: Iterable[int],
        sizes: Mapping[str, int],
        model: nn.Module,
        judged: Mapping[str, float],
    ) -> Realised:
        """The network of these sizes as it was trained, the first time of several, and judged."""
        weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        marks = {
            "weights": hash_weights(model),
            "outputs": self.outputs(model),
            "quality": hash_value(dict(judged)),
        }
        return Realised(
            _key(candidate), sizes, {}, weights, marks=marks, inputs=self.inputs, batch=self.batch
        )

    def outputs(self, model: nn.Module) -> str:
        """A hash of what a network gives for the first samples; equal where every bit is."""
        return outputs_mark(model, self._samples, self.fitting.output)

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """What the network takes."""
        inputs = self._samples[0].inputs
        return inputs_of(inputs.keys(), inputs.values())

    @cached_property
    def batch(self) -> int | None:
        """How many samples the network takes at once; None: as many as one likes."""
        return len(self._samples[0]) if self.fitting.reader.whole_because else None

    @cached_property
    def _samples(self) -> list[DataBlock]:
        return marked_samples(self.fitting.reader, self._loader(), most=self.most)

    @cached_property
    def _weights(self) -> str:
        return hash_weights(self.graph.model)


def marked_samples(reader: Reader, loader: Iterable[Any], *, most: int | None = None) -> list[DataBlock]:
    """The first samples of a loader, whose outputs are a mark; UserError where it has none.

    Samples that can't be taken out of their batch are the whole first one.
    """
    count = MARKED if most is None else min(MARKED, most)
    if reader.whole_because:
        return [first_of(reader.batches(loader))[0]]
    return list(first_of(reader.blocks(loader, samples=count, most=count))[1])


def outputs_mark(model: nn.Module, samples: Sequence[DataBlock], output: Output) -> str:
    """A hash of what a network gives for these samples in eval mode."""
    return hash_arrays([("outputs", output(run(model, block.inputs))) for block in samples])


def _key(candidate: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(index) for index in candidate)

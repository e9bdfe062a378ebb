"""Realising candidates: all that makes their networks again, and the marks by which these are known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_arrays, hash_value, hash_weights
from widthwise.data.blocks import DataBlock, first_of
from widthwise.metrics.quality.fits import Fit
from widthwise.metrics.quality.outputs import Output
from widthwise.network.graph import Graph
from widthwise.network.passes.settling import settled
from widthwise.network.reading import Reader, run
from widthwise.network.realised import EXAMPLE_SAMPLES, Input, Realised, inputs_of
from widthwise.network.recording import PLACE
from widthwise.network.scheme import Scheme

if TYPE_CHECKING:
    from torch import Tensor, nn

MARKED = 64  # samples whose outputs are a mark
MOST_BYTES = 2**24  # of the data that is kept with a network

logger = logging.getLogger(__name__)


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
        plain, kept = settled(self.graph, schemes)
        outputs = self.outputs(plain.quantized(kept).model)
        if plain is not self.graph:
            marks = {"weights": hash_weights(plain.model), "outputs": outputs}
            return Realised(_key(candidate), {}, kept, _weights_of(plain), marks=marks, **self._known)
        marks = {"weights": self._weights, "outputs": outputs}
        return Realised(_key(candidate), {}, schemes, marks=marks, **self._known)

    def of_formats_and_weights(
        self,
        candidate: Iterable[int],
        graph: Graph,
        schemes: Mapping[str, Scheme],
        judged: Mapping[str, float],
        sizes: Mapping[str, int] | None = None,
    ) -> Realised:
        """A network with these schemes, and with the weights that it was trained to, as it was judged.

        sizes: of groups that were resized before, by name.
        """
        plain, schemes = settled(graph.quantized(dict.fromkeys(schemes, Scheme())), schemes)
        marks = {
            "weights": hash_weights(plain.model),
            "outputs": self.outputs(graph.model),
            "quality": hash_value(dict(judged)),
        }
        weights = _weights_of(plain)
        return Realised(_key(candidate), sizes or {}, schemes, weights, marks=marks, **self._known)

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
        return Realised(_key(candidate), sizes, {}, weights, marks=marks, **self._known)

    def of_shape(self, candidate: Iterable[int], sizes: Mapping[str, int]) -> Realised:
        """The network of these sizes with whatever weights."""
        return Realised(_key(candidate), sizes, {}, **self._known)

    def outputs(self, model: nn.Module) -> str:
        """A hash of what a network gives for the first samples; equal where every bit is."""
        return outputs_mark(model, self._samples, self.fitting.output)

    @cached_property
    def _known(self) -> dict[str, Any]:
        """What holds of every candidate."""
        made_up = Realised((), {}, {}, inputs=self.inputs, batch=self.batch)
        sample = sample_that_captures(self.graph, self.fitting.block, made_up.example())
        made = {"folded": bool(self.graph.folded), "equalised": bool(self.graph.equalised)}
        return {"inputs": self.inputs, "batch": self.batch, "sample": sample, **made}

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


def in_float(graph: Graph, fitting: Fit) -> Realised:
    """What makes the float network of a search again, without marks."""
    inputs = fitting.block.inputs
    whole = len(fitting.block) if fitting.reader.whole_because else None
    taken = inputs_of(inputs.keys(), inputs.values())
    folded, equalised = bool(graph.folded), bool(graph.equalised)
    return Realised((), {}, {}, inputs=taken, batch=whole, folded=folded, equalised=equalised)


def sample_that_captures(
    graph: Graph, block: DataBlock, made_up: Mapping[str, Tensor]
) -> dict[str, Tensor] | None:
    """The first inputs of a block, as few as lead the network the way that was captured.

    None where they are not needed: torch.fx traces the network, on made-up inputs too. None as well, with a
    warning in the log, where no part of the block does it, or it takes too much memory.
    """
    graph = graph.unfolded or graph  # which is what is captured again
    device = next((x.device for x in block.inputs.values()), "cpu")
    if graph.capture == "fx" and _captures(graph, {name: x.to(device) for name, x in made_up.items()}):
        return None
    for count in sorted({EXAMPLE_SAMPLES, len(block) // 2, len(block)}):
        if count < len(block) and not block.has_rows:
            continue
        part = block if count >= len(block) else block.part(0, count)
        if part.nbytes <= MOST_BYTES and _captures(graph, part.inputs):
            return {name: x.detach().cpu().clone() for name, x in part.inputs.items()}
    logger.warning("no samples are kept to capture the network on again, so its path may come out another")
    return None


def _captures(graph: Graph, inputs: Mapping[str, Tensor]) -> bool:
    """Whether the network, captured on these inputs, makes the calls of the graph."""
    try:
        return _calls(Graph(graph.network, inputs)) == _calls(graph)
    except UserError:
        return False


def _calls(graph: Graph) -> list[tuple[str, Any]]:
    return [(node.name, node.meta.get(PLACE)) for node in graph.fx_graph.nodes]


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


def _weights_of(graph: Graph) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in graph.model.state_dict().items()}


def _key(candidate: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(index) for index in candidate)

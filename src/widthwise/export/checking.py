"""Whether what was exported is the network that was judged: both run on the same samples and compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.batches import Takes, read_inputs
from widthwise.data.facts import part as loader_of
from widthwise.evaluators.realising import marked_samples, outputs_mark
from widthwise.metrics.quality.outputs import tensors_of
from widthwise.network.calling import arguments, cloned, takes_of
from widthwise.network.exactness import narrowed
from widthwise.network.reading import run as run_network

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.data.modules import Data
    from widthwise.export.scaler import Standardise
    from widthwise.metrics.quality.fits import Fit
    from widthwise.network.graph import Graph

AT_ONCE = 256  # samples
TOLERANCE = 1e-4  # of the greatest output, for forms that are not exact

Run = Callable[..., Any]


@dataclass(frozen=True)
class Check:
    """Of how many samples all outputs are equal numbers (or NaN both), and by how much they differ at most.

    on: what the samples are. as_judged: whether the network gives the outputs that it gave when it was
    judged; None where that is not known.
    """

    samples: int
    equal: int
    largest_difference: float
    scale: float  # the greatest magnitude among the network's outputs
    on: str
    as_judged: bool | None = None

    def passes(self, *, exact: bool) -> bool:
        """Whether they are equal, or else to the precision of floats."""
        if exact:
            return self.equal == self.samples
        return self.largest_difference <= TOLERANCE * max(self.scale, 1e-6)


def compare(
    graph: Graph, run: Run, batches: Iterable[Any], *, on: str, first: Standardise | None = None
) -> Check:
    """The network's outputs against those of `run` for batches of inputs [n, …]: all that it returns.

    first: what `run` does to inputs that were not standardised, before the network. `run` is called as the
    network is. Raises UserError where it fails, or gives outputs of other shapes.
    """
    samples = equal = 0
    largest = scale = 0.0
    takes = takes_of(graph.model)
    for batch in batches:
        inputs = read_inputs(batch, takes)
        given = inputs if first is None else {name: first.undone(x) for name, x in inputs.items()}
        inputs = inputs if first is None else {name: first(x) for name, x in given.items()}
        wanted = _rows(run_network(graph.model, inputs))
        found = _outputs(run, takes, given)
        if found.shape != wanted.shape:
            shapes = f"{list(found.shape)}, the network {list(wanted.shape)}"
            raise UserError(f"what was exported gives outputs of shape {shapes}")
        if wanted.dtype == torch.float32:  # as sums that float32 does not hold were judged
            found = narrowed(found)
        both = (found.double().flatten(1), wanted.double().flatten(1))
        same = (both[0] == both[1]) | (both[0].isnan() & both[1].isnan())
        samples += len(wanted)
        equal += int(same.all(dim=1).sum())
        difference = torch.where(same, 0.0, (both[0] - both[1]).abs()).nan_to_num(nan=math.inf)
        largest = max(largest, float(difference.max()))
        scale = max(scale, float(both[1].abs().nan_to_num(0.0, 0.0, 0.0).max()))
    return Check(samples, equal, largest, scale, on)


def batches_of(fitting: Fit, data: Data, part: str, most: int | None) -> Iterable[Mapping[str, Tensor]]:
    """The inputs that candidates were judged on, in batches."""
    for block in fitting.reader.blocks(loader_of(data, part), samples=AT_ONCE, most=most):
        yield block.inputs


def gives_marked(
    graph: Graph, fitting: Fit, data: Data, part: str, most: int | None, mark: str | None
) -> bool | None:
    """Whether the network gives the outputs that it was marked by; None where it has no such mark."""
    if mark is None:
        return None
    samples = marked_samples(fitting.reader, loader_of(data, part), most=most)
    return outputs_mark(graph.model, samples, fitting.output) == mark


def _rows(result: Any) -> Tensor:
    """All tensors of what a network returns, in one [n, …]; those that have another first axis as one row."""
    found = [x.cpu() for x in tensors_of(result).values()]
    if not found:
        raise UserError(f"the network returns a {type(result).__name__} without a tensor")
    if len(found) == 1:
        return found[0] if found[0].ndim else found[0][None]
    samples = len(found[0]) if found[0].ndim else 1
    whole = [x.double().reshape(1, -1) for x in found if not x.ndim or len(x) != samples]
    rows = [x.double().reshape(samples, -1) for x in found if x.ndim and len(x) == samples]
    return torch.cat([*rows, *(x.expand(samples, -1) for x in whole)], dim=1)


def _outputs(run: Run, takes: Takes, inputs: Mapping[str, Tensor]) -> Tensor:
    args, named = arguments(takes, cloned(inputs))
    try:
        with torch.no_grad():
            return _rows(run(*args, **named))
    except UserError:
        raise
    except Exception as error:  # the other tool's runtime may raise anything
        raise UserError(f"what was exported does not run: {describe_error(error)}") from error

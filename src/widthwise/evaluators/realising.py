"""Realising candidates: all that makes their networks again, and the marks by which these are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_arrays, hash_value, hash_weights
from widthwise.evaluators.blocks import first_block, input_names
from widthwise.network.graph import Graph, run_in_eval_mode
from widthwise.network.realised import Input, Realised, inputs_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from widthwise.network.scheme import Scheme

MARKED = 64  # samples whose outputs are a mark


class Realiser:
    """Makes the realised networks of an evaluator, with their marks.

    loader: gives the loader of the samples that candidates are judged on, at most `most` of them.
    """

    def __init__(
        self, graph: Graph, loader: Callable[[], Iterable[Any]], *, most: int | None, device: str
    ) -> None:
        self.graph, self.most, self.device, self._loader = graph, most, device, loader

    def of_formats(self, candidate: Iterable[int], schemes: Mapping[str, Scheme]) -> Realised:
        """The network with these schemes and its own weights."""
        marks = {"weights": self._weights, "outputs": self.outputs(self.graph.quantized(schemes).model)}
        return Realised(_key(candidate), {}, schemes, marks=marks, inputs=self.inputs)

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
        return Realised(_key(candidate), sizes, {}, weights, marks=marks, inputs=self.inputs)

    def outputs(self, model: nn.Module) -> str:
        """A hash of what a network gives for the first samples; equal where every bit is."""
        return outputs_mark(model, self._samples)

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """What the network takes."""
        return inputs_of(input_names(self.graph), self._samples)

    @cached_property
    def _samples(self) -> tuple[Tensor, ...]:
        return marked_samples(self.graph, self._loader(), most=self.most, device=self.device)

    @cached_property
    def _weights(self) -> str:
        return hash_weights(self.graph.model)


def marked_samples(
    graph: Graph, loader: Iterable[Any], *, most: int | None = None, device: str = "cpu"
) -> tuple[Tensor, ...]:
    """Inputs of the first samples of a loader whose outputs are a mark; UserError where it has none."""
    count = MARKED if most is None else min(MARKED, most)
    return first_block(loader, samples=count, device=device, names=input_names(graph)).inputs


def outputs_mark(model: nn.Module, samples: Sequence[Tensor]) -> str:
    """A hash of what a network gives for these samples in eval mode."""
    outputs = first_tensor(run_in_eval_mode(model, *(x.clone() for x in samples)))
    return hash_arrays([("outputs", outputs)])


def first_tensor(result: Any) -> Tensor:
    """The first tensor of what a network returns; UserError where there is none."""
    from torch import Tensor
    from torch.utils._pytree import tree_leaves

    for leaf in tree_leaves(result):
        if isinstance(leaf, Tensor):
            return leaf
    raise UserError(f"the network returns a {type(result).__name__} without a tensor")


def _key(candidate: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(index) for index in candidate)

"""Realised networks: all that makes the network of one candidate again, without data and without training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_weights
from widthwise.network.calling import cloned, positional
from widthwise.network.checkpoints import load_tensors
from widthwise.network.graph import Graph
from widthwise.network.passes.equalise import made_ready
from widthwise.network.passes.settling import settled
from widthwise.network.scheme import TENSORS, Scheme
from widthwise.network.widths.resize import resize

if TYPE_CHECKING:
    from torch import Tensor, nn

EXAMPLE_SAMPLES = 2
MOST_VALUES, MOST_BATCH = 2**26, 2**16  # of a sample, and samples at once, that a file may say


@dataclass(frozen=True)
class Input:
    """One input of a network: its name, the shape of a sample, its type as torch writes it ("float32")."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def example(self, samples: int, generator: torch.Generator) -> Tensor:
        """Values [samples, *shape] that a network takes: from 0 to 1, or 0 where they are no floats."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        if dtype.is_floating_point:
            return torch.rand(samples, *self.shape, generator=generator).to(dtype)
        return torch.zeros(samples, *self.shape, dtype=dtype)


@dataclass(frozen=True, eq=False)
class Realised:
    """All that makes a candidate's network again, on any machine, without data and without training.

    candidate: choice indices [D]. sizes: the groups that were resized, by name, with their channels.
    schemes: of each layer that has one, calibrated: nothing follows the data any more but scales of blocks.
    weights: the float network's tensors by name; None: those of the network that was searched, as they are.
    repeat: which of several trainings these weights are from, 0 the first.
    marks: "weights", a hash of the float network's tensors; "outputs", of what the network gives for the
    first samples that it was judged on; "quality", of its metrics there, where it was trained.
    inputs: what the network takes, by name; batch: so many samples at once, None: any.
    model: its name in the config; None: it was given from Python.
    network: the network that was searched itself, where it is at hand (see `complete`); never written.
    sample: inputs of the data by name, where the network may take another way on made-up ones.
    folded: whether its batch norms were folded before it was searched: its weights are those then.
    equalised: whether its channels were equalised then.
    """

    candidate: tuple[int, ...]
    sizes: Mapping[str, int]
    schemes: Mapping[str, Scheme]
    weights: Mapping[str, Tensor] | None = None
    repeat: int = 0
    marks: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    model: str | None = None
    network: nn.Module | None = None
    batch: int | None = None
    sample: Mapping[str, Tensor] | None = None
    folded: bool = False
    equalised: bool = False

    def complete(self, network: nn.Module) -> Realised:
        """The same with the network that was searched and, where it has no weights of its own, with its."""
        weights = self.weights
        if weights is None:
            weights = {
                name: x.detach().clone() for name, x in self._captured(network).model.state_dict().items()
            }
        return replace(self, weights=weights, network=network)

    def graph(self, network: nn.Module | None = None) -> Graph:
        """The network again: `network` captured, resized, with these weights and schemes, in eval mode.

        network: as it was searched, by default that of `complete`; it stays as it is. Raises UserError where
        the weights don't fit it, or are other ones than the mark says.
        """
        network = self.network if network is None else network
        if network is None:
            raise UserError("a realised network is made of the one that was searched; give that")
        made = self._captured(network).copy()
        if self.weights is not None:
            load_tensors(made.model, self.weights, source="the weights that were kept")
        expected = self.marks.get("weights")
        if expected is not None and (found := hash_weights(made.model)) != expected:
            raise UserError(
                f"the weights are not those that were judged (mark {expected}, here {found}); give the "
                "network that was searched, and the run folder as the search left it"
            )
        made.model.eval()
        self._check_reach(made)
        plain, kept = settled(made, self.schemes)
        return plain.quantized(kept) if kept else plain

    def _check_reach(self, made: Graph) -> None:
        """Raises UserError where the network lacks a tensor that has a format."""
        tensors = {layer.name: layer.tensors for layer in made.layers} if self.schemes else {}
        for name, scheme in self.schemes.items():
            lost = [tensor for tensor in TENSORS if scheme[tensor] and tensor not in tensors.get(name, ())]
            if lost:
                raise UserError(
                    f"{name}: has no {lost[0]} here, which was judged in {scheme[lost[0]]}; give "
                    "the network that was searched, built anew in place of copying it"
                )

    def example(self, samples: int = EXAMPLE_SAMPLES) -> dict[str, Tensor]:
        """Inputs [samples, …] that the network takes, the same each time; empty where none are known.

        A network that takes just so many samples at once has those, and one of which samples of the data are
        kept has all of these: fewer, or others, might lead it another way.
        """
        if self.sample is not None:
            return cloned(self.sample)
        generator = torch.Generator().manual_seed(0)
        return {known.name: known.example(self.batch or samples, generator) for known in self.inputs}

    def as_json(self) -> dict[str, Any]:
        """All but the weights and the sample as JSON has it; `from_json` reads it back bit for bit."""
        return {
            "candidate": list(self.candidate),
            "sizes": dict(self.sizes),
            "schemes": {name: scheme.to_config() for name, scheme in self.schemes.items()},
            "repeat": self.repeat,
            "marks": dict(self.marks),
            "inputs": [[known.name, list(known.shape), known.dtype] for known in self.inputs],
            "model": self.model,
            "batch": self.batch,
            "folded": self.folded,
            "equalised": self.equalised,
        }

    @classmethod
    def from_json(
        cls,
        stored: Mapping[str, Any],
        weights: Mapping[str, Tensor] | None = None,
        sample: Mapping[str, Tensor] | None = None,
        *,
        where: str,
    ) -> Realised:
        """What `as_json` wrote, with these tensors; raises UserError, after `where`, for anything else."""
        try:
            return cls(
                candidate=tuple(int(index) for index in stored["candidate"]),
                sizes={str(name): int(size) for name, size in stored["sizes"].items()},
                schemes={
                    str(name): Scheme.from_config(config, where=f"{where}: {name}")
                    for name, config in stored["schemes"].items()
                },
                weights=weights,
                repeat=int(stored["repeat"]),
                marks={str(name): str(mark) for name, mark in stored["marks"].items()},
                inputs=tuple(_input(*known) for known in stored["inputs"]),
                model=None if stored["model"] is None else str(stored["model"]),
                batch=None if stored.get("batch") is None else _batch(stored["batch"]),
                sample=sample,
                folded=bool(stored.get("folded", False)),
                equalised=bool(stored.get("equalised", False)),
            )
        except UserError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise UserError(f"{where}: is broken, or no description of a network; write it again") from error

    def _captured(self, network: nn.Module) -> Graph:
        try:
            found = Graph(network, self._example_for(network) or None)
        except TypeError as error:
            if not self.inputs:
                raise
            raise UserError("what is kept of the network's inputs is not what it takes") from error
        if self.sizes:  # with its batch norms, as it was trained
            found = self._resized(found)
        return made_ready(found, folded=self.folded, equalised=self.equalised)

    def _example_for(self, network: nn.Module) -> dict[str, Tensor]:
        """The example, where the network lies."""
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
        return {name: x.to(device) for name, x in self.example().items()}

    def _resized(self, captured: Graph) -> Graph:
        example = positional(captured.network, self._example_for(captured.model))
        return resize(captured, self.sizes, weights="scratch", example=example or None)


def inputs_of(names: Iterable[str], tensors: Iterable[Tensor]) -> tuple[Input, ...]:
    """What a network takes that was given these tensors [samples, …] by these names."""
    return tuple(
        Input(name, tuple(x.shape[1:]), str(x.dtype).removeprefix("torch."))
        for name, x in zip(names, tensors, strict=True)
    )


def _batch(stored: Any) -> int:
    if not 0 < int(stored) <= MOST_BATCH:
        raise ValueError(f"{stored} samples at once")
    return int(stored)


def _input(name: str, shape: list[int], dtype: str) -> Input:
    if not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise TypeError(f"{dtype} is no type of torch")
    sizes = tuple(int(size) for size in shape)
    if any(size < 0 for size in sizes) or math.prod(sizes) > MOST_VALUES:
        raise ValueError(f"{shape} is no shape of a sample")
    return Input(str(name), sizes, dtype)

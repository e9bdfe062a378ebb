"""A network as a program of torch.export: what it computes, without widthwise, from one file."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.network.calling import arguments, cloned, takes_of

if TYPE_CHECKING:
    from widthwise.network.realised import Realised

PROGRAM = "network.pt2"  # which widthwise writes and never reads
TRACED, TRIED = 2, 256  # samples that it is made of, and that it is tried on
GUARD = "Guard failed"  # as programs of torch.export begin to say what they were not made for
REASON = 200  # characters of what torch says


@dataclass(frozen=True)
class Program:
    """A program as its file holds it, and as read back from that; alone: it takes one sample at a time."""

    content: bytes
    run: Callable[..., Any]
    alone: bool

    def is_like(self, model: nn.Module, inputs: tuple[Tensor, ...], named: Mapping[str, Tensor]) -> bool:
        """Whether it gives the bits of a network for inputs [n, ...], as many at once as it takes."""
        samples = len(next(iter((*inputs, *named.values()))))
        parts = [slice(row, row + 1) for row in range(samples)] if self.alone else [slice(None)]
        return all(
            _same(
                model(*_part(inputs, part), **cloned(given)), self.run(*_part(inputs, part), **cloned(given))
            )
            for part in parts
            for given in [{name: x[part] for name, x in named.items()}]
        )


Made = tuple[Program | None, str]


class Scaled(nn.Module):
    """A network of one input, which is standardised first: hooks are no part of programs."""

    def __init__(self, first: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.first, self.then = first, network

    def forward(self, x: Tensor) -> Any:
        """What the network gives for x standardised."""
        return self.then(self.first(x))


def program_of(model: nn.Module, realised: Realised, *, first: nn.Module | None = None) -> Made:
    """A network's program and what is to know of it; None and why there is none.

    first: what its only input goes through before.

    It is made for any number of samples, where torch can, or else for one. Made-up inputs have to give what
    the network gives, bit for bit: elsewhere there is none.
    """
    example, tried = realised.example(TRACED), realised.example(TRIED)
    if not example:
        return None, f"no {PROGRAM}: what the network takes is not known"
    if first is not None:
        model = Scaled(first, model)
        example, tried = ({"x": next(iter(found.values()))} for found in (example, tried))
    fixed = realised.batch is not None or realised.sample is not None
    reason = ""
    for alone in (False,) if fixed else (False, True):
        try:
            made = _made(model, example, free=not fixed and not alone, alone=alone)
            with torch.no_grad():
                alike = made.is_like(model, *_spread(model, tried))
        except Exception as error:  # of torch's exporter, which raises many kinds
            reason = f"torch.export does not take this network: {_first_line(error)}"
            continue
        if not alike:
            reason = "the program of torch.export gives other bits than the network"
            continue
        samples = (
            "just so many samples" if fixed else "one sample at a time" if alone else "any number of samples"
        )
        shapes = ", ".join(f"{name} {list(x.shape[1:])}" for name, x in example.items())
        return made, f"{PROGRAM}: a program of torch.export, for {samples} of these shapes: {shapes}"
    return None, f"no {PROGRAM}: {reason}"


def check_alike(
    program: Program, model: nn.Module, inputs: tuple[Tensor, ...], named: Mapping[str, Tensor]
) -> None:
    """Raises UserError where a program gives other bits for inputs than a network.

    Inputs of other shapes than it was made of it may refuse by itself: it never gives anything wrong for them.
    """
    try:
        alike = program.is_like(model, inputs, named)
    except AssertionError as error:
        if GUARD in str(error):
            return
        raise
    if not alike:
        raise UserError(
            f"{PROGRAM}: the program of torch.export gives other outputs than the network on these samples; "
            "--option program=false leaves it out"
        )


def _made(model: nn.Module, example: Mapping[str, Tensor], *, free: bool, alone: bool) -> Program:
    given = {name: x[:1] for name, x in example.items()} if alone else example
    args, named = arguments(takes_of(model), cloned(given))
    axes = tree_map_only(Tensor, lambda x: {0: torch.export.Dim.AUTO} if x.ndim else {}, (args, named))
    content = io.BytesIO()
    with _quiet(), torch.no_grad():
        made = torch.export.export(model, args, named, dynamic_shapes=_shapes(model, axes) if free else None)
        torch.export.save(made, content)
        back = torch.export.load(io.BytesIO(content.getvalue()))  # what was just written, and no other file
    return Program(content.getvalue(), back.module(), alone)


def _shapes(model: nn.Module, axes: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
    """As torch.export takes them: by position, or by name where some are given so."""
    args, named = axes
    if not named:
        return args
    return dict(zip(list(takes_of(model).names), args, strict=False)) | named


def _same(one: Any, other: Any) -> bool:
    pairs = [[x for x in tree_leaves(each) if isinstance(x, Tensor)] for each in (one, other)]
    return len(pairs[0]) == len(pairs[1]) and all(
        x.shape == y.shape and x.dtype == y.dtype and torch.equal(x.nan_to_num(), y.nan_to_num())
        for x, y in zip(*pairs, strict=True)
    )


def _spread(model: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Made-up inputs from 0 to 1 as arguments from -4 to 4 and, every second sample, from -256 to 256."""
    found = {name: x * 8 - 4 if x.is_floating_point() else x for name, x in inputs.items()}
    for x in found.values():
        if x.is_floating_point():
            x[::2] *= 64
    return arguments(takes_of(model), found)


def _part(inputs: tuple[Tensor, ...], rows: slice) -> tuple[Tensor, ...]:
    """Copies: a network may change what it is given."""
    return tuple(x[rows].clone() for x in inputs)


def _first_line(error: Exception) -> str:
    return describe_error(error).splitlines()[0][:REASON]


@contextmanager
def _quiet() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)

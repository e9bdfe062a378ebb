"""How a network is given its data: what it takes, in its precision, and whether its samples may be regrouped.

All this is found by running the network on a few samples, and said: nothing is cast or cut where it matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.batches import Takes, read_batch
from widthwise.data.blocks import DataBlock, first_of, in_blocks
from widthwise.network.asking import asks_for_values
from widthwise.network.calling import as_example, call, cloned, takes_of
from widthwise.network.misfit import misfit
from widthwise.network.undisturbed import run_in_eval_mode

PIECE = 8  # samples that a network is tried on
NO_ROWS = "its inputs have no row for each sample"
FIXED_SIZE = "the network doesn't run on parts of them"
MIXED = "what the network gives for a sample follows the others of its batch"
NO_OUTPUTS = "what the network gives for a few of them has no row for each"
ASKS = "its code asks for values, by which it may decide about a whole batch"
RANDOM = "the network gives other outputs each time that it runs"


@dataclass(frozen=True)
class Reader:
    """Reads the batches of a loader into a network's inputs and targets.

    dtype: what float inputs are cast to, as the network fails on theirs (`given`); None: nothing is.
    whole_because: why samples stay in the batches that they came in; "": batches may be cut and joined.
    where: what errors call the data.
    """

    takes: Takes
    device: str = "cpu"
    dtype: torch.dtype | None = None
    given: torch.dtype | None = None
    whole_because: str = ""
    where: str = "the data"

    @property
    def notes(self) -> list[str]:
        """What is done to the data that its user may not expect."""
        found = []
        if self.dtype is not None:
            found.append(
                f"{short(self.given)} samples cast to {short(self.dtype)}, as the network takes them"
            )
        if self.whole_because:
            found.append(f"judged in the data's own batches, because {self.whole_because}")
        return found

    def read(self, batch: Any) -> DataBlock:
        """One batch; raises UserError for one that holds no inputs of the network, or no targets."""
        return read_batch(batch, self.takes, where=self.where).to(self.device, self.dtype)

    def batches(self, loader: Iterable[Any], *, most: int | None = None) -> Iterator[DataBlock]:
        """The loader's batches, at most `most` samples of them; UserError for what gives none."""
        if not isinstance(loader, Iterable) and not hasattr(loader, "__getitem__"):
            raise UserError(
                f"{self.where}: has {'no loader' if loader is None else f'no loader but {loader!r}'}; let "
                "train_dataloader, val_dataloader and test_dataloader return what gives batches (x, y)"
            )
        found = map(self.read, loader)
        if most is None:
            return found
        return in_blocks(found, samples=1, most=most, whole=True) if self.whole_because else _cut(found, most)

    def blocks(self, loader: Iterable[Any], *, samples: int, most: int | None = None) -> Iterator[DataBlock]:
        """The loader's samples in blocks of `samples`, or in its own batches where they stay there."""
        return in_blocks(self.batches(loader), samples=samples, most=most, whole=bool(self.whole_because))


@dataclass(frozen=True, eq=False)
class Trial:
    """What a network returned for a block, the first samples or the first batch, and how data is to be read.

    targets: those of the whole first batch.
    """

    reader: Reader
    block: DataBlock
    result: Any
    targets: Tensor

    @property
    def example(self) -> tuple[Any, ...] | dict[str, Any]:
        """The block's inputs as arguments."""
        return as_example(self.reader.takes, self.block.inputs)


def try_on(model: nn.Module, loader: Iterable[Any], *, device: str = "cpu", where: str = "the data") -> Trial:
    """Runs a network that is on the device, in eval mode, on a few samples of a loader and on parts of them.

    Raises UserError where the network can't take the data.
    """
    model = getattr(model, "_orig_mod", model)  # to compile it would take longer than all that follows
    reader = Reader(takes_of(model), device, where=where)
    first, batches = first_of(reader.batches(loader), where)
    return replace(_tried(model, reader, first, batches), targets=first.targets)


def _tried(model: nn.Module, reader: Reader, first: DataBlock, batches: Iterable[DataBlock]) -> Trial:
    """The network tried on the first few samples of these batches; on the first batch where it has to be."""
    if not first.has_rows:
        return _settled(model, replace(reader, whole_because=NO_ROWS), first)
    piece = first_of(in_blocks(batches, samples=PIECE))[0]
    piece = DataBlock(cloned(piece.inputs), piece.targets.clone())  # a view would keep the batch in memory
    try:
        found = _settled(model, reader, piece)
    except UserError:  # which the whole batch tells again, if that is not what it takes
        return _settled(model, replace(reader, whole_because=FIXED_SIZE), first)
    because = _bound_to_batch(model, found)
    if not because:
        return found
    whole = replace(found.reader, whole_because=because)
    return _settled(model, replace(whole, dtype=None), first)


def run(model: nn.Module, inputs: Mapping[str, Tensor], takes: Takes | None = None) -> Any:
    """What a network returns in eval mode, without gradients; inputs and random state stay as they are."""
    # fx writes to stderr where a traced network fails, which is told by whoever catches it
    with torch.random.fork_rng(devices=[]), redirect_stderr(StringIO()):
        return run_in_eval_mode(model, run=lambda: call(model, cloned(inputs), takes))


def called(model: nn.Module, block: DataBlock, takes: Takes | None = None) -> Any:
    """What a network returns for a block, in the mode that it is in; UserError where it fails."""
    try:
        return call(model, block.inputs, takes)
    except Exception as error:  # the network may raise anything
        shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in block.inputs.items())
        raise UserError(
            f"the network failed on a batch of {len(block)}, {shapes}: {describe_error(error)}; give batches "
            "that it takes, all of them"
        ) from error


def batches_of(
    model: nn.Module, loader: Iterable[Any], *, device: str = "cpu", where: str = "the data"
) -> Iterator[DataBlock]:
    """The loader's batches as the network takes them, which is on the device."""
    reader = Reader(takes_of(model), device, where=where)
    found = reader.batches(loader)
    for block in found:
        dtype = None if _in_precision(model, block) else _settled(model, reader, block).reader.dtype
        yield from (one.to(device, dtype) for one in chain([block], found))


def short(dtype: torch.dtype | None) -> str:
    """A type as people write it."""
    return str(dtype).removeprefix("torch.")


def precision(model: nn.Module) -> torch.dtype:
    """The float type of a network's parameters; float32 where it has none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def _settled(model: nn.Module, reader: Reader, block: DataBlock) -> Trial:
    """The block run as it is or, where that fails, in the network's precision."""
    try:
        return Trial(reader, block, run(model, block.inputs, reader.takes), block.targets)
    except Exception as error:  # the network may raise anything
        reason = error
    wanted, floats = precision(model), [x.dtype for x in block.inputs.values() if x.is_floating_point()]
    if any(dtype != wanted for dtype in floats):
        cast = block.to(reader.device, wanted)
        if (done := _result(model, cast, reader.takes)) is not None:
            return Trial(replace(reader, dtype=wanted, given=floats[0]), cast, done[0], block.targets)
    others = {name: x for name, x in block.inputs.items() if not x.is_floating_point()}
    as_floats = DataBlock(
        {**block.inputs, **{name: x.to(wanted) for name, x in others.items()}}, block.targets
    ).to(reader.device, wanted)
    if others and _result(model, as_floats, reader.takes) is not None:
        name, x = next(iter(others.items()))
        raise UserError(
            f"{reader.where}: its samples ({name}) are {short(x.dtype)}, the network takes {short(wanted)}; "
            "convert them as in training, as in x.float() / 255"
        ) from reason
    raise misfit(model, block, reader.where, reason) from reason


def _result(model: nn.Module, block: DataBlock, takes: Takes) -> tuple[Any] | None:
    """What the network returns, in a tuple; None where it fails."""
    try:
        return (run(model, block.inputs, takes),)
    except Exception:  # said by the first attempt
        return None


def _in_precision(model: nn.Module, block: DataBlock) -> bool:
    wanted = precision(model)
    return all(x.dtype == wanted for x in block.inputs.values() if x.is_floating_point())


def _bound_to_batch(model: nn.Module, found: Trial) -> str:
    """Why the samples of the trial's block have to stay together; "" where each is by itself."""
    block, takes = found.block, found.reader.takes
    once = _rows(found.result, len(block))
    if not once:
        return NO_OUTPUTS
    if len(block) < 2:
        return ""
    middle = len(block) // 2
    parts = [_result(model, part, takes) for part in (block.part(0, middle), block.part(middle, len(block)))]
    if None in parts:
        return FIXED_SIZE
    lower, upper = (
        _rows(part[0], n) for part, n in zip(parts, (middle, len(block) - middle), strict=True) if part
    )
    if _same(once, lower, upper):
        asks = asks_for_values(lambda: run(model, block.inputs, takes), block.inputs.values())
        return ASKS if asks else ""
    with torch.random.fork_rng(devices=[]):  # each run begins with the same state of the generator
        torch.default_generator.manual_seed(torch.initial_seed() + 1)
        again = _result(model, block, takes)
    nothing = [x[:0] for x in once]
    return MIXED if again is not None and _same(once, _rows(again[0], len(block)), nothing) else RANDOM


def _rows(result: Any, samples: int) -> list[Tensor]:
    """The tensors of what a network returns that have a row for each sample."""
    tensors = (leaf for leaf in tree_leaves(as_plain(result)) if isinstance(leaf, Tensor))
    return [x for x in tensors if x.ndim and len(x) == samples]


def _same(whole: list[Tensor], lower: list[Tensor], upper: list[Tensor]) -> bool:
    """Whether the rows of the parts are those of the whole, to the precision of floats."""
    if not len(whole) == len(lower) == len(upper):
        return False
    for x, *parts in zip(whole, lower, upper, strict=True):
        if any(x.shape[1:] != part.shape[1:] for part in parts):
            return False
        rows = [row for part in parts for row in part]  # one at a time: outputs may be the largest there is
        scale = max(map(_greatest, x), default=0.0)
        slack = torch.finfo(x.dtype).eps ** 0.5 * scale if x.is_floating_point() else 0.0
        for row, exact in zip(rows, x, strict=True):
            if not torch.allclose(row.double(), exact.double(), rtol=0.0, atol=slack, equal_nan=True):
                return False
    return True


def _greatest(row: Tensor) -> float:
    """The greatest finite magnitude; 0 where there is none."""
    finite = row[row.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def as_plain(result: Any) -> Any:
    """What a network returns with dataclasses as dicts: their fields that are not None."""
    fields = getattr(result, "__dataclass_fields__", None)
    if fields is not None and not isinstance(result, type | Mapping):
        result = {name: getattr(result, name) for name in fields}
    if isinstance(result, Mapping):
        return {key: as_plain(value) for key, value in result.items() if value is not None}
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return {name: as_plain(value) for name, value in zip(result._fields, result, strict=True)}
    return [as_plain(value) for value in result] if isinstance(result, tuple | list) else result


def _cut(blocks: Iterable[DataBlock], most: int) -> Iterator[DataBlock]:
    """Batches as they are, the last cut where it has more than are left of `most`."""
    for block in blocks:
        if most <= 0:
            return
        yield block.part(0, most) if len(block) > most else block
        most -= len(block)

"""What quantised networks compute, without our code: a module's own forward, its calls' arguments rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

import widthwise as ww
from helpers.judged import Batches

WIDTHS = (2, 8)  # of weights; data and biases have 8 bits, and half of all bits lie behind the point
OTHERS = 8
BIASES = {
    "linear": 2,
    "bilinear": 3,
    "addmm": 0,
    "baddbmm": 0,
    "addcmul": 0,
    "layer_norm": 3,
}  # where functions take them
ALL = ("data_in", "weight", "bias")


def fixed(x: Tensor, width: int) -> Tensor:
    """Half to even at width // 2 bits behind the point, saturating."""
    step, most = 2.0 ** -(width // 2), 2 ** (width - 1)
    return torch.round(x / step).clamp(-most, most - 1) * step


def config(*tensors: str, widths: Sequence[int] = WIDTHS) -> dict[str, list[Any]]:
    """The choices of a rule that formats these tensors."""
    chosen = {name: list(widths) if name == "weight" else [OTHERS] for name in tensors or ALL}
    return {"name": ["integer"]} | {f"{name}_width": values for name, values in chosen.items()}


class Emulation(TorchFunctionMode):
    """Rounds what calls of some functions are given.

    bits: of each stored weight in the order of first use, or of all. What is made of parameters and buffers
    alone is a weight: a transposed, normalised or masked one is, in the place of what it was made from.
    """

    def __init__(self, model: nn.Module, types: Mapping[str, Sequence[str]], bits: Sequence[int] | int):
        super().__init__()
        self.types, self.bits = types, bits
        self.own = {_memory(p) for p in model.parameters()}
        self.made_of = {_memory(x): _memory(x) for x in (*model.parameters(), *model.buffers())}
        self.held: list[Any] = [*model.parameters(), *model.buffers()]  # so that no memory is used twice
        self.sizes: dict[int, int] = {}  # elements of each weight in the order of first use

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = _plain(getattr(func, "__name__", ""))
        if name in self.types:
            args = tuple(self._rounded(name, place, value) for place, value in enumerate(args))
            kwargs = {key: self._rounded(name, key, value) for key, value in kwargs.items()}
        given = [self._origin(x) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        result = func(*args, **kwargs)
        if given and all(given):
            origin = next((x for x in given if x in self.own), given[0])
            for made in tree_leaves(result):
                if isinstance(made, Tensor):
                    self.made_of.setdefault(_memory(made), origin)
        self.held.append((args, kwargs, result))
        return result

    def _rounded(self, name: str, place: int | str, value: Any) -> Any:
        return tree_map_only(Tensor, lambda x: self._round(name, place, x), value)

    def _round(self, name: str, place: int | str, x: Tensor) -> Tensor:
        tensors = self.types[name]
        if not x.is_floating_point():
            return x
        if place in (BIASES.get(name, 2 if "conv" in name else None), "bias"):
            return fixed(x, OTHERS) if "bias" in tensors else x
        if not (origin := self._origin(x)):
            return fixed(x, OTHERS) if "data_in" in tensors else x
        self.sizes.setdefault(origin, x.numel())
        number = list(self.sizes).index(origin)
        return fixed(x, self.bits if isinstance(self.bits, int) else self.bits[number])

    def _origin(self, x: Tensor) -> int:
        """The memory of the parameter that x is, or was made from; 0 where data had a part in it."""
        memory = _memory(x)
        if isinstance(x, nn.Parameter):  # of a module that its owner doesn't know of, too
            self.own.add(memory)
            self.made_of.setdefault(memory, memory)
        return self.made_of.get(memory, 0)


def _memory(x: Tensor) -> int:
    with torch._C.DisableTorchFunction():
        return x.untyped_storage().data_ptr() if x.layout == torch.strided else id(x)


def _plain(name: str) -> str:
    name = name.strip("_")
    return name.removeprefix("r") if name == "rmatmul" else name


def loss_of(model: nn.Module, data: Batches, mode: Any = None) -> float:
    """Of the module itself in eval mode, torch's own cross entropy; outputs in a tuple: the first."""
    model.eval()
    scores = []
    with torch.no_grad():
        for x, _ in data.val_dataloader():
            inputs = x if isinstance(x, tuple) else (x,)
            if mode is None:
                result = model(*(one.clone() for one in inputs))
            else:
                with mode:
                    result = model(*(one.clone() for one in inputs))
            scores.append(result[0] if isinstance(result, tuple) else result)
    return float(nn.functional.cross_entropy(torch.cat(scores).double(), data.labels))


@contextmanager
def left_as_it_was(model: nn.Module) -> Iterator[None]:
    """The module's modes, tensors, hooks and attributes are the same afterwards."""
    before, kept = _seen(model), {name: value.clone() for name, value in model.state_dict().items()}
    yield
    assert _seen(model) == before
    after = model.state_dict()
    assert after.keys() == kept.keys()
    assert all(torch.equal(after[name], value) for name, value in kept.items())


def _seen(model: nn.Module) -> list[Any]:
    return [
        (
            name,
            id(module),
            type(module),
            module.training,
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
        )
        for name, module in model.named_modules()
    ]


def made_twice(
    make: Callable[[], nn.Module], settle_on: Batches | None = None
) -> tuple[nn.Module, nn.Module]:
    """Two networks of the same numbers that share nothing: one to try, one to compare with.

    Weights are twice what torch starts with, so that few bits tell them apart. settle_on: data that both have
    seen, as trained networks have.
    """
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        model = make()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(2)
            if settle_on is not None:
                model.eval()(settle_on.inputs[0])
                model.train()
        found.append(model)
    return found[0], found[1]


def rows(size: int = 40) -> Batches:
    """Rows of six features, three classes."""
    return labelled(torch.randn(size, 6, generator=torch.Generator().manual_seed(1)))


def words(size: int = 40) -> Batches:
    """Rows of five words, of which there are ten."""
    return labelled(torch.randint(0, 10, (size, 5), generator=torch.Generator().manual_seed(1)))


def images(size: int = 40) -> Batches:
    """Pictures of 3 x 6 x 6."""
    return labelled(torch.randn(size, 3, 6, 6, generator=torch.Generator().manual_seed(1)))


def sequences(size: int = 40) -> Batches:
    """Five steps of six features."""
    return labelled(torch.randn(size, 5, 6, generator=torch.Generator().manual_seed(1)))


def labelled(*inputs: Tensor) -> Batches:
    """Inputs with three classes at random."""
    labels = torch.randint(0, 3, (len(inputs[0]),), generator=torch.Generator().manual_seed(2))
    return Batches(inputs, labels)


def space_of(graph: ww.Graph, types: Mapping[str, Sequence[str]], **options: Any) -> ww.QuantisationSpace:
    """All choices for the layers of these types."""
    seed = {name: {"config": config(*tensors)} for name, tensors in types.items()}
    return ww.QuantisationSpace(graph, by="type", seed=seed, **options)


def assert_rows_equal(
    make: Callable[[], nn.Module],
    data: Batches,
    types: Mapping[str, Sequence[str]],
    *,
    weights: int | None,
    plain: Callable[[nn.Module], nn.Module] = lambda model: model,
    average: bool = True,
    settled: bool = False,
) -> None:
    """The rows of an evaluator are those of the emulation, for every candidate.

    weights: stored weights, each of which has one decision; None: however many, all with the same choice.
    plain: makes the module that is emulated from the other. average: all weights are those of the types.
    settled: the networks have run before.
    """
    model, other = made_twice(make, data if settled else None)
    other = plain(other)
    graph = ww.Graph(model)
    space = space_of(graph, types)
    names = [decision.name for decision in space.decisions]
    assert names
    assert all(name.endswith("/weight_width") for name in names)
    if weights is not None:
        assert len(names) == weights, names
    candidates = space.at(range(space.size))
    if weights is None:
        candidates = candidates[(candidates == candidates[:, :1]).all(axis=1)]
    evaluator = ww.Evaluator(graph, space, data, metrics=["loss", "average_bitwidth"])
    found = evaluator(candidates)
    assert not found.failures
    for number, candidate in enumerate(candidates):
        widths = [WIDTHS[index] for index in candidate]
        emulation = Emulation(other, types, widths[0] if weights is None else widths)
        expected = loss_of(other, data, emulation)
        assert found["loss"][number] == pytest.approx(expected, rel=1e-4), widths
        realised = loss_of(evaluator.network(candidate).model, data)
        assert realised == pytest.approx(expected, rel=1e-4), widths
        if average:
            sizes = list(emulation.sizes.values())
            bits = widths if weights is not None else [widths[0]] * len(sizes)
            total = sum(size * width for size, width in zip(sizes, bits, strict=True)) / sum(sizes)
            assert found["average_bitwidth"][number] == pytest.approx(total), widths


def assert_rows_equal_or_named(
    make: Callable[[], nn.Module],
    data: Batches,
    types: Mapping[str, Sequence[str]],
    *layers: str,
    **options: Any,
) -> None:
    """As above, or an error of the user's that names one of the layers."""
    try:
        assert_rows_equal(make, data, types, **options)
    except ww.UserError as error:
        assert any(layer in str(error) for layer in layers), str(error)  # noqa: PT017

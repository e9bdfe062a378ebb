"""Whether a network's code asks for values of what it computes, and may so decide by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from widthwise.network.places import ASKING, function_name


def asks_for_values(run: Callable[[], Any], inputs: Iterable[Tensor]) -> bool:
    """Whether a run reads numbers out of what follows from the inputs: if x.max() > 1, int(x.sum())."""
    asked = _Asked(inputs)
    with asked:
        run()
    return asked.asked


class _Asked(TorchFunctionMode):
    def __init__(self, inputs: Iterable[Tensor]) -> None:
        super().__init__()
        self.asked = False
        self.follow: dict[int, Tensor] = {
            id(x): x for x in inputs
        }  # held, so that none has another's identity

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if any(id(x) in self.follow for x in read):
            # what works in place lets its first argument follow from the others
            made = tree_leaves((result, args[:1]))
            self.follow |= {id(x): x for x in made if isinstance(x, Tensor)}
            number = isinstance(result, bool | int | float | complex | list | np.ndarray)
            self.asked |= number and function_name(function) not in ASKING
        return result

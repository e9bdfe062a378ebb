"""An export form: the weights of a float network of linear layers as numpy arrays, run by numpy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from widthwise.export.exporter import Exported
from widthwise.network.graph import Graph
from widthwise.network.quantized import Quantized
from widthwise.network.realised import Realised


class Arrays:
    """`arrays.npz`: weight and bias of each linear layer as it computes with them, one behind the other."""

    name = "arrays"
    extra = ""
    exact = False

    def refusals(self, realised: Realised, graph: Graph) -> list[str]:
        """All but linear layers with ReLU between, and inputs that are quantised."""
        reasons = []
        for layer in graph.layers:
            if layer.type not in ("linear", "relu"):
                reasons.append(f"{layer.name}: is a {layer.type}; this form knows linear layers and ReLU")
            elif graph.scheme(layer.name).data_in is not None:
                reasons.append(f"{layer.name}: its inputs are quantised; leave data_in in float")
        return reasons

    def write(self, realised: Realised, graph: Graph, folder: Path, example: tuple[Tensor, ...]) -> Exported:
        """The arrays, and what runs them."""
        file = folder / "arrays.npz"
        np.savez(file, **_arrays(graph))
        with np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        return Exported((file,), lambda x: torch.from_numpy(_run(arrays, x.numpy())))


def _arrays(graph: Graph) -> dict[str, np.ndarray]:
    """weight0, bias0, weight1 …: what each linear layer multiplies with and adds."""
    found: dict[str, np.ndarray] = {}
    for layer in graph.layers:
        if isinstance(layer.module, nn.Linear):
            wrapped = graph.modules[str(layer.node.target)]
            quantised = wrapped.quantized_parameters() if isinstance(wrapped, Quantized) else {}
            number = len(found) // 2
            for name, parameter in layer.module.named_parameters():
                found[f"{name}{number}"] = quantised.get(name, parameter).detach().numpy()
    return found


def _run(arrays: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """What the arrays give for inputs [n, features]."""
    count = len(arrays) // 2
    for number in range(count):
        x = x @ arrays[f"weight{number}"].T + arrays[f"bias{number}"]
        x = np.maximum(x, 0) if number < count - 1 else x
    return x

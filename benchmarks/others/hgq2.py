"""HGQ2 trains what beside_hgq2.py gives it: run as a process of its own, as keras chooses its backend once.

python hgq2.py GIVEN.npz FOUND.npz

GIVEN: weight_N [inputs, outputs] and bias_N of each linear layer in float, fraction_N and whole_N the bits
behind and before the point with which it reads, inputs [steps, batch, features] and wanted [steps, batch,
outputs] what it learns from and the float network's answers, betas [steps] the price of an ebop, rates
[steps, 2] those of weights and of widths, ends the steps after which a network is kept, traced [samples,
features] by which ranges are found.
FOUND: of each end and layer the quantised weight and bias, and of what it reads sign, bits before and behind
the point; the processor's seconds that the steps took, without those of tracing.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from hgq.config import QuantizerConfig
from hgq.layers import QDense
from hgq.utils import trace_minmax
from torch.nn.functional import kl_div, log_softmax

WEIGHT_BITS = 7


def network(given: Any) -> tuple[keras.Model, list[QDense]]:
    """The float network's weights in layers of HGQ2, as its examples set them: a width for each weight and
    each input; weights saturate, inputs wrap around beyond the range that was met."""
    count = sum(name.startswith("weight_") for name in given.files)
    layers, stack = [], [keras.Input((given["inputs"].shape[-1],))]
    for number in range(count):
        weight = given[f"weight_{number}"]
        whole = int(np.ceil(np.log2(np.abs(weight).max())))
        reads = QuantizerConfig(
            "kif", "datalane", k0=int(number == 0), i0=float(given[f"whole_{number}"]),
            f0=float(given[f"fraction_{number}"]), overflow_mode="WRAP", round_mode="RND_CONV",
            homogeneous_axis=(0,),
        )  # fmt: skip
        own = {"b0": WEIGHT_BITS - 1, "i0": whole, "overflow_mode": "SAT_SYM", "round_mode": "RND_CONV"}
        layer = QDense(
            weight.shape[1],
            iq_conf=reads,
            kq_conf=QuantizerConfig("kbi", "weight", **own),
            bq_conf=QuantizerConfig("kbi", "bias", homogeneous_axis=(), **own),
        )
        layers.append(layer)
        stack += [layer] if number == count - 1 else [layer, keras.layers.ReLU()]
    model = keras.Sequential(stack)
    for number, layer in enumerate(layers):
        layer._kernel.assign(given[f"weight_{number}"])
        layer.bias.assign(given[f"bias_{number}"])
    return model, layers


def optimizer(model: keras.Model, layers: list[QDense]) -> torch.optim.Optimizer:
    """Adam of weights, and of widths."""
    held = {id(variable) for layer in layers for variable in (layer._kernel, layer.bias)}
    values = [v.value for v in model.trainable_variables if id(v) in held]
    widths = [v.value for v in model.trainable_variables if id(v) not in held]
    return torch.optim.Adam([{"params": values}, {"params": widths}])


def take_step(model: keras.Model, adam: torch.optim.Optimizer, x: torch.Tensor, wanted: torch.Tensor) -> None:
    """One step of Adam, then the limits that HGQ2 puts on widths."""
    found = model(x, training=True)
    loss = kl_div(log_softmax(found, 1), log_softmax(wanted, 1), log_target=True, reduction="batchmean")
    total = loss + sum(model.losses)
    adam.zero_grad(set_to_none=True)
    total.backward()
    adam.step()
    with torch.no_grad():
        for variable in model.trainable_variables:
            if variable.constraint is not None:
                variable.value.copy_(variable.constraint(variable.value))


def kept(layers: list[QDense], end: int) -> dict[str, np.ndarray]:
    """What the network is now."""
    found = {}
    for number, layer in enumerate(layers):
        sign, whole, behind = (keras.ops.convert_to_numpy(part) for part in layer.iq.quantizer.kif)
        shape = layer._kernel.shape[:1]
        parts = {"sign": sign, "whole": whole, "behind": behind}
        parts = {name: np.broadcast_to(np.asarray(x).reshape(-1), shape) for name, x in parts.items()}
        parts["weight"] = keras.ops.convert_to_numpy(layer.qkernel)
        parts["bias"] = keras.ops.convert_to_numpy(layer.qbias)
        found |= {f"{name}_{end}_{number}": value for name, value in parts.items()}
    return found


def main(given_from: str, found_in: str) -> None:
    """Trains, and keeps the networks."""
    torch.set_num_threads(1)
    keras.utils.set_random_seed(0)
    given = np.load(given_from, allow_pickle=False)
    model, layers = network(given)
    adam = optimizer(model, layers)
    inputs, wanted = torch.from_numpy(given["inputs"]), torch.from_numpy(given["wanted"])
    ends, betas, rates = set(given["ends"].tolist()), given["betas"].tolist(), given["rates"].tolist()
    found, took, began = {}, 0.0, time.process_time()
    for step, beta in enumerate(betas):
        for layer in layers:
            layer._beta.assign(beta)
        for group, rate in zip(adam.param_groups, rates[step], strict=True):
            group["lr"] = rate
        take_step(model, adam, inputs[step], wanted[step])
        if step + 1 in ends:
            took += time.process_time() - began
            with torch.no_grad():
                trace_minmax(model, given["traced"], batch_size=len(given["traced"]))
                found |= kept(layers, step + 1)
            began = time.process_time()
    np.savez(found_in, processor=took, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Recurrent layers step by step, so that every product reads its data through a format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from widthwise.core.errors import UserError

Read = Callable[[Tensor], Tensor]
State = tuple[Tensor, ...]  # h, and c of an LSTM
Step = Callable[[Tensor, Tensor, State], State]


def unrolled_function(function: Callable[..., Any], read: Read, *args: Any) -> tuple[Tensor, ...]:
    """What a recurrent function of torch (lstm, gru, rnn_tanh …) gives with products that read so.

    Called with the function's own arguments: inputs, initial state, weights, whether there are biases,
    layers, dropout, training, whether it goes both ways, whether the batch comes first. The data of its
    products are each layer's inputs and the states h; an LSTM's c is none. Raises UserError for packed
    sequences.
    """
    if isinstance(args[3], list | tuple):
        raise UserError(
            "packed sequences can't be read in a format step by step; give padded ones, or leave the layer's "
            "data_in in float"
        )
    inputs, state, weights, has_biases, layers, _, _, both_ways, batch_first = args
    step, states = _steps(function.__name__), state if isinstance(state, tuple) else (state,)
    x = inputs.transpose(0, 1) if batch_first else inputs
    directions = 2 if both_ways else 1
    each = len(weights) // (layers * directions)
    ends: list[State] = []
    for layer in range(layers):
        outputs = []
        for way in range(directions):
            number = layer * directions + way
            own = _Weights(weights[number * each : (number + 1) * each], has_biases)
            start = tuple(part[number] for part in states)
            found, end = _run(step, read, x.flip(0) if way else x, start, own)
            outputs.append(found.flip(0) if way else found)
            ends.append(end)
        x = torch.cat(outputs, dim=-1)
    last = tuple(torch.stack(parts) for parts in zip(*ends, strict=True))
    return (x.transpose(0, 1) if batch_first else x, *last)


def cell_function(function: Callable[..., Any], read: Read, *args: Any) -> Any:
    """What a cell of torch (lstm_cell, gru_cell, rnn_tanh_cell …) gives with products that read so."""
    x, state, *weights = args
    own = _Weights([w for w in weights if w is not None], len(weights) > 2 and weights[2] is not None)
    states = state if isinstance(state, tuple | list) else (state,)
    step = _steps(function.__name__.removesuffix("_cell"))
    given = linear(read(x), own.inputs, own.input_bias)
    made = step(given, linear(read(states[0]), own.hidden, own.hidden_bias), tuple(states))
    return made if len(made) > 1 else made[0]


class _Weights:
    """The weights of one layer in one direction, from torch's flat list."""

    def __init__(self, tensors: Sequence[Tensor], has_biases: bool) -> None:
        self.inputs, self.hidden = tensors[:2]
        biases: Sequence[Tensor | None] = tensors[2:4] if has_biases else (None, None)
        self.input_bias, self.hidden_bias = biases
        rest = tensors[4:] if has_biases else tensors[2:]
        self.projection = rest[0] if rest else None


def _run(step: Step, read: Read, x: Tensor, state: State, own: _Weights) -> tuple[Tensor, State]:
    """Outputs [steps, batch, hidden] for inputs [steps, batch, features], and the last state."""
    given = linear(read(x), own.inputs, own.input_bias)
    outputs = []
    for now in given:
        made = step(now, linear(read(state[0]), own.hidden, own.hidden_bias), state)
        if own.projection is not None:
            made = (linear(read(made[0]), own.projection), *made[1:])
        state = made
        outputs.append(state[0])
    return torch.stack(outputs), state


def _lstm(given: Tensor, recurrent: Tensor, state: State) -> State:
    i, f, g, o = (given + recurrent).chunk(4, dim=-1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru(given: Tensor, recurrent: Tensor, state: State) -> State:
    (i_r, i_z, i_n), (h_r, h_z, h_n) = given.chunk(3, dim=-1), recurrent.chunk(3, dim=-1)
    r, z = (i_r + h_r).sigmoid(), (i_z + h_z).sigmoid()
    n = (i_n + r * h_n).tanh()
    return ((1 - z) * n + z * state[0],)


def _tanh(given: Tensor, recurrent: Tensor, state: State) -> State:
    return ((given + recurrent).tanh(),)


def _relu(given: Tensor, recurrent: Tensor, state: State) -> State:
    return ((given + recurrent).relu(),)


def _steps(name: str) -> Step:
    return {"lstm": _lstm, "gru": _gru, "rnn_tanh": _tanh, "rnn_relu": _relu}[name]

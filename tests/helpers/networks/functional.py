"""Networks whose functions read weights, and layers that hold more products than one; three classes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class _Weights(nn.Module):
    """A matrix from six features to eight, a vector, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(8, 6) / 4), nn.Parameter(torch.randn(8) / 4)
        self.out = nn.Linear(8, 3)


class ByLinear(_Weights):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(F.linear(x, self.w)))


class ByLinearWithBias(_Weights):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(F.linear(x, weight=self.w, bias=self.b)))


class ByTransposedView(_Weights):
    """As fan_in_fan_out layers have it."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(6, 8) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(F.linear(x, self.w.T, self.b)))


class ByScaledWeight(_Weights):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(F.linear(x, self.w / math.sqrt(6) * 3, self.b)))


class FromList(nn.Module):
    """Weights in a ParameterList, one layer for each."""

    def __init__(self) -> None:
        super().__init__()
        self.ws = nn.ParameterList([torch.randn(8, 6) / 2, torch.randn(3, 8) / 2])

    def forward(self, x: Tensor) -> Tensor:
        for number, w in enumerate(self.ws):
            x = F.linear(torch.tanh(x) if number else x, w)
        return x


class FromDict(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ws = nn.ParameterDict({"in": torch.randn(8, 6) / 2, "out": torch.randn(3, 8) / 2})

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.relu(F.linear(x, self.ws["in"])), self.ws["out"])


class Frozen(nn.Module):
    """A weight that is a buffer: a fixed projection."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w", torch.randn(8, 6) / 2)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(F.linear(x, self.w)))


class Sliced(nn.Module):
    """One stored matrix, of which two layers read a half each."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.out = nn.Parameter(torch.randn(16, 6) / 2), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.linear(x, self.w[:8]) * torch.sigmoid(F.linear(x, self.w[8:])))


class ByMatmulOperator(_Weights):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(6, 8) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(x @ self.w + self.b))


class ByMatmulTransposed(_Weights):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(torch.matmul(x, self.w.t())))


class ByMatmulFromTheLeft(_Weights):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu((self.w @ x.T).T))


class ByMatmulMethod(_Weights):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(x.matmul(self.w.transpose(0, 1))))


class ByMm(_Weights):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(torch.mm(x, self.w.t())))


class ByAddmm(_Weights):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(torch.addmm(self.b, x, self.w.t())))


class ByEinsum(_Weights):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(torch.einsum("bi,oi->bo", x, self.w)))


class ByBmm(nn.Module):
    """Experts: a matrix for each of two groups of three features."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.out = nn.Parameter(torch.randn(2, 3, 4) / 2), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        groups = x.view(-1, 2, 3).transpose(0, 1)
        return self.out(F.relu(torch.bmm(groups, self.w)).transpose(0, 1).flatten(1))


class ByConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(4, 3, 3, 3) / 4), nn.Parameter(torch.randn(4) / 4)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(F.conv2d(x, self.w, self.b, padding=1)).mean((2, 3)))


class ByTransposedConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w, self.out = nn.Parameter(torch.randn(3, 4, 2, 2) / 2), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(F.conv_transpose2d(x, self.w, stride=2)).mean((2, 3)))


class DynamicDepthwise(nn.Module):
    """One kernel, repeated for each channel (blur pooling)."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.out = nn.Parameter(torch.rand(1, 1, 3, 3)), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.conv2d(x, self.kernel.expand(3, 1, 3, 3), groups=3).mean((2, 3)))


class ByEmbedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Parameter(torch.randn(10, 6)), nn.Linear(6, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(F.embedding(ids, self.table).mean(1))


class ByIndex(nn.Module):
    """A table that is read by indexing."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Parameter(torch.randn(10, 6)), nn.Linear(6, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(self.table[ids].mean(1))


class Conv1D(nn.Module):
    """A linear layer as GPT-2 stores it: inputs in rows, addmm."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / 4)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        size = (*x.shape[:-1], self.bias.shape[0])
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(size)


class OwnLinear(nn.Module):
    """A user's own linear layer, from nn.Module."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(inputs, outputs) / 4)
        self.offset = nn.Parameter(torch.randn(outputs) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(x, self.kernel) + self.offset


class OfBilinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.both, self.out = nn.Bilinear(3, 3, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.both(x[:, :3].contiguous(), x[:, 3:].contiguous())))


class Recurrent(nn.Module):
    """A recurrent network over five steps of six features, read at its end."""

    def __init__(self, kind: type[nn.RNNBase], **options: object) -> None:
        super().__init__()
        self.rnn = kind(6, 4, batch_first=True, **options)  # type: ignore[arg-type]
        directions = 2 if self.rnn.bidirectional else 1
        self.head = nn.Linear((self.rnn.proj_size or 4) * directions, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class Stepwise(nn.Module):
    """A recurrent cell, called for each step."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.cell, self.head = kind(6, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class Attentive(nn.Module):
    """Self-attention over five steps by torch's own layer."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True, **options)  # type: ignore[arg-type]
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attend(x, x, x, need_weights=False)[0].mean(1))


class AttentiveByHand(nn.Module):
    """What Attentive computes, call by call, with its weights."""

    def __init__(self, model: Attentive) -> None:
        super().__init__()
        self.attend, self.head = model.attend, model.head

    def forward(self, x: Tensor) -> Tensor:
        own, (batch, steps, width) = self.attend, x.shape
        parts = F.linear(x, own.in_proj_weight, own.in_proj_bias).view(batch, steps, 3, 2, width // 2)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, steps, width)
        return self.head(F.linear(mixed, own.out_proj.weight, own.out_proj.bias).mean(1))


class DotProduct(nn.Module):
    """Projections and the product of attention as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(6, 18), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.head(F.scaled_dot_product_attention(q, k, v).mean(1))

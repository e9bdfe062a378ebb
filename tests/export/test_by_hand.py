"""The network of a trial in other tools' own hands: what sees its formats works, what does not is told so."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from widthwise.core.errors import UserError
from widthwise.formats import Integer
from widthwise.network.graph import Graph
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme

X = torch.linspace(-3, 3, 16 * 20).view(20, 16)
DATA, WEIGHT, BIAS = Integer(6, 3), Integer(4, 3), Integer(6, 4)
ALL = Scheme(DATA, WEIGHT, BIAS)
WIDE = Scheme(Integer(16, 11), Integer(15, 13), Integer(16, 18))  # sums that float32 does not hold
EACH = {"data_in": Scheme(data_in=DATA), "weight": Scheme(weight=WEIGHT), "bias": Scheme(bias=BIAS)}


class Branching(nn.Module):
    """What torch.fx can't trace: a decision that values make, so it is captured by running."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(torch.relu(h) if h.shape[-1] == len(h[0]) else h)


def searched(scheme: Scheme, make: type[nn.Module] | None = None) -> Graph:
    torch.manual_seed(0)
    network = (make() if make else nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))).eval()
    names = [layer.name for layer in Graph(network, X[:2]).layers if layer.type == "linear"]
    realised = Realised((), {}, dict.fromkeys(names, scheme)).complete(network)
    return realised.graph()


@pytest.mark.parametrize("tensor", EACH)
@pytest.mark.parametrize("make", [None, Branching])
def test_tools_that_trace_past_formats_are_refused(tensor: str, make: type[nn.Module] | None) -> None:
    network = searched(EACH[tensor], make).model
    with pytest.raises(UserError, match="--to hls4ml"):
        torch.fx.symbolic_trace(network)


def test_hls4mls_own_converter_makes_no_other_network_of_it(tmp_path: Path) -> None:
    hls4ml = pytest.importorskip("hls4ml", reason="hls4ml is not installed; pip install 'widthwise[hls4ml]'")
    for scheme in EACH.values():
        network = searched(scheme).model
        with pytest.raises(UserError, match="--to hls4ml"):
            hls4ml.utils.config_from_pytorch_model(network, (16,), granularity="name")
        with pytest.raises(UserError, match="--to hls4ml"):
            hls4ml.converters.convert_from_pytorch_model(
                network,
                hls_config={"Model": {"Precision": "ap_fixed<16,6>", "ReuseFactor": 1}, "InputShape": (16,)},
                output_dir=str(tmp_path),
            )


def test_a_network_with_formats_is_still_captured() -> None:
    network = searched(ALL).model
    assert torch.equal(Graph(network, X[:2]).model(X), network(X))


@pytest.mark.parametrize("make", [None, Branching])
@pytest.mark.parametrize("scheme", [ALL, WIDE])
def test_torch_jit_trace_by_hand_gives_the_same_bits(scheme: Scheme, make: type[nn.Module] | None) -> None:
    network = searched(scheme, make).model
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, X[:2])
        wanted = network(X)
        assert torch.equal(traced(X), wanted)
        again = torch.jit.trace(network, X[:2])  # once values of weights are kept
        assert torch.equal(again(X), wanted)


@pytest.mark.parametrize(("scheme", "make"), [(ALL, None), (ALL, Branching), (WIDE, None)])
def test_torch_onnx_export_by_hand_gives_the_same_numbers(
    scheme: Scheme, make: type[nn.Module] | None
) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="pip install 'widthwise[onnx]'")
    pytest.importorskip("onnxscript", reason="pip install 'widthwise[onnx]'")
    network = searched(scheme, make).model
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(network, (X,), dynamo=True, verbose=False)
        wanted = network(X).numpy()
    assert program is not None
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    assert np.array_equal(found, wanted)

"""Networks whose channels and weights have widths of their own, in the forms that can say them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.trained_widths import Held, formatted, networks, path_of
from widthwise.evaluators.engine import evaluate
from widthwise.export.exporter import exporter
from widthwise.export.integers.computing import codes_of, compute
from widthwise.export.integers.reading import program_of
from widthwise.export.rtl.logic import logic_of
from widthwise.export.rtl.stages import Stage, stages_of
from widthwise.network.realised import Realised

NETWORKS = networks()


def trained(name, **settings):
    network, x = NETWORKS[name]
    # so cheap that more is left than one input: alkaid orders few sums otherwise as a whole than by stages
    graph = formatted(network, x, path_of(network, x, price_to=1.0, **settings).advance(1))
    with torch.no_grad():
        return graph, x, graph.model(x).double()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("settings", [{}, {"weights": "channel", "data": "tensor"}], ids=["each", "coarse"])
def test_integers_logic_and_c_give_the_networks_own_outputs(name, settings, tmp_path):
    graph, x, wanted = trained(name, **settings)
    program = program_of(graph, x[:2])
    codes = codes_of(program, x)
    found = np.ldexp(compute(program, codes).astype(float), -program.output.fraction)
    assert np.array_equal(found, wanted.numpy())
    made = exporter("c", {}).write(Realised((), {}, {}), graph, tmp_path, (x[:2],))
    assert torch.equal(made.run(x), wanted)
    if (
        name == "residual"
    ):  # alkaid 0.8.2 rounds numbers of some narrow ranges wrongly, as an export then says
        return
    values = np.ldexp(codes.reshape(len(x), -1).astype(float), -program.input.fraction)
    logic = logic_of(program)
    assert np.array_equal(logic.predict(values, n_threads=1), wanted.numpy())
    luts = evaluate(graph, Held(x), metrics=["luts"])["luts"]
    assert luts == pytest.approx(float(logic.cost), rel=0.03)
    for stage in stages_of(program):
        assert Stage.of_content(stage.content).content == stage.content


@pytest.mark.parametrize("name", ["linear", "residual"])
def test_qonnx_gives_the_networks_own_outputs(name, tmp_path):
    pytest.importorskip("qonnx")
    graph, x, wanted = trained(name)
    assert exporter("qonnx", {}).refusals(Realised((), {}, {}), graph) == []
    made = exporter("qonnx", {}).write(Realised((), {}, {}), graph, tmp_path, (x,))
    assert torch.equal(made.run(x).double(), wanted)


def test_forms_with_one_type_for_a_tensor_refuse_channels_by_name_and_take_widths_of_tensors():
    graph, *_ = trained("linear")
    (reason,) = exporter("hls4ml", {}).refusals(Realised((), {}, {}), graph)
    assert "each channel is read in a width of its own" in reason
    assert 'data = "tensor"' in reason
    coarse, *_ = trained("linear", data="tensor")
    assert exporter("hls4ml", {}).refusals(Realised((), {}, {}), coarse) == []

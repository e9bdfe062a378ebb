"""The form c: integers alone, equal with the network and with fractions; no warnings, UBSan finds nothing."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import widthwise as ww
from helpers.configs import FORMATS as CONFIG
from helpers.exact import perceptron as by_fractions
from helpers.integers import (
    ALL,
    FIXED,
    NETWORKS,
    WEIGHTED,
    inputs,
    perceptron,
    realised,
)
from helpers.running import Run
from widthwise.core.errors import UserError
from widthwise.export.c.exporter import BENCH, FLAGS, HEADER, SOURCE, CExporter, compiled, compiler_here
from widthwise.export.integers.computing import compute, sample_codes
from widthwise.export.integers.reading import read_program, with_shapes
from widthwise.formats import Binary, Format, Integer, ScaledInteger, parse
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme
from widthwise.testing import check_exporter

COMPILER = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler here; `make debs` installs gcc")
STRICT = (*FLAGS, "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")


@pytest.mark.slow
@needs_compiler
@settings(max_examples=4, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_kind_of_layer_in_random_formats_is_equal(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    def fixed(tensor: str) -> Integer:
        width = data.draw(st.integers(1, 7))
        return Integer(width, data.draw(st.integers(width - 4, width + 3)), data.draw(st.booleans()))

    make, shape = NETWORKS[name]
    x = inputs(shape)
    found = realised(make, x, fixed)
    folder = tmp_path_factory.mktemp("form")
    refusals = check_exporter(CExporter(), found, folder, (x,))
    assert all("several formats" in reason or "float32" in reason for reason in refusals)
    if not refusals:
        program, _ = read_program(found.graph())
        assert program is not None
        compiled(with_shapes(program, found.graph(), x), folder, compiler_here(), STRICT)


@needs_compiler
@pytest.mark.parametrize("name", list(NETWORKS))
def test_sanitisers_find_nothing(name: str, tmp_path: Path) -> None:
    """What C leaves undefined, and memory beyond arrays, with the extremes of all codes among the samples."""
    make, shape = NETWORKS[name]
    x = inputs(shape)
    found = realised(make, x, {"data_in": Integer(15, 9), "weight": Integer(9, 3), "bias": Integer(12, 20)})
    if name == "residual":
        found = realised(make, x, ALL)
    program, _ = read_program(found.graph())
    assert program is not None
    CExporter().write(found, found.graph(), tmp_path, (x[:1],))
    flags = (*STRICT, "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
    try:
        made = compiled(with_shapes(program, found.graph(), x), tmp_path, compiler_here(), flags)
    except UserError as error:
        if "lib" in str(error) and "san" in str(error):
            pytest.skip(f"no sanitisers here: {error}")
        raise
    assert made.told() == "16 of 16 samples: all outputs equal\n"


@needs_compiler
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_wide_formats_equal_exact_fractions(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Widths from 2 to 16, from 3 bits before the code's last to 4 beyond its first behind the point."""
    formats: list[dict[str, Integer]] = [{}, {}]

    def fixed(tensor: str) -> Integer:
        width = data.draw(st.integers(2, 16))
        own = formats[0] if tensor not in formats[0] else formats[1]
        own[tensor] = Integer(width, data.draw(st.integers(-3, width + 4)))
        return own[tensor]

    x = inputs((16,), samples=5)
    found = realised(perceptron, x, fixed)
    if check_exporter(CExporter(), found, tmp_path_factory.mktemp("judged"), (x,)):
        return
    exported = CExporter().write(found, found.graph(), tmp_path_factory.mktemp("form"), (x[:1],))
    assert exported.run is not None
    expected = by_fractions(x, found.network, formats)  # type: ignore[arg-type]
    assert [[Fraction(number) for number in row] for row in exported.run(x).tolist()] == expected


@pytest.mark.parametrize("name", list(NETWORKS))
def test_expected_outputs_are_the_networks_own(name: str) -> None:
    make, shape = NETWORKS[name]
    x = inputs(shape)
    graph = realised(make, x, ALL).graph()
    read, reasons = read_program(graph)
    assert read is not None, reasons
    program = with_shapes(read, graph, x)
    codes = sample_codes(program, 12)
    with torch.no_grad():
        outputs = graph.model(torch.from_numpy(codes).float() * 2.0**-program.input.fraction)
    assert np.array_equal(np.ldexp(compute(program, codes), -program.output.fraction), outputs.numpy())


@needs_compiler
@pytest.mark.parametrize(
    "weight", [Binary(), parse("ternary"), parse("fp8_e4m3"), parse("ufixed<4,3>")], ids=repr
)
def test_weights_of_any_format_on_a_grid_are_written(weight: Format, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(16, 5)).eval()
    found = Realised((), {}, {"_0": Scheme(FIXED, weight, FIXED)}).complete(network)
    assert check_exporter(CExporter(), found, tmp_path, (inputs((16,)),)) == []


def refused(make: object, formats: dict[str, Format], types: tuple[str, ...] = WEIGHTED) -> str:
    found = realised(make, inputs((16,)), formats, types)
    return "; ".join(CExporter().refusals(found, found.graph()))


def chain(*layers: nn.Module) -> object:
    return lambda: nn.Sequential(nn.Linear(16, 12), *layers, nn.Linear(12, 5))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(16, 5), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.a(x), self.b(x)


def test_what_it_cannot_say_is_refused_with_what_would_do() -> None:
    assert refused(perceptron, ALL) == ""
    assert refused(chain(nn.Sigmoid()), ALL).startswith("_1: sigmoid can't be written; linear, conv1d")
    assert "fold_batchnorm = true in search_space.setup writes them" in refused(
        chain(nn.BatchNorm1d(12)), ALL
    )
    assert "the network returns several values" in refused(Twice, ALL)
    assert "_0: its weight is in float; give it a format" in refused(perceptron, {"data_in": FIXED})
    assert "_0: its bias is in float" in refused(perceptron, {"data_in": FIXED, "weight": FIXED})
    assert "input_1: is read in float" in refused(perceptron, {"weight": FIXED, "bias": FIXED})
    assert "data_in mxint8/4 has no integer codes" in refused(
        perceptron, {**ALL, "data_in": parse("mxint8/4")}
    )
    both = refused(lambda: nn.Sequential(nn.BatchNorm1d(16), nn.Linear(16, 5)), ALL)
    assert "is read in float" in both
    assert "_0: batch_norm1d computes with statistics in float" in both
    layer_norm = refused(lambda: nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 5)), ALL)
    assert "_0: layer_norm can't be written" in layer_norm  # no folding helps it
    assert "fold_batchnorm" not in layer_norm
    assert "no whole multiples" in refused(perceptron, {**ALL, "weight": ScaledInteger(4)})
    wide = {"data_in": Integer(22, -20), "weight": Integer(32, 31), "bias": Integer(8, 40)}
    assert "bits, at most 63 can be written" in refused(perceptron, wide)
    apart = {"data_in": Integer(4, -60), "weight": Integer(4, -60), "bias": Integer(4, 60)}
    assert "bring their frac widths nearer" in refused(perceptron, apart)


def test_a_tensor_read_in_several_formats_is_refused_at_the_input_alone() -> None:
    network = Twice().eval()
    schemes = {"a": Scheme(FIXED, FIXED, FIXED), "b": Scheme(Integer(5, 2), FIXED, FIXED)}
    found = Realised((), {}, schemes).complete(network)
    reason = "; ".join(CExporter().refusals(found, found.graph()))
    assert "x: is read in several formats (fixed<5,2>, fixed<6,3>)" in reason
    assert "share_inputs" in reason


@needs_compiler
def test_it_is_exported_from_the_command_line(run: Run, place: Path) -> None:
    config = {**CONFIG, "model": "jsc-mlp"}
    ww.search(None, None, config, out="here", page=False)
    ran = run("export", "here", "--trial", 0, "--to", "c", "--out", "there")
    assert ran.status == 0, ran.err
    assert f"as c ({HEADER}, {SOURCE}, {BENCH})" in ran.out
    assert "outputs equal, largest difference 0" in ran.out
    assert "Compiled by " in ran.out
    text = (place / "there" / SOURCE).read_text()
    assert not any(word in text for word in ("float", "double", "malloc"))


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = realised(perceptron, inputs((16,)), ALL)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(UserError, match=r"no compiler here .*no-such-compiler.*install gcc"):
        CExporter().write(found, found.graph(), tmp_path, (inputs((16,))[:1],))


def test_samples_without_codes_are_told(tmp_path: Path) -> None:
    if COMPILER is None:
        pytest.skip("no C compiler here")
    found = realised(perceptron, inputs((16,)), ALL)
    exported = CExporter().write(found, found.graph(), tmp_path, (inputs((16,))[:1],))
    assert exported.run is not None
    with pytest.raises(UserError, match="NaN"):
        exported.run(torch.full((1, 16), torch.nan))

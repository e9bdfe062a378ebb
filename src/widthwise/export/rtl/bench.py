"""Test benches beside the logic: they feed it samples, one a clock, and compare with the outputs expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from widthwise.export.integers.computing import compute, sample_codes
from widthwise.export.integers.steps import Codes, Program

Flavor = Literal["verilog", "vhdl"]

SAMPLES = 256
INPUTS, EXPECTED = "inputs.txt", "expected.txt"
TOP = "testbench"

_VERILOG = """\
`timescale 1 ns / 1 ps

// Feeds the network the samples of {inputs}, one each clock, and compares with {expected}.
module {top};
    reg [{last_in}:0] inputs [0:{last}];
    reg [{last_out}:0] expected [0:{last}];
    reg [{last_in}:0] x;
    wire [{last_out}:0] y;
    reg clk;
    integer n, equal;

    network_wrapper dut ({clock}.model_inp(x), .model_out(y));

    initial begin
        $readmemb("{inputs}", inputs);
        $readmemb("{expected}", expected);
        equal = 0;
        clk = 0;
        for (n = 0; n < {samples} + {edges}; n = n + 1) begin
            x = inputs[n < {samples} ? n : {last}];
            #5 clk = 1;
            #5 clk = 0;
            #1;
            if (n + 1 >= {shown} && y === expected[n + 1 - {shown}]) equal = equal + 1;
        end
        $display("%0d of {samples} samples: all outputs equal", equal);
        $finish;
    end
endmodule
"""

_VHDL = """\
library ieee;
use ieee.std_logic_1164.all;
use std.textio.all;

-- Feeds the network the samples of {inputs}, one each clock, and compares with {expected}.
entity {top} is
end entity {top};

architecture simulation of {top} is
    signal clk: std_logic := '0';
    signal x: std_logic_vector({last_in} downto 0) := (others => '0');
    signal y: std_logic_vector({last_out} downto 0);
begin
    dut: entity work.network_wrapper port map ({clock}model_inp => x, model_out => y);

    process
        file inputs: text open read_mode is "{inputs}";
        file expected: text open read_mode is "{expected}";
        variable row: line;
        variable given: std_logic_vector({last_in} downto 0);
        variable wanted: std_logic_vector({last_out} downto 0);
        variable equal: integer := 0;
    begin
        for n in 0 to {samples} + {edges} - 1 loop
            if n < {samples} then
                readline(inputs, row);
                read(row, given);
                x <= given;
            end if;
            wait for 5 ns;
            clk <= '1';
            wait for 5 ns;
            clk <= '0';
            wait for 1 ns;
            if n + 1 >= {shown} then
                readline(expected, row);
                read(row, wanted);
                if y = wanted then
                    equal := equal + 1;
                end if;
            end if;
        end loop;
        write(row, integer'image(equal) & " of {samples} samples: all outputs equal");
        writeline(output, row);
        wait;
    end process;
end architecture simulation;
"""


@dataclass(frozen=True)
class Port:
    """Numbers side by side in one vector, the first in its lowest bits: `bits` each, code * 2^-fraction."""

    size: int
    bits: int
    fraction: int

    @classmethod
    def of(cls, signal: Any) -> Port:
        """Of one of alkaid's: as wide as its widest number, below and above the point."""
        sign, whole, fraction = np.max(signal.precisions, axis=0).tolist()
        return cls(signal.size, sign + whole + fraction, fraction)

    def words(self, codes: Codes, fraction: int) -> Iterator[str]:
        """Codes [n, size] * 2^-fraction as bits, highest first; bits below the port's are cut off."""
        shift = self.fraction - fraction
        moved = codes << shift if shift >= 0 else codes >> -shift
        mask = (1 << self.bits) - 1
        for row in moved:
            yield "".join(f"{int(code) & mask:0{self.bits}b}" for code in row[::-1])


@dataclass(frozen=True)
class Ports:
    """Of a network; edges: of the clock from a sample to its outputs, 0 without a clock."""

    given: Port
    gives: Port
    edges: int


def bench(flavor: Flavor, ports: Ports) -> str:
    """The test bench, in Verilog or VHDL."""
    clock = {"verilog": ".clk(clk), ", "vhdl": "clk => clk, "}[flavor] if ports.edges else ""
    return {"verilog": _VERILOG, "vhdl": _VHDL}[flavor].format(
        top=TOP,
        inputs=INPUTS,
        expected=EXPECTED,
        last_in=ports.given.size * ports.given.bits - 1,
        last_out=ports.gives.size * ports.gives.bits - 1,
        last=SAMPLES - 1,
        samples=SAMPLES,
        edges=max(ports.edges - 1, 0),
        shown=max(ports.edges, 1),
        clock=clock,
    )


def vectors(program: Program, ports: Ports) -> dict[str, str]:
    """The files that the test bench reads, by name: a sample a line, computed by whole numbers."""
    given = sample_codes(program, SAMPLES)
    wanted = compute(program, given).reshape(SAMPLES, -1)
    parts = (
        (INPUTS, ports.given, given.reshape(SAMPLES, -1), program.input.fraction),
        (EXPECTED, ports.gives, wanted, program.output.fraction),
    )
    return {
        name: "".join(f"{word}\n" for word in port.words(codes, fraction))
        for name, port, codes, fraction in parts
    }

"""Reports of vendors' tools: figures as they stand there, and what is none is refused in one line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.errors import UserError
from widthwise.export.importing import MOST_BYTES, read_report
from widthwise.export.vendor.vitis import read_csynth
from widthwise.export.vendor.vivado import read_utilisation
from widthwise.export.vendor.xml import DEEPEST, texts_of

ULTRASCALE = """\
Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
---------------------------------------------------------------------------------
| Tool Version : Vivado v.2022.2 (lin64) Build 3671981 Fri Oct 14 04:59:54 MDT 2022
| Date         : Tue Nov  3 10:00:00 2026
| Command      : report_utilization -file utilisation.rpt
| Design       : network
| Device       : xcvu13p-flga2577-2-e
| Speed File   : -2
| Design State : Routed
---------------------------------------------------------------------------------

Utilization Design Information

1. CLB Logic
------------

+----------------------------+-------+-------+------------+-----------+-------+
|          Site Type         |  Used | Fixed | Prohibited | Available | Util% |
+----------------------------+-------+-------+------------+-----------+-------+
| CLB LUTs*                  | 1,376 |     0 |          0 |   1728000 |  0.08 |
|   LUT as Logic             |  1370 |     0 |          0 |   1728000 |  0.08 |
| CLB Registers              |   222 |     0 |          0 |   3456000 | <0.01 |
|   Register as Flip Flop    |   222 |     0 |          0 |   3456000 | <0.01 |
| CARRY8                     |   106 |     0 |          0 |    216000 |  0.05 |
+----------------------------+-------+-------+------------+-----------+-------+
* Warning! The Final LUT count may be lower.

3. BLOCKRAM
-----------

+-------------------+------+-------+------------+-----------+-------+
|     Site Type     | Used | Fixed | Prohibited | Available | Util% |
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    |  0.5 |     0 |          0 |      2688 |  0.02 |
|   RAMB18          |    1 |     0 |          0 |      5376 |  0.02 |
| URAM              |    0 |     0 |          0 |      1280 |  0.00 |
+-------------------+------+-------+------------+-----------+-------+

4. ARITHMETIC
-------------

+-----------+------+-------+------------+-----------+-------+
| Site Type | Used | Fixed | Prohibited | Available | Util% |
+-----------+------+-------+------------+-----------+-------+
| DSPs      |    3 |     0 |          0 |     12288 |  0.02 |
+-----------+------+-------+------------+-----------+-------+

8. Primitives
-------------

+----------+------+---------------------+
| Ref Name | Used | Functional Category |
+----------+------+---------------------+
| LUT6     |  900 |                 CLB |
| CARRY8   |  107 |                 CLB |
+----------+------+---------------------+
"""
SEVEN_SERIES = """\
| Tool Version : Vivado v.2019.1 (lin64) Build 2552052
+----------------------------+------+-------+-----------+-------+
|          Site Type         | Used | Fixed | Available | Util% |
+----------------------------+------+-------+-----------+-------+
| Slice LUTs                 | 1234 |     0 |     53200 |  2.32 |
| Slice Registers            | 2345 |     0 |    106400 |  2.20 |
| DSPs                       |   12 |     0 |       220 |  5.45 |
+----------------------------+------+-------+-----------+-------+

+----------+------+---------------------+
| Ref Name | Used | Functional Category |
+----------+------+---------------------+
| CARRY4   |   40 |          CarryLogic |
+----------+------+---------------------+
"""
CSYNTH = """\
<?xml version="1.0" encoding="UTF-8"?>
<profile>
  <ReportVersion><Version>2023.2</Version></ReportVersion>
  <UserAssignments>
    <unit>ns</unit><Part>xcvu13p-flga2577-2-e</Part><TopModelName>network</TopModelName>
    <TargetClockPeriod>5.00</TargetClockPeriod>
  </UserAssignments>
  <PerformanceEstimates>
    <SummaryOfTimingAnalysis><unit>ns</unit><EstimatedClockPeriod>4.350</EstimatedClockPeriod>
    </SummaryOfTimingAnalysis>
    <SummaryOfOverallLatency>
      <Best-caseLatency>8</Best-caseLatency><Worst-caseLatency>9</Worst-caseLatency>
      <Interval-min>1</Interval-min><Interval-max>2</Interval-max>
    </SummaryOfOverallLatency>
  </PerformanceEstimates>
  <AreaEstimates>
    <Resources><BRAM_18K>4</BRAM_18K><DSP>171</DSP><FF>9744</FF><LUT>19834</LUT><URAM>0</URAM></Resources>
    <AvailableResources><DSP>12288</DSP><FF>3456000</FF><LUT>1728000</LUT></AvailableResources>
  </AreaEstimates>
</profile>
"""


def written(folder: Path, text: str, name: str = "report.rpt") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_vivados_utilisation_is_read_as_it_stands(tmp_path: Path) -> None:
    found = read_report(written(tmp_path, ULTRASCALE))
    assert found.tool == "vivado"
    assert found.version == "Vivado v.2022.2 (lin64) Build 3671981 Fri Oct 14 04:59:54 MDT 2022"
    assert found.metrics == {
        "vivado_luts": 1376,
        "vivado_registers": 222,
        "vivado_dsps": 3,
        "vivado_brams": 0.5,
        "vivado_urams": 0,
        "vivado_carries": 106,
    }
    assert found.notes == ("device xcvu13p-flga2577-2-e", "design state Routed", "design network")


def test_that_of_older_devices_too() -> None:
    found = read_utilisation(SEVEN_SERIES, "old.rpt")
    assert found.metrics == {
        "vivado_luts": 1234,
        "vivado_registers": 2345,
        "vivado_dsps": 12,
        "vivado_carries": 40,
    }


def test_vitis_estimates_are_those_of_the_whole_design(tmp_path: Path) -> None:
    found = read_report(written(tmp_path, CSYNTH, "csynth.xml"))
    assert (found.tool, found.version) == ("vitis_hls", "Vitis HLS 2023.2")
    assert found.metrics == {
        "vitis_hls_luts": 19834,
        "vitis_hls_registers": 9744,
        "vitis_hls_dsps": 171,
        "vitis_hls_brams": 4,
        "vitis_hls_urams": 0,
        "vitis_hls_latency_cycles": 9,
        "vitis_hls_interval_cycles": 2,
        "vitis_hls_clock_ns": 4.35,
    }
    assert found.notes == ("part xcvu13p-flga2577-2-e", "top network")


def test_a_latency_that_vitis_does_not_know_is_none() -> None:
    found = read_csynth(CSYNTH.replace(">9<", ">undef<").encode(), "csynth.xml")
    assert "vitis_hls_latency_cycles" not in found.metrics


LAUGHS = """<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<profile><AreaEstimates><Resources><LUT>&b;</LUT></Resources></AreaEstimates></profile>"""
READS = """<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<profile><AreaEstimates><Resources><LUT>&x;</LUT></Resources></AreaEstimates></profile>"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "holds a document type"),
        (READS, "holds a document type"),
        ("<a>" * (DEEPEST + 1), f"more than {DEEPEST} deep"),
        ("<profile><AreaEstimates>", "no XML that can be read"),
        ("<profile></profile>", "has no AreaEstimates/Resources/LUT"),
        (CSYNTH.replace("19834", "many"), "AreaEstimates/Resources/LUT: is 'many', which is no count"),
        (CSYNTH.replace("19834", "-3"), "is '-3', which is no count"),
        (CSYNTH.replace("19834", "inf"), "is 'inf', which is no count"),
        ("", "no table with a row CLB LUTs or Slice LUTs"),
        ("| CLB LUTs | 3 |", "no table with a row"),
        (ULTRASCALE.replace("1,376", "1e9"), "CLB LUTs: is '1e9', which is no count"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason) as found:
        read_report(written(tmp_path, text))
    assert "\n" not in str(found.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="is no text"):
        read_report(tmp_path / "image.bin")
    with (tmp_path / "large.rpt").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(UserError, match="at most 16 MiB"):
        read_report(tmp_path / "large.rpt")
    with pytest.raises(UserError, match="no such file"):
        read_report(tmp_path / "none.rpt")


@given(content=st.one_of(st.binary(max_size=300), st.text(alphabet="<>/ab!&;|+ \n", max_size=300)))
def test_whatever_stands_there_is_read_or_refused(content: bytes | str) -> None:
    given = content if isinstance(content, bytes) else content.encode()
    for read in (texts_of, read_csynth):
        with suppress(UserError):
            read(given, "file")
    with suppress(UserError):
        read_utilisation(given.decode(errors="replace"), "file")

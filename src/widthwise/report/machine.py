"""What this machine has of what widthwise can use: versions, processor, programs, and what each is for."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from widthwise.core.threads import cores

PACKAGES = {  # name: what for, and the extra that brings it; None: always there
    "torch": ("networks", None),
    "numpy": ("arrays", None),
    "optuna": ("the strategies tpe, nsga2, gp …", None),
    "torchmetrics": ("further metrics by their class", None),
    "onnx": ("exports to onnx and qonnx", "onnx"),
    "onnxruntime": ("running onnx exports, measuring latency", "onnx"),
    "qonnx": ("running qonnx exports", "onnx"),
    "hls4ml": ("exports to hls4ml", "hls4ml"),
    "alkaid": ("LUTs as an objective, exports to verilog and vhdl", "fpga"),
    "ray": ("searches on many machines (--ray)", "ray"),
    "psycopg": ("trials in PostgreSQL (--storage)", "postgres"),
    "transformers": ("networks of Hugging Face", "transformers"),
    "pillow": ("folders of images as data", "images"),
    "matplotlib": ("pictures (--format png, pdf, svg)", "pictures"),
    "optuna-dashboard": ("widthwise dashboard", "dashboard"),
}
PROGRAMS = {  # name: what for, and the Debian package that has it
    "g++": ("running exports to c and hls4ml", "g++"),
    "verilator": ("running exports to verilog", "verilator"),
    "ghdl": ("running exports to vhdl", "ghdl"),
    "yosys": ("widthwise certify: synthesis", "yosys"),
    "iverilog": ("widthwise certify: simulating the netlist", "iverilog"),
    "nextpnr-ice40": ("widthwise certify: place and route of small networks", "nextpnr-ice40"),
    "psql": ("PostgreSQL on this machine", "postgresql"),
    "chromium": ("the tests of pages", "chromium"),
}


@dataclass(frozen=True)
class Part:
    """One thing that can be used; found: its version or place, None where it is missing."""

    kind: str
    name: str
    found: str | None
    purpose: str
    how: str = ""


def machine() -> list[Part]:
    """Everything, what is always there first; imports torch, runs nothing."""
    return [*_base(), *_packages(), *_programs()]


def as_json(parts: list[Part]) -> list[dict[str, Any]]:
    """Plain values."""
    return [asdict(part) for part in parts]


def _base() -> list[Part]:
    import torch

    threads = f"{cores()} cores, of which torch takes {torch.get_num_threads()}"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return [
        Part("base", "widthwise", version("widthwise"), "this program"),
        Part("base", "python", platform.python_version(), f"on {platform.system()} {platform.machine()}"),
        Part("base", "processor", threads, f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}"),
        Part("base", "memory", _memory(), "evaluating takes a quarter of what is free (--memory)"),
        Part("base", "gpu", gpu, "--device cuda", "a build of torch with CUDA, and its driver"),
    ]


def _packages() -> list[Part]:
    found = []
    for name, (purpose, extra) in PACKAGES.items():
        how = "" if extra is None else f"pip install 'widthwise[{extra}]'"
        try:
            found.append(Part("package", name, version(name), purpose, how))
        except PackageNotFoundError:
            found.append(Part("package", name, None, purpose, how))
    return found


def _programs() -> list[Part]:
    return [
        Part("program", name, shutil.which(name), purpose, f"apt-get install {package}")
        for name, (purpose, package) in PROGRAMS.items()
    ]


def _memory() -> str | None:
    try:
        pages, free = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_AVPHYS_PAGES")
        size = os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # where the system doesn't tell
        return None
    return f"{pages * size / 2**30:.1f} GiB, {free * size / 2**30:.1f} GiB free"

"""What each layer of a picked trial is and what its formats do to data, as a run folder keeps it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from widthwise.core.errors import BROKEN, UserError
from widthwise.core.files import write_atomically
from widthwise.core.finite import finite
from widthwise.core.inside import read_inside
from widthwise.study.run_files import LAYERS

MOST_BYTES = 2**26


@dataclass(frozen=True)
class NodeFigures:
    """A node of the network: its type, the nodes that it reads, parameters stored and MACs of a sample."""

    name: str
    type: str
    inputs: tuple[str, ...]
    parameters: int
    macs: int


@dataclass(frozen=True)
class TensorFigures:
    """A tensor and its format: range, the share that is clipped, signal to noise in dB (inf: exact)."""

    layer: str
    tensor: str
    format: str
    minimum: float
    maximum: float
    clipped: float
    snr_db: float


@dataclass(frozen=True)
class LayerFigures:
    """Of one trial; samples: of the validation data that its tensors were looked at on."""

    trial: int
    samples: int
    nodes: tuple[NodeFigures, ...]
    tensors: tuple[TensorFigures, ...]

    def write(self, folder: Path) -> None:
        """Into the run folder; null stands for what JSON has no number for."""
        text = json.dumps(finite(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(folder / LAYERS, text.encode() + b"\n")


def read_layer_figures(folder: Path | None) -> LayerFigures | None:
    """What a run folder keeps; None where it keeps none. Raises UserError where that is broken."""
    content = None if folder is None else read_inside(folder, LAYERS, most=MOST_BYTES)
    if folder is None or content is None:
        return None
    try:
        stored = json.loads(content)
        nodes = tuple(
            NodeFigures(
                str(n["name"]),
                str(n["type"]),
                tuple(map(str, n["inputs"])),
                int(n["parameters"]),
                int(n["macs"]),
            )
            for n in stored["nodes"]
        )
        tensors = tuple(_tensor(each) for each in stored["tensors"])
        return LayerFigures(int(stored["trial"]), int(stored["samples"]), nodes, tensors)
    except BROKEN as error:
        raise UserError(f"{folder / LAYERS}: is broken; delete it, the search stays as it is") from error


def _tensor(stored: Mapping[str, Any]) -> TensorFigures:
    def number(name: str, missing: float) -> float:
        return missing if stored[name] is None else float(stored[name])

    return TensorFigures(
        str(stored["layer"]),
        str(stored["tensor"]),
        str(stored["format"]),
        number("minimum", math.nan),
        number("maximum", math.nan),
        number("clipped", math.nan),
        number("snr_db", math.inf),
    )

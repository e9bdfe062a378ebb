"""Poems in the public domain, a character a token: the least text to try a network of tokens on."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from widthwise.data.samples import Samples
from widthwise.data.targets import IGNORED, Targets

END = "\n"  # begins and ends each line, and pads the inputs


def read_poems() -> Samples:
    """The lines of the poems in small letters: inputs int64 [n, T], the next character as target [n, T].

    Lines are padded to the longest: inputs with the end of a line, targets with -100, which is left out.
    """
    text = (files("widthwise.data") / "poems.txt").read_text(encoding="ascii").lower()
    lines = [line for line in text.splitlines() if line]
    characters = tuple(sorted({END, *text}))
    number = {character: index for index, character in enumerate(characters)}
    x = np.full((len(lines), max(map(len, lines)) + 1), number[END], dtype=np.int64)
    y = np.full(x.shape, IGNORED, dtype=np.int64)
    for row, line in enumerate(lines):
        codes = [number[character] for character in line]
        x[row, 1 : len(line) + 1] = codes
        y[row, : len(line) + 1] = [*codes, number[END]]
    return Samples(
        name="poems",
        note=f"poems: {len(lines)} lines of English verse, a character a token",
        x=x,
        targets=Targets(y, characters),
        feature_names=(),
        label="the next character",
    )

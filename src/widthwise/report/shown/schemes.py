"""What a candidate chooses in few words: a key once, its choices in the order of the network's layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from widthwise.core.toml import shown_choice
from widthwise.spaces.space import Space

MOST_RUNS = 12  # of equal choices in a row; beyond that choices are counted


@dataclass(frozen=True)
class Part:
    """The decisions of one key, such as weight_width: their columns in the order of the network."""

    key: str
    columns: tuple[int, ...]


def parts_of(space: Space) -> tuple[Part, ...]:
    """The decisions by key, `layer/key` as spaces name them; names without a layer are keys of their own."""
    found: dict[str, list[int]] = {}
    for column, decision in enumerate(space.decisions):
        found.setdefault(key_of(decision.name), []).append(column)
    return tuple(Part(key, tuple(columns)) for key, columns in found.items())


def key_of(decision: str) -> str:
    """`weight_width` of `seq_blocks_2/weight_width`."""
    return decision.rpartition("/")[2]


def layer_of(decision: str) -> str:
    """`seq_blocks_2` of `seq_blocks_2/weight_width`; nothing where the name has no layer."""
    return decision.rpartition("/")[0]


def in_few_words(space: Space, candidate: Sequence[int], parts: Iterable[Part]) -> str:
    """`weight_width 4 4 8, bias_width 8`: a number of equal ones in a row is written `4*12`."""
    return ", ".join(f"{part.key} {_of_part(space, candidate, part)}" for part in parts)


def differing(parts: Iterable[Part], candidates: Sequence[Sequence[int]]) -> tuple[Part, ...]:
    """The parts in which the candidates are not all the same."""
    return tuple(
        part
        for part in parts
        if any(len({candidate[column] for candidate in candidates}) > 1 for column in part.columns)
    )


def _of_part(space: Space, candidate: Sequence[int], part: Part) -> str:
    words = [shown_choice(space.decisions[column].choices[candidate[column]]) for column in part.columns]
    runs = [(word, len(list(group))) for word, group in groupby(words)]
    if len(runs) > MOST_RUNS:
        return ", ".join(f"{word} in {count}" for word, count in _counts(words).items())
    return " ".join(word if count == 1 else f"{word}*{count}" for word, count in runs)


def _counts(words: Sequence[str]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def scheme_lines(config: Mapping[str, Any]) -> list[str]:
    """A layer a line: `seq_blocks_2: weight_width 4, bias_width 8`."""
    layers: dict[str, list[str]] = {}
    for name, value in config.items():
        layers.setdefault(layer_of(name), []).append(f"{key_of(name)} {shown_choice(value)}")
    return [f"{layer + ': ' if layer else ''}{', '.join(found)}" for layer, found in layers.items()]

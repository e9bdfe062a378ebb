"""docs/config-reference.md and docs/command-reference.md, from what reads configs and the command line.

    python benchmarks/references.py [FOLDER]

Keys, kinds, ranges and defaults are what the reader of configs asks for while it reads the examples; what a
key means stands in benchmarks/meanings.toml. Commands are as their --help prints them.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from widthwise.cli.app import make_app
from widthwise.config.read import read_config
from widthwise.core.errors import UserError
from widthwise.core.table import Document, Table
from widthwise.metrics.catalogue import METRICS
from widthwise.spaces.kinds import KINDS
from widthwise.strategies.registry import STRATEGIES

ROOT = Path(__file__).parents[1]
MEANINGS = Path(__file__).with_name("meanings.toml")
BY_KIND = ("search.search_space.setup", "search.training")  # tables whose keys differ from space to space
HEAD = ("| key | is | default | |", "| --- | --- | --- | --- |")
ORDER = ("", "data", "metrics", "search_space", "strategy", "constraints", "training", "finetune")
UNSAID = "-"  # of a key that is known and has no meaning
WIDTH = 100  # of a command's help
WRITTEN = "<!-- Written by `make references`: what is changed here is lost. -->"
# what stands for any name: of a rule, a layer's tensor, a metric
GENERAL = (
    (r"^search\.search_space\.seed\.[^.]+", "search.search_space.seed.RULE"),
    (r"\.config\.(?:data_in|weight|bias)_name$", ".config.TENSOR_name"),
    (r"\.config\.(?:data_in|weight|bias)_\w+$", ".config.TENSOR_PARAMETER"),
    (r"^search\.strategy\.metrics\.[^.]+", "search.strategy.metrics.METRIC"),
    (r"^search\.constraints\.(?!trials$|time$|target$).+", "search.constraints.METRIC"),
    (r"^metrics\.[^.]+", "metrics.NAME"),
)


@dataclass(frozen=True)
class Asked:
    """What a key may be, in words, and its default; kind is "" where the reader looks for itself."""

    kind: str = ""
    default: Any = None


@dataclass
class Watched(Table):
    """A table of a config that notes what is asked of it."""

    def note(self, key: str, asked: Asked) -> None:
        """Keeps the most that is known of a key."""
        path = generalised(".".join((*self.path, key)))
        if path not in FOUND or not FOUND[path].kind:
            FOUND[path] = asked

    def __contains__(self, key: str) -> bool:
        self.note(key, Asked())
        return super().__contains__(key)

    def get(self, key: str) -> Any:
        """As it is."""
        self.note(key, Asked())
        return super().get(key)

    def text(self, key: str) -> str | None:
        """Text."""
        self.note(key, Asked("text"))
        return super().text(key)

    def flag(self, key: str, default: bool) -> bool:
        """A switch."""
        self.note(key, Asked("true or false", default))
        return super().flag(key, default)

    def whole(self, key: str, default: Any, *, least: int = 1, most: int | None = None) -> Any:
        """A whole number."""
        upto = "" if most is None else f" to {most:,}"
        self.note(key, Asked(f"whole number, from {least}{upto}", default))
        return super().whole(key, default, least=least, most=most)

    def number(
        self, key: str, default: Any, *, above: float | None = None, least: float | None = None
    ) -> Any:
        """A number."""
        bound = (
            f", above {above:g}" if above is not None else f", from {least:g}" if least is not None else ""
        )
        self.note(key, Asked(f"number{bound}", default))
        return super().number(key, default, above=above, least=least)

    def choice(self, key: str, allowed: Mapping[str, Any], default: Any) -> Any:
        """One of some."""
        self.note(key, Asked(", ".join(f"`{name}`" for name in allowed), default))
        return super().choice(key, allowed, default)

    def table(self, key: str) -> Table:
        """A table inside, which is watched too."""
        inner = super().table(key)
        return Watched(inner.values, inner.path, inner.document)


FOUND: dict[str, Asked] = {}  # of the config that is read


def watch(configs: list[str]) -> dict[tuple[str, str], dict[str, Asked]]:
    """By table, and by kind of space where that matters: the keys that the reader asks for."""
    found: dict[tuple[str, str], dict[str, Asked]] = {}
    for number, text in enumerate(configs):
        FOUND.clear()
        tables = tomllib.loads(text)
        read_config(Watched(tables, (), Document(f"meanings.toml, config {number}")))
        kind = tables["search"]["search_space"]["name"].rpartition("/")[2]
        for path, asked in FOUND.items():
            table, _, key = path.rpartition(".")
            found.setdefault((table, kind if table.startswith(BY_KIND) else ""), {}).setdefault(key, asked)
    with_keys = {table for table, _ in found}
    above = {
        ".".join(table.split(".")[:many]) for table in with_keys for many in range(1, table.count(".") + 2)
    }
    kept = {
        (table, kind): {
            key: asked for key, asked in keys.items() if f"{table}.{key}".lstrip(".") not in above
        }
        for (table, kind), keys in found.items()
    }
    return {place: keys for place, keys in kept.items() if keys}


def generalised(path: str) -> str:
    """The path with what stands for any name in place of names."""
    for pattern, general in GENERAL:
        path = re.sub(pattern, general, path)
    return path


def config_reference() -> str:
    """The page of configs."""
    said = tomllib.loads(MEANINGS.read_text("utf-8"))
    meanings, used, parts = said["keys"], set(), []
    for (table, kind), keys in sorted(watch(said["configs"]).items(), key=lambda item: _place(item[0][0])):
        rows = []
        for key, asked in keys.items():
            path = f"{table}.{key}" if table else key
            name = next((each for each in (f"{path} @ {kind}", path) if each in meanings), None)
            if name is None:
                raise UserError(f"{path}: is a key without a meaning; write one into {MEANINGS.name}")
            used.add(name)
            what, _, meaning = meanings[name].rpartition(" | ")
            if meaning.strip() != UNSAID:
                rows.append(f"| `{key}` | {what or asked.kind} | {_default(asked.default)} | {meaning} |")
        title = f"## `[{table}]`" if table else "## At the top"
        of = f", of a space `{kind}`" if kind else ""
        parts.append("\n".join([title + of, "", *HEAD, *rows]))
    if unused := sorted(meanings.keys() - used):
        raise UserError(f"{MEANINGS.name}: {unused[0]}: is no key that configs have; remove it")
    return "\n\n".join([*_opening("config", said), *parts, _spaces(), _options(), _metrics()]) + "\n"


def _opening(page: str, said: Mapping[str, Any]) -> list[str]:
    """The title, where the page comes from, and what it is."""
    return [f"# {page.capitalize()} reference", WRITTEN, said["openings"][page].strip()]


def _place(table: str) -> tuple[int, str]:
    return ORDER.index(table.removeprefix("search.").split(".")[0]), table


def _default(value: Any) -> str:
    if value is None:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _spaces() -> str:
    names = "\n".join(f"- `{name}`" for name in KINDS.own)
    text = "`search.search_space.name` is one of these; a joint space has the keys of both that it joins."
    return f"## Kinds of spaces\n\n{text}\n\n{names}"


def _options() -> str:
    rows = [
        f"| `{source.name}` | `{name}` | {_default(option.default)} | {option.meaning} |"
        for source in STRATEGIES.values()
        for name, option in (source.options or {}).items()
    ]
    head = "| strategy | option | default | |\n| --- | --- | --- | --- |"
    text = (
        "Under `[search.strategy.options]`, by [strategy](strategies.md); those that are not here take none."
    )
    return "\n".join(["## Options of strategies", "", text, "", head, *rows])


def _metrics() -> str:
    names = ", ".join(f"`{name}`" for name in METRICS)
    text = "Of objectives and bounds; formulas are in [Metrics](metrics-reference.md)"
    return f"## Names of metrics\n\n{text}: {names}; and [metrics of your own](metrics.md)."


def command_reference() -> str:
    """The page of commands."""
    group: Any = typer.main.get_command(make_app())
    parts = _opening("command", tomllib.loads(MEANINGS.read_text("utf-8")))
    for path, command in _commands(group, "widthwise"):
        context = command.make_context(
            path, [], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH
        )
        parts.append(f"## {path}\n\n```text\n{command.get_help(context).strip()}\n```")
    return "\n\n".join(parts) + "\n"


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{path} {name}")


PAGES = {"config-reference.md": config_reference, "command-reference.md": command_reference}


def main(folder: str = "docs") -> None:
    """Writes both."""
    for name, page in PAGES.items():
        Path(folder, name).write_text(page(), encoding="utf-8")
        print(f"wrote {folder}/{name}")


if __name__ == "__main__":
    main(*sys.argv[1:])

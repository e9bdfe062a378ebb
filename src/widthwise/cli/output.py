"""Where commands write: results to stdout, warnings and progress to stderr; files whole or not at all."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.plain import plain, plain_json

if TYPE_CHECKING:
    from rich.console import Console

    from widthwise.report.reading import ReadingProgress
    from widthwise.report.sheets import Sheet

WIDE = 160  # columns of tables that go to a file


@dataclass(frozen=True)
class Output:
    """quiet: no more than the result. silent: nothing on stdout, because JSON goes there."""

    quiet: bool = False
    silent: bool = False

    def note(self, text: str = "") -> None:
        """A line that says what is going on."""
        if not self.quiet:
            self.say(text)

    def say(self, text: str = "") -> None:
        """A line of the result; never broken, so that paths and commands can be copied.

        Line ends around it are kept; whatever is named in it is plain.
        """
        if not self.silent:
            line = text.strip("\n")
            self.console.print(text.replace(line, plain(line)) if line else text, soft_wrap=True)

    def show(self, renderable: Any) -> None:
        """A table of the result."""
        if not self.silent:
            with self.console.capture() as capture:
                self.console.print(renderable)
            for line in capture.get().splitlines():  # without the blanks that fill a table's last column
                print(line.rstrip())  # noqa: T201

    def show_sheet(self, sheet: Sheet) -> None:
        """A table of the result with its title, numbers to the right."""
        from widthwise.report.tables import sheet_table

        self.note()
        self.say(sheet.title)
        self.show(sheet_table(sheet))

    def warn(self, text: str) -> None:
        """One line on stderr."""
        print(f"warning: {plain(' '.join(text.split()))}", file=sys.stderr)  # noqa: T201

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads it, on a terminal that can do more than lines."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    @cached_property
    def console(self) -> Console:
        """Stdout; as wide as the terminal, or as COLUMNS says."""
        return make_console()


def make_console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: no markup, no guessed colours, no emoji."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else WIDE
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def reading(*, wanted: bool = True) -> ReadingProgress:
    """The line that moves on stderr while many trials are read; nothing in pipes or where none is wanted."""
    from widthwise.report.reading import ReadingProgress

    return ReadingProgress(make_console(stderr=True) if wanted and sys.stderr.isatty() else None)


def print_json(content: Any) -> None:
    """JSON on stdout and nothing else."""
    import json

    print(plain_json(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)))  # noqa: T201


def is_interactive() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def check_new_file(path: Path, *, force: bool, ending: str = "") -> None:
    """Raises UserError where a file may not be written: it exists, has no folder, ends wrongly."""
    if ending and path.suffix.lower() != ending:
        raise UserError(f"{path}: is written as {ending}; give it that ending")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give a file")
    if path.exists() and not force:
        raise UserError(f"{path}: exists already; --force overwrites it, or choose another name")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: {path.parent} can't be written to; choose another place")

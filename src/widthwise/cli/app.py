"""The program: its commands put together, and how each of them ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from widthwise import __version__
from widthwise.cli.examples import with_examples
from widthwise.core.errors import UserError
from widthwise.core.plain import PlainFormatter, plain

# each has register(app), which adds its commands; none may import anything heavy at its top
MODULES = (
    "demo",
    "search",
    "training",
    "testing",
    "inspect",
    "init",
    "formats",
    "runs",
    "report",
    "watch",
    "dashboard",
    "check",
    "compare",
    "importance",
    "explain",
    "finetune",
    "export",
    "hardware",
    "measure",
    "doctor",
)
USER_ERROR = 2

# what typer raises for wrong usage is not among its public names, but the bases of one that is are
_UsageError, _AnyError = typer.BadParameter.__mro__[1:3]


def make_app() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="widthwise",
        rich_markup_mode=None,  # plain help needs no rich, which would take half of the time to answer
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(invoke_without_command=True)(_program)
    for module in MODULES:
        import_module(f"widthwise.cli.{module}").register(app)
    with_examples(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; the exit status.

    0: done. 1: done, but trials or the strategy failed, or cancelled. 2: something that the user can mend,
    said on one line of stderr. 130, 143: stopped by Ctrl-C or SIGTERM. Anything unexpected is raised, with
    its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that can't show a character shows "?"
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PlainFormatter("%(message)s"))
    warnings.formatwarning = _warning
    try:
        status = make_app()(arguments, prog_name="widthwise", standalone_mode=False)
        sys.stdout.flush()
        return int(status or 0)
    except UserError as error:
        return _complain(str(error))
    except typer.Abort:
        print("cancelled", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # whoever read our output left; what is still buffered goes nowhere, without a complaint at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1  # as typer has it
    except Exception as error:
        if not isinstance(error, _AnyError):
            raise
        return _complain(_usage(error))


def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Search the widths of a neural network: how many bits each tensor gets, how many channels each layer."""
    if version:
        print(f"widthwise {__version__}")  # noqa: T201
    elif context.invoked_subcommand is None:
        print(context.get_help())  # noqa: T201


def _usage(error: Exception) -> str:
    """A usage error of typer as one of ours: what is wrong, and where the options are listed."""
    text = error.format_message().rstrip(".")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "widthwise"
    return f"{text}; {path} --help lists what is allowed"


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """As Python prints a warning, on one line whatever is named in it."""
    del line
    return f"{plain(filename)}:{lineno}: {category.__name__}: {plain(message)}\n"


def _complain(text: str) -> int:
    print(f"error: {plain(' '.join(text.split()))}", file=sys.stderr)  # noqa: T201
    return USER_ERROR

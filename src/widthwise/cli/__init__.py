"""The command line: parses, calls the library, prints. A group of commands a file, listed in `app`."""

from __future__ import annotations

from widthwise.cli.app import main

__all__ = ["main"]

"""The command line: parses, calls the library, prints. A group of commands a file, listed in `app`."""

from __future__ import annotations

import gc
import signal
from collections.abc import Sequence

OBJECTS_BETWEEN_COLLECTIONS = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments (by default the program's) name; see `app.main`."""
    # start-up makes many objects that stay: to look for cycles among them takes a seventh of its time
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        from widthwise.cli.app import main as run
    except KeyboardInterrupt:  # while it loads
        return 128 + signal.SIGINT
    return run(arguments)


__all__ = ["main"]

"""python -m widthwise is widthwise."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109  # as Python puts it there
        del sys.path[0]  # nothing in the working directory stands before what is installed

    from widthwise.cli import main

    sys.exit(main())

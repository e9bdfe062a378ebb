"""python -m widthwise is widthwise."""

from __future__ import annotations

import sys

from widthwise.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Whether a search goes on, as far as others can tell."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widthwise.study.study import Study


def is_searching(study: Study) -> bool:
    """Whether somebody may be writing to it: it has not ended, and its process is not known to be gone."""
    holder = study.record.holder
    if study.finished is not None or study.interrupted is not None or holder is None:
        return False
    if holder.get("host") != socket.gethostname():
        return True
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

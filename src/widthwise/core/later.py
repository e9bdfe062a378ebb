"""Settings that came later: what was stored without them is still known by the others."""

from __future__ import annotations

LATER = "later"  # in a dataclass field's metadata: it came after things were stored by hashes without it

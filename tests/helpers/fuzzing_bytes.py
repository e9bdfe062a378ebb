"""Bytes that nobody meant, and what a reader may answer to them: a result or one line of error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from widthwise.core.errors import UserError

WORDS = r"NA nan inf -1 1e999 [ ]] { \" ''' = , true default integer name ../../x my:code <script> \0 \n"
BYTES = [*WORDS.encode().split(), b"9" * 40, b"\0", b"\xff\xfe", b"\n", "\u2028".encode()]


def answered(run: Callable[[], Any]) -> bool:
    """Whether there was a result; a UserError of one line is the only other answer allowed."""
    try:
        run()
    except UserError as found:
        said = str(found)
    else:
        return True
    assert len(said.splitlines()) == 1, f"not one line: {said!r}"
    return False


@st.composite
def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with a few bytes changed, put in, cut out or doubled; or something else entirely."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.sampled_from([0, 1, 1, 2, 4, 8, 40, 10**6]))
        new = draw(
            st.sampled_from(BYTES) | st.binary(max_size=8) | st.just(content[at : at + 40]) | st.just(b"")
        )
        content = content[:at] + new + content[at + length :]
    return content

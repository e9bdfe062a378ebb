"""XML that may be anybody's: elements and their text, nothing that expands or reaches elsewhere."""

from __future__ import annotations

from xml.parsers import expat

from widthwise.core.errors import UserError

DEEPEST = 64  # elements inside one another
Texts = dict[str, str]


def texts_of(content: bytes, where: str) -> Texts:
    """The text of the first element at each path below the root, as {"AreaEstimates/Resources/LUT": "3"}.

    where: what it is, for UserError: where it is no XML, or holds a document type, which may define entities
    that grow without end or read other files.
    """
    parser = expat.ParserCreate()
    found: Texts = {}
    path: list[str] = []

    def refuse(*_: object) -> None:
        raise UserError(f"{where}: holds a document type (<!DOCTYPE), which no report has; it is not read")

    def begin(name: str, _: object) -> None:
        path.append(name)
        if len(path) > DEEPEST:
            raise UserError(f"{where}: has elements more than {DEEPEST} deep; it is no report")

    def end(_: str) -> None:
        path.pop()

    def text(given: str) -> None:
        if given.strip():
            found.setdefault("/".join(path[1:]), given.strip())

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.buffer_text = True
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise UserError(f"{where}: is no XML that can be read: {error}") from None
    return found

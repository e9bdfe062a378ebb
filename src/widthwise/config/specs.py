"""What configs name as module:callable: its form is checked here, nothing is imported."""

from __future__ import annotations

from widthwise.core.errors import UserError
from widthwise.core.toml import shown


def check_spec(name: str, *, what: str, where: str) -> None:
    """Raises UserError where a name with a colon is not of the form module:callable."""
    module, colon, path = name.partition(":")
    if colon and not all(part.isidentifier() for part in [*module.split("."), *path.split(".")]):
        raise UserError(
            f"{where}: {shown(name)} is not of the form module:callable, as my_project.{what}:build"
        )

"""What a config names as text: an object as module:callable."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from widthwise.core.errors import UserError, unknown


def loaded_object(spec: str, *, what: str) -> Any:
    """The object that "module:name" names in a module that was imported before; imports nothing.

    Raises UserError where it wasn't, or lacks the name.
    """
    module_name = spec.partition(":")[0]
    if module_name not in sys.modules:
        raise UserError(
            f"{what} {spec}: is code, which no file that is read makes run; import {module_name} first"
        )
    return load_object(spec, what=what)


def load_object(spec: str, *, what: str) -> Any:
    """The object that "module:name" names (the name may have dots); `what` says in errors what it is for.

    Modules in the working directory can be named: it is put last on the import path, so that nothing in it
    stands before what is installed, and stays there, so that they may import each other later. Raises
    UserError where module or name are missing, the import fails, or something installed has the name of a
    module there.
    """
    module_name, _, path = spec.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), *path.split(".")]):
        meant = meant_object(spec)
        example = f"; write {meant}" if meant else f", as in my_project.{what}:build"
        raise UserError(f"{what} {spec!r}: is not of the form module:callable{example}")
    found = _import(module_name, spec=spec, what=what)
    for name in path.split("."):
        if not hasattr(found, name):
            public = [known for known in dir(found) if not known.startswith("_")]
            if not public:
                raise UserError(f"{what} {spec}: no object named {name!r}; {module_name} has none")
            raise unknown("object", name, public, where=f"{what} {spec}")
        found = getattr(found, name)
    return found


def meant_object(text: str) -> str | None:
    """The module:callable that a text means which names a file below the working directory another way.

    "nets.py:build", "nets.build", "nets.py" and "nets" where nets.py begins with build: "nets:build". Looks
    at files, imports nothing; None where no such file is there.
    """
    path, _, name = text.partition(":")
    stem = path.removesuffix(".py").removeprefix("./").replace("/", ".")
    for module, rest in ((stem, name), stem.rpartition(".")[::2]):
        if module and all(part.isidentifier() for part in module.split(".")):
            file = Path(*module.split(".")).with_suffix(".py")
            if os.path.isfile(file) and (found := rest or _first_callable(file)):  # noqa: PTH113 (any name)
                return f"{module}:{found}"
    return None


def _first_callable(file: Path) -> str | None:
    """The first function or class of a file that is not its own business alone."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):  # which importing it will tell
        return None
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = [found.name for found in tree.body if isinstance(found, kinds)]
    return next((name for name in names if not name.startswith("_")), None)


def call_object(made: Callable[[], Any], spec: str, *, what: str) -> Any:
    """What the user's callable returns when called without arguments; what it raises becomes a UserError."""
    if not callable(made):
        raise UserError(f"{what} {spec}: is a {type(made).__name__}; name something that can be called")
    try:
        return made()
    except Exception as error:
        raise UserError(f"{what} {spec}: calling it raised {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """Type and text of an exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _import(module_name: str, *, spec: str, what: str) -> Any:
    here = Path.cwd()
    try:
        _find(module_name.partition(".")[0], here, where=f"{what} {spec}")
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # only a missing module that was named here is a wrong name; one that it imports is its own trouble
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            meant = meant_object(spec)
            advice = f"write {meant}" if meant else f"give one that is installed or lies in {here}"
            raise UserError(f"{what} {spec}: no module named {error.name}; {advice}") from None
        raise UserError(f"{what} {spec}: importing {module_name} raised {describe_error(error)}") from error
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # the module is a script that may do anything, exit included
        raise UserError(f"{what} {spec}: importing {module_name} raised {describe_error(error)}") from error


def _find(name: str, here: Path, *, where: str) -> None:
    """Puts the working directory last on the import path if a module is nowhere else.

    Raises UserError where one lies there, and another of its name is found first.
    """
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        sys.path.append(str(here))
        importlib.invalidate_caches()
        return
    own = [path for path in (here / f"{name}.py", here / name / "__init__.py") if os.path.isfile(path)]  # noqa: PTH113
    known = sys.modules.get(name)
    found = importlib.util.find_spec(name) if known is None else getattr(known, "__spec__", None)
    origin = found.origin if found is not None else None
    if own and not (origin and Path(origin).is_file() and Path(origin).samefile(own[0])):
        raise UserError(f"{where}: {own[0].name} has the name of another module ({origin}); rename it")

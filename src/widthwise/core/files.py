"""Files read and written so that a broken one is a one-line error and a half-written one cannot be."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGE = 2**28  # bytes: what any file may take
MOST_GROWTH = 100  # times its size, that a file of data takes unpacked: archives made to harm grow 1000


def existing_file(path: str | Path) -> Path:
    """The path of a regular file; raises UserError where there is none, or it may not be read.

    Pipes and devices may have no end.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give a file")
    if not path.exists():
        raise UserError(f"{path}: no such file; check the path, which is read from {Path.cwd()}")
    if not path.is_file():
        raise UserError(f"{path}: is no regular file but a pipe or a device; give a file")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path}: may not be read; check its permissions")
    return path


def read_npz(path: str | Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file by name; raises UserError where it is broken or holds pickled objects."""
    import numpy as np

    path = existing_file(path)
    check_unpacked(path)
    try:
        # opened here, because numpy leaves its own file open where the archive is broken
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # a broken archive makes numpy raise nearly anything
        _refuse_pickle(path, error)
        raise UserError(f"{path}: no npz file that can be read; write it with numpy.savez") from error


def check_unpacked(path: Path) -> None:
    """Raises UserError for an archive that unpacks to far more than it is; other files are none's matter."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # whoever reads it says what it is
    check_growth(path, unpacked)


def check_growth(path: Path, nbytes: int) -> None:
    """Raises UserError where a file would take so many bytes of memory: far more than it is, and many."""
    size = path.stat().st_size
    if nbytes > max(LARGE, MOST_GROWTH * size):
        raise UserError(
            f"{path}: unpacks to {nbytes / 2**20:,.0f} MiB, over {MOST_GROWTH} times its size; "
            "if that is right, store it without compression"
        )


def read_npy(path: str | Path) -> NDArray[Any]:
    """The array of an .npy file; raises UserError where it is broken or holds pickled objects."""
    import numpy as np

    path = existing_file(path)
    try:
        with path.open("rb") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except Exception as error:
        _refuse_pickle(path, error)
        raise UserError(f"{path}: no npy file that can be read; write it with numpy.save") from error


def _refuse_pickle(path: Path, error: Exception) -> None:
    if "Object arrays" in str(error):
        raise UserError(
            f"{path}: holds an array of Python objects, which is stored by pickle; pickle can run any "
            "code when it is read, so it is refused: store numbers or fixed-length text"
        ) from None


def write_atomically(path: str | Path, content: bytes) -> None:
    """The whole content in place, or the file as it was; raises UserError where it can't be written."""
    path = Path(path).expanduser()
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give a file")
    with file_in_one_piece(path) as file:
        file.write(content)


@contextmanager
def file_in_one_piece(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content is the file once all of it is there; the file stays as it was if that fails."""
    part = _beside(path)
    try:
        part.unlink(missing_ok=True)  # of a process of this number that was killed
        with part.open("xb") as file:  # new: a link that lies there in wait is not followed
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise UserError(f"{path}: can't be written: {error.strerror}; choose another place") from error
    finally:
        with suppress(OSError):  # what kept it from being written may keep it from being removed
            part.unlink(missing_ok=True)


@contextmanager
def folder_in_one_piece(folder: Path, *, blamed: Path) -> Iterator[Path]:
    """A new folder beside, to be filled and then renamed; it is gone afterwards unless it was.

    blamed: what UserError names where it can't be written.
    """
    part = _beside(folder)
    try:
        part.mkdir(parents=True)
        yield part
    except OSError as error:
        raise UserError(
            f"{blamed}: can't be written: {error.strerror}; choose another folder (--out)"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _beside(path: Path) -> Path:
    """Where what is to become the path is made: a rename is atomic only within one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")

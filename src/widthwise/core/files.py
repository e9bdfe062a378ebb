"""Files read and written so that a broken one is a one-line error and a half-written one cannot be."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from widthwise.core.errors import UserError, nearest
from widthwise.core.inside import LARGE, MOST_GROWTH, new_name, parent_inside

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_LOOKED_AT = 1000  # files of a folder, for one that was meant
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def existing_file(path: str | Path) -> Path:
    """The path of a regular file; raises UserError where there is none, or it may not be read.

    Pipes and devices may have no end.
    """
    path = Path(path).expanduser()
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: with a zero in it
        near = nearest_file(path)
        raise UserError(
            f"{path}: no such file",
            near=near,
            advice="" if near else f"check the path, which is read from {Path.cwd()}",
        ) from None
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}; check the path") from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{path}: is a folder; give a file")
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: is no regular file but a pipe or a device; give a file")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path}: may not be read; check its permissions")
    return path


def nearest_file(path: Path) -> str | None:
    """The file in a missing one's place, with its ending, whose name is most like it; None where none is."""
    try:
        found = islice((each for each in path.parent.iterdir() if each.suffix == path.suffix), MOST_LOOKED_AT)
        there = {each.stem.lower(): each for each in sorted(found)}
    except (OSError, ValueError):
        return None
    longer = [stem for stem in there if path.stem.lower() in stem]
    near = min(longer, key=len, default=None) or nearest(path.stem, there)
    return None if near is None else str(there[near])


def read_npz(path: str | Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file by name; raises UserError where it is broken or holds pickled objects."""
    import numpy as np

    path = existing_file(path)
    check_unpacked(path)
    try:
        # opened here, because numpy leaves its own file open where the archive is broken
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except Exception as error:  # a broken archive makes numpy raise nearly anything
        _refuse_pickle(path, error)
        raise UserError(f"{path}: no npz file that can be read; write it with numpy.savez") from error
    if others := [name for name, array in found.items() if not isinstance(array, np.ndarray)]:
        raise UserError(f"{path}: holds {others[0]!r}, which is no array; write it with numpy.savez")
    return found


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


def write_atomically(path: str | Path, content: bytes, *, within: Path | None = None) -> None:
    """The whole content in place, or the file as it was; raises UserError where it can't be written.

    within: a folder of somebody's that the path lies in: no link in it is followed, and folders that are
    missing there are made.
    """
    path = Path(path).expanduser()
    if path.is_dir() and not path.is_symlink():
        raise UserError(f"{path}: is a folder; give a file")
    with file_in_one_piece(path, within=within) as file:
        file.write(content)


@contextmanager
def file_in_one_piece(path: Path, *, within: Path | None = None) -> Iterator[BinaryIO]:
    """A stream whose content is the file once all of it is there; the file stays as it was if that fails.

    A link in the file's place is replaced, never followed; `within` as for `write_atomically`.
    """
    folder = path.parent if within is None else within
    name = path.name if within is None else path.relative_to(within).as_posix()
    part = new_name(path.name)
    try:
        with parent_inside(folder, name, make=within is not None) as (here, last):
            try:
                descriptor = os.open(part, NEW, 0o666, dir_fd=here)
                with os.fdopen(descriptor, "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(descriptor)
                os.replace(part, last, src_dir_fd=here, dst_dir_fd=here)
            finally:
                with suppress(OSError):  # what kept it from being written may keep it from being removed
                    os.unlink(part, dir_fd=here)
    except OSError as error:
        raise UserError(f"{path}: can't be written: {error.strerror}; choose another place") from error


@contextmanager
def folder_in_one_piece(folder: Path, *, blamed: Path) -> Iterator[Path]:
    """A new folder beside, to be filled and then renamed; it is gone afterwards unless it was.

    blamed: what UserError names where it can't be written.
    """
    part = folder.with_name(new_name(folder.name))
    try:
        part.mkdir(parents=True)
        yield part
    except OSError as error:
        raise UserError(
            f"{blamed}: can't be written: {error.strerror}; choose another folder (--out)"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)

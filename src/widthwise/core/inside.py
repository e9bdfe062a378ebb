"""Files within a folder that may be from somebody else: each opened once, no link in the folder followed.

The folder itself is the user's to name, links on the way to it included. What lies in it is data: a link
there would read or write what its sender chose, a pipe would wait for ever, a file that is mostly holes is
greater than memory. A name may have folders in it, as "weights/trial-3.safetensors".
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from widthwise.core.errors import UserError

LARGE = 2**28  # bytes: what any file may take
MOST_GROWTH = 100  # times its size, that a file of data takes unpacked: archives made to harm grow 1000
READING = os.O_RDONLY | os.O_NONBLOCK
LOCAL = os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def read_inside(folder: Path, name: str, *, most: int | None = None) -> bytes | None:
    """What a file of the folder holds, None where there is none.

    Raises UserError for a link, a pipe, a device, and for more than `most` bytes; OSError as reading does.
    """
    try:
        descriptor = open_inside(folder, name, READING)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        size, there = about.st_size, about.st_blocks * 512
        if most is not None and size > most:
            raise UserError(f"{folder / name}: is greater than the {most:,} bytes that it may have")
        if size > max(LARGE, MOST_GROWTH * there):
            raise UserError(f"{folder / name}: is {size:,} bytes, but holds {there:,}; copy the whole file")
        return file.read()


def is_inside(folder: Path, name: str) -> bool:
    """Whether the folder has a file of this name; UserError for a link, a pipe or a device."""
    try:
        os.close(open_inside(folder, name, READING))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:  # that it can't be read is said by who reads it
        return True
    return True


def open_inside(folder: Path, name: str, flags: int) -> int:
    """A descriptor of a regular file of the folder; UserError for anything else, OSError as opening does."""
    with parent_inside(folder, name) as (parent, last):
        try:
            descriptor = os.open(last, flags | LOCAL | os.O_NONBLOCK, 0o666, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise not_regular(folder / name) from error
            raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise not_regular(folder / name)
    return descriptor


@contextmanager
def parent_inside(folder: Path, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder that a file lies in, and the file's own name there.

    make: folders on the way that are missing are made. None of them may be a link.
    """
    *folders, last = name.split("/")
    here = os.open(folder, FOLDER)
    try:
        for part in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=here)
            try:
                inner = os.open(part, FOLDER | os.O_NOFOLLOW, dir_fd=here)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise not_regular(folder / part) from error
                raise
            os.close(here)
            here = inner
        yield here, last
    finally:
        os.close(here)


def names_inside(folder: Path, name: str) -> list[str]:
    """What lies in a folder of the folder, sorted; nothing where there is none."""
    try:
        with parent_inside(folder, f"{name}/.") as (inner, _):
            return sorted(os.listdir(inner))  # noqa: PTH208 (a descriptor, not a path)
    except FileNotFoundError:
        return []


def remove_inside(folder: Path, name: str) -> None:
    """Removes a file, or a link, of the folder; never what a link names. Raises OSError where it can't."""
    with parent_inside(folder, name) as (parent, last):
        os.unlink(last, dir_fd=parent)


def append_inside(folder: Path, name: str) -> int:
    """A descriptor to append to a file of the folder, made where there is none.

    Raises UserError for a link of either kind: what is appended would be in a file elsewhere.
    """
    descriptor = open_inside(folder, name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise not_regular(folder / name)
    return descriptor


def new_name(name: str) -> str:
    """A name that nobody knows before, for what is to become the file `name`, beside it."""
    return f".{name}.{secrets.token_hex(8)}.part"


def not_regular(path: Path) -> UserError:
    """What is said of links and of what is no file."""
    if path.is_symlink():
        what = "is a link"
    elif path.is_file():
        what = "has a second name (a hard link)"
    else:
        what = "is no regular file"
    return UserError(
        f"{path}: {what}, and of a run only files that lie in its folder are used; put the file itself there"
    )

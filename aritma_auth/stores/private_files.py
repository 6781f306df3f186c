"""
Files that concern one user alone: written whole or not at all, and read with suspicion.

On Windows the rights of the user's profile take the place of owner and mode.
"""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

from aritma_auth.protocol.redaction import HiddenBytes

SIZE_LIMIT = 1 << 22
"""Bytes; the largest answer of a server is a quarter of it."""

IS_WINDOWS: bool = sys.platform == "win32"

_CAREFUL: int = sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK")
)
_OTHERS_MAY_USE = 0o077
_OTHERS_MAY_WRITE = 0o022

_LINK, _ODD = "it is a link", "it is no regular file"
_REFUSALS = {
    errno.EACCES: "this user may not read it",
    errno.ELOOP: _LINK,
    errno.EMLINK: _LINK,
    errno.ENXIO: _ODD,
}
"""Errors of opening that another file in its place would heal."""

_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


@attrs.frozen
class Found:
    """
    What is kept under a name.

    Attributes:
        content: The bytes; if they must not be read, what tells this find from another.

        problem: Why they must not be read, or None.
    """

    content: HiddenBytes
    problem: str | None = None


def read_private(path: Path) -> Found | None:
    """
    Read a file, if it is a regular one, this user's own, and closed to others.

    Args:
        path: The file; None is given if there is none.

    Raises:
        OSError: The disk failed, or the folder is closed to this user.
    """
    try:
        with _opened(path, os.O_RDONLY) as file:
            status = os.fstat(file)
            problem = _strangeness(status) or _exposure(status)
            if problem is None:
                with os.fdopen(file, "rb", closefd=False) as reader:
                    return Found(HiddenBytes(reader.read(SIZE_LIMIT)))
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = _REFUSALS.get(error.errno or 0)
        if problem is None:
            raise
    return _refused(path, problem)


def _refused(path: Path, problem: str) -> Found | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    marks = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode, status.st_uid)
    return Found(HiddenBytes(repr(marks).encode()), problem)


def write_private(path: Path, body: bytes) -> None:
    """
    Replace a file by a new one, which others cannot read at any time; or leave it as it is.

    Args:
        path: The file. Whoever writes it holds a lock: one file beside it, of the same name with
            the suffix ``.new``, is the writer's own.

        body: What to write.

    Raises:
        OSError: It was not written, or it is not known whether it would survive a power cut.
    """
    if len(body) > SIZE_LIMIT:
        raise OSError(errno.EFBIG, "the tokens are too large to be kept", str(path))
    fresh = _fresh(path)
    # A writer that was killed may have left one.
    fresh.unlink(missing_ok=True)
    try:
        with _opened(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            _write(file, memoryview(body))
            os.fsync(file)
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def erase_private(path: Path) -> None:
    """
    Remove a file, and what a killed writer left beside it; there may be neither.

    Args:
        path: The file.

    Raises:
        OSError: It could not be removed.
    """
    _fresh(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    _sync(path.parent)


def open_lock_file(path: Path) -> int:
    """
    Open a file to lock it and to write a number in it; make it if there is none.

    Args:
        path: The file.

    Returns:
        Its descriptor, which is the caller's to close.

    Raises:
        OSError: It cannot be had, or it is a link, no regular file, or another user's.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | _CAREFUL, 0o600)
    problem = _strangeness(os.fstat(file))
    if problem is not None:
        os.close(file)
        raise PermissionError(errno.EPERM, f"a lock file cannot be used: {problem}", str(path))
    return file


def has_folder(path: Path) -> bool:
    """
    Tell whether there is a folder.

    Args:
        path: The folder.

    Raises:
        OSError: It is no folder, or others can put files into it.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "tokens are kept in a folder", str(path))
    if _is_foreign(status) or _is_open(status, _OTHERS_MAY_WRITE):
        raise PermissionError(
            errno.EPERM, "give tokens a folder that is yours alone, of mode 0700", str(path)
        )
    return True


def make_folder(path: Path) -> None:
    """
    Make a folder of mode 0700 if there is none.

    Args:
        path: The folder.

    Raises:
        OSError: It cannot be made, or what is there is not this user's alone.
    """
    if not has_folder(path):
        path.mkdir(0o700, parents=True, exist_ok=True)
        has_folder(path)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags | _CAREFUL, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _write(file: int, rest: memoryview) -> None:
    while rest:
        rest = rest[os.write(file, rest) :]


def _sync(folder: Path) -> None:
    # Windows opens no folders, and writes names at once.
    if IS_WINDOWS:
        return
    # The folder may be a link.
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        # Some network file systems cannot.
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(file)


def _fresh(path: Path) -> Path:
    return path.with_suffix(".new")


def _strangeness(status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return _ODD
    return "it belongs to another user" if _is_foreign(status) else None


def _exposure(status: os.stat_result) -> str | None:
    if _is_open(status, _OTHERS_MAY_USE):
        return "others may use it: its mode is not 0600"
    return "it is too large" if status.st_size > SIZE_LIMIT else None


def _is_foreign(status: os.stat_result) -> bool:
    return not IS_WINDOWS and status.st_uid != os.geteuid()


def _is_open(status: os.stat_result, rights: int) -> bool:
    return not IS_WINDOWS and bool(status.st_mode & rights)

"""
Files that only their owner may use: written atomically, and refused if others could have written.

On Windows the access rights of the user's profile take the place of owner and mode.
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
"""Bytes; four times the largest response that the package reads."""

IS_WINDOWS: bool = sys.platform == "win32"

_CAREFUL: int = sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK")
)
_OTHERS_MAY_USE = 0o077
_OTHERS_MAY_WRITE = 0o022

_LINK, _ODD = "it is a symbolic link", "it is not a regular file"
_REFUSALS = {
    errno.EACCES: "this user may not read it",
    errno.ELOOP: _LINK,
    errno.EMLINK: _LINK,
    errno.ENXIO: _ODD,
}
"""Errors of ``open`` that concern this one file, not the disk or the folder."""

_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


@attrs.frozen
class Found:
    """
    What is kept under a name.

    Attributes:
        content: The bytes; if they must not be read, something that changes when the file does.

        problem: Why they must not be read, or None.

        is_lost: There is nothing to read, and everything else is gone too.
    """

    content: HiddenBytes
    problem: str | None = None
    is_lost: bool = False


def read_private(path: Path) -> Found | None:
    """
    Return the content of a regular file of this user's that others cannot use; None without a file.

    Raises:
        OSError: The disk failed, or this user may not enter the folder.
    """
    try:
        with _opened(path, os.O_RDONLY) as file:
            status = os.fstat(file)
            problem = _type_problem(status) or _access_problem(status)
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
    Replace a file atomically by a new one, which others cannot read at any time.

    The caller holds a lock: the file beside it with the suffix ``.new`` belongs to its holder.

    Raises:
        OSError: The old file is still there, or it is not known whether the new one would survive a
            power cut.
    """
    if len(body) > SIZE_LIMIT:
        raise OSError(errno.EFBIG, f"the entry must have {SIZE_LIMIT} bytes at most", str(path))
    fresh = _fresh(path)
    # A killed writer leaves its file.
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


def open_lock_file(path: Path) -> int:
    """
    Open or create a lock file, and return its descriptor, which the caller closes.

    Raises:
        OSError: It cannot be opened, is not a regular file, or belongs to another user.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | _CAREFUL, 0o600)
    problem = _type_problem(os.fstat(file))
    if problem is not None:
        os.close(file)
        raise PermissionError(errno.EPERM, f"the lock file cannot be used: {problem}", str(path))
    return file


def has_folder(path: Path) -> bool:
    """
    Return whether there is a folder.

    Raises:
        OSError: The path leads to something else, or other users can write to the folder.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "the path must lead to a folder", str(path))
    if _is_foreign(status) or _is_open(status, _OTHERS_MAY_WRITE):
        raise PermissionError(
            errno.EPERM,
            "the folder must belong to this user alone, with mode 0700: give another, or chmod it",
            str(path),
        )
    return True


def require_place(path: Path) -> None:
    """
    Require that a folder which does not exist could be created.

    Raises:
        FileNotFoundError: This user may not, as where a volume is not mounted.
    """
    place = path.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        raise FileNotFoundError(
            errno.ENOENT,
            "the folder does not exist, and this user cannot create it: mount its volume, or give "
            "another folder",
            str(path),
        )


def make_folder(path: Path) -> None:
    """
    Create a folder of mode 0700 if there is none.

    Raises:
        OSError: It cannot be created, or other users can write to it.
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
    # Windows cannot open folders, and writes directory entries through.
    if IS_WINDOWS:
        return
    # Not with _CAREFUL: the user's own folder may be a symbolic link.
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        # Some network file systems cannot sync folders.
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(file)


def _fresh(path: Path) -> Path:
    return path.with_suffix(".new")


def _type_problem(status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return _ODD
    return "it belongs to another user" if _is_foreign(status) else None


def _access_problem(status: os.stat_result) -> str | None:
    if _is_open(status, _OTHERS_MAY_USE):
        return "other users may use it: its mode must be 0600"
    return "it is too large" if status.st_size > SIZE_LIMIT else None


def _is_foreign(status: os.stat_result) -> bool:
    return not IS_WINDOWS and status.st_uid != os.geteuid()


def _is_open(status: os.stat_result, rights: int) -> bool:
    return not IS_WINDOWS and bool(status.st_mode & rights)

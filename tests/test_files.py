"""Files that a caller names, and what a caller takes for one."""

import os
from pathlib import Path

import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.files import FileProblemError, read_content, require_path, require_readable


class OddPath(os.PathLike):
    """A path of a caller's own."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        if isinstance(self.path, Exception):
            raise self.path
        return self.path


@pytest.mark.parametrize(
    "given",
    [None, 5, b"a", "", "a\0b", "\ud800", OddPath(b"a"), OddPath(5), OddPath(KeyError("x"))],
)
def test_what_no_file_can_be_named_is_refused(given):
    """The error names the argument, and none of Python's own leaves."""
    with pytest.raises(ConfigurationError, match="path must be the path of a file"):
        require_path("path", "the path of a file", given)


@pytest.mark.parametrize("given", ["a/b", Path("a/b"), OddPath("a/b"), "\udcff"])
def test_a_path_stays_what_it_is(given):
    """Bytes that are no UTF-8 are a name, too."""
    assert require_path("path", "the path of a file", given) == Path(os.fspath(given))


def test_a_file_is_read_whole(tmp_path):
    """Up to the limit, and wrapped at once."""
    file = tmp_path / "file"
    file.write_bytes(b"x" * 8)

    assert read_content(file, 8, bytearray) == bytearray(b"x" * 8)
    require_readable(file, 8)
    for read in (lambda: read_content(file, 7, bytes), lambda: require_readable(file, 7)):
        with pytest.raises(FileProblemError, match="longer than 7 bytes"):
            read()


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    """A pipe without a writer would wait for ever, and a device has no end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, problem in (
        (pipe, "a pipe or a device"),
        (Path("/dev/zero"), "a pipe or a device"),
        (tmp_path, "a folder"),
        (tmp_path / "none", "No such file"),
        (Path("\ud800"), "UnicodeEncodeError"),
    ):
        for read in (lambda: read_content(path, 9, bytes), lambda: require_readable(path, 9)):  # noqa: B023 - called at once
            with pytest.raises(FileProblemError, match=problem):
                read()

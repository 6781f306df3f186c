"""A disk that fails, and a look at what lies on it and what is open."""

import os
from hashlib import sha256
from pathlib import Path


def open_files(folder):
    """Return the files under a folder that this process has open, where the system tells."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        return []
    found = []
    for descriptor in descriptors.iterdir():
        try:
            found.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    return sorted(path for path in found if path.startswith(str(folder)))


def descriptor_of(path):
    """Return the descriptor under which this process has a file open."""
    (found,) = (
        int(entry.name)
        for entry in Path("/proc/self/fd").iterdir()
        if os.path.realpath(entry) == str(path)
    )
    return found


def entry_file(folder, key="0" * 32):
    """Return the file in which a FileTokenStore keeps a key."""
    name = sha256(f"file\n{key}".encode()).hexdigest()[:32]
    return folder / f"{name}.token"


def suffixes(folder):
    """Return what kinds of files are in a folder, sorted."""
    return sorted(path.suffix for path in folder.iterdir())


def make_link(path):
    """Make a symbolic link to a private file beside it."""
    target = path.with_suffix(".elsewhere")
    target.write_bytes(b"mine")
    target.chmod(0o600)
    path.symlink_to(target)


class FailingCall:
    """A function of ``os`` that raises an error when its arguments satisfy a condition."""

    def __init__(self, monkeypatch, name, error, when=lambda *arguments: True):
        self._real = getattr(os, name)
        self._error = error
        self._when = when
        self.is_on = True
        self.calls = 0
        monkeypatch.setattr(os, name, self)

    def __call__(self, *arguments, **settings):
        if self.is_on and self._when(*arguments):
            self.calls += 1
            raise OSError(self._error, os.strerror(self._error))
        return self._real(*arguments, **settings)

"""A disk that fails, and a look at what is open."""

import os
from pathlib import Path


def open_files(folder):
    """Give the files under a folder that this process has open; none where that is not told."""
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


class FailingCall:
    """A function of ``os`` that raises an error when its arguments are of a kind."""

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

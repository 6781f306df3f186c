"""The protocol core is pure: its tests need no event loop, and may not use one."""

import inspect

import pytest


def pytest_collection_modifyitems(items):
    """Refuse async tests in this folder."""
    for item in items:
        if "tests/protocol/" in item.path.as_posix() and inspect.iscoroutinefunction(
            getattr(item, "function", None)
        ):
            raise pytest.UsageError(f"{item.nodeid}: no async test in tests/protocol")

"""What all tests share: the mock of aiohttp, the clock, the canary, and a watch for leaks."""

import asyncio
import gc
import logging
import os
import re
import secrets
import traceback
from collections import Counter
from types import SimpleNamespace

import aiohttp
import aiohttp.web_app
import aioresponses.core
import hypothesis
import pytest

from aritma_auth.sandbox.identity.registrations import SAMPLE_CLIENTS
from support.clock import FakeClock
from support.loops import new_eager_loop

# A busy machine is no defect. Each run tries the same examples, so that a failure is of the change;
# --hypothesis-profile=default draws others. On CI hypothesis has a profile of its own.
if "CI" not in os.environ:
    hypothesis.settings.register_profile("patient", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("patient")


class _CompatResponse(aiohttp.ClientResponse):
    """aioresponses 0.7.9 does not know an argument that aiohttp 3.14 demands."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


aioresponses.core.ClientResponse = _CompatResponse


@pytest.fixture
def http_mock():
    """Answer aiohttp's requests without a socket; middlewares never run under it."""
    with aioresponses.aioresponses() as mock:
        yield mock


@pytest.fixture
def clock():
    """Give a clock that the test moves."""
    return FakeClock()


class Canary:
    """A secret that must never show, and the ways to look for it."""

    def __init__(self):
        self.text = f"canary-{secrets.token_hex(12)}"
        self.handler = _Collector()

    def assert_hidden(self, *things):
        """Assert that no repr, text or traceback of these things shows the secret."""
        for thing in things:
            shown = [repr(thing), str(thing), f"{thing}", "%s %r" % (thing, thing)]  # noqa: UP031
            if isinstance(thing, BaseException):
                shown += list(_shown_by(thing))
            for text in shown:
                assert self.text not in text


def _shown_by(error):
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The tests' own locals hold what they planted.
    report.stack = traceback.StackSummary.from_list(
        [frame for frame in report.stack if f"{os.sep}tests{os.sep}" not in frame.filename]
    )
    yield "".join(report.format())
    for related in (error.__cause__, error.__context__):
        if related is not None:
            yield from _shown_by(related)
            yield repr(related.args)


class _Collector(logging.Handler):
    def __init__(self):
        super().__init__(logging.DEBUG)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage() + repr(record.args))
        if record.exc_info and record.exc_info[1] is not None:
            self.lines.extend(_shown_by(record.exc_info[1]))


@pytest.fixture
def canary(recwarn):
    """Give a secret; the test fails if any log record or warning shows it."""
    canary = Canary()
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(canary.handler)
    yield canary
    root.removeHandler(canary.handler)
    root.setLevel(level)
    assert not [line for line in canary.handler.lines if canary.text in line]
    assert not [warning for warning in recwarn if canary.text in str(warning.message)]


SECRETS = re.compile(
    "|".join(
        re.escape(secret)
        for client in SAMPLE_CLIENTS
        for secret in (*client.secrets, *client.expired_secrets)
    )
    + r"|eyJ[\w-]+\.eyJ|alice-password|bob-password"
)
"""Every secret of the sandbox, and whatever looks like a token."""


_HANDLERS = aiohttp.web_app._cached_build_middleware
"""aiohttp keeps the handlers of a thousand routes: each server of the tests, long after its end."""


@pytest.fixture(autouse=True)
def no_complaints(caplog):
    """Fail a test that logs a secret, or after which asyncio complains of something lost."""
    caplog.set_level(logging.DEBUG, "aritma_auth")
    yield
    _HANDLERS.cache_clear()
    gc.collect()
    records = caplog.get_records("call") + caplog.get_records("teardown")
    lines = [record.getMessage() for record in records]
    assert not [line for line in lines if SECRETS.search(line)]
    complaints = [
        record.getMessage()
        for record in records
        if record.name == "asyncio" and record.levelno >= logging.ERROR
    ]
    assert complaints == []


@pytest.fixture
async def no_leftovers():
    """Fail a test after which a task of its own is still there."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        # A loopback server's own tasks end a moment after their connections.
        _, left = await asyncio.wait(left, timeout=10)
    assert left == set()


LONG_FILES = [
    "tests/test_echo.py",
    "tests/provider/shared/test_explorer.py",
    "tests/provider/shared/test_fleet_invariants.py",
    "tests/servers/test_nanoidp.py",
    "tests/simulation/test_mutations.py",
    "tests/conformance/test_fapi2.py",
    "tests/docs/test_docs.py",
    "tests/servers/test_django_oauth_toolkit.py",
    "tests/integrations/test_web_sessions.py",
    "tests/integrations/test_web_applications.py",
    "tests/cli/test_shell_page.py",
    "tests/docs/test_typed_pages.py",
    "tests/test_pytest_plugin.py",
    "tests/provider/test_invariants.py",
    "tests/simulation/test_simulation.py",
]
"""The files that take longest, whatever the number of their tests."""


def pytest_collection_modifyitems(config, items):
    """Begin with the longest files: one that several processes reach last keeps them all waiting."""
    count = Counter(item.path for item in items)
    rank = {config.rootpath / file: number for number, file in enumerate(LONG_FILES)}

    def order(item):
        return rank.get(item.path, len(rank)), -count[item.path], item.path

    items.sort(key=order)
    for item in items:
        if " at 0x" in item.nodeid:
            # Each process would collect a test of another name, and pytest-xdist run none.
            raise pytest.UsageError(f"a test's id must hold no address of an object: {item.nodeid}")


def pytest_collection_finish():
    """Leave out of each test's collection what was there before all tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def light_collections():
    """Leave out of each test's collection what the modules before it have brought."""
    yield
    gc.collect()
    gc.freeze()


def pytest_addoption(parser):
    parser.addoption(
        "--loop",
        action="append",
        choices=["asyncio", "uvloop", "eager"],
        default=[],
        help="event loops to run the async tests on (default: asyncio)",
    )


def pytest_asyncio_loop_factories(config, item):
    names = config.getoption("--loop") or ["asyncio"]
    return {name: _loop_factory(name) for name in names}


def _loop_factory(name):
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    if name == "eager":
        return new_eager_loop
    return asyncio.new_event_loop

"""The pytest plugin, which every pytest run of every user of the package loads."""

import json
import subprocess
import sys

USES_THE_FIXTURES = """
import aritma_auth as aa
import pytest

@pytest.mark.asyncio
async def test_mine(aritma_sandbox, aritma_environment):
    client = aritma_sandbox.client
    async with aa.TokenProvider.client_credentials(
        client.client_id, client.client_secret, environment=aritma_environment
    ) as tokens:
        assert (await tokens.get_token()).scope == ("bankservice",)
"""
USES_ALL_FIXTURES = """
import aritma_auth as aa
import pytest

@pytest.mark.asyncio
async def test_mine(aritma_tokens, aritma_client, aritma_clock, aritma_faults, aritma_sandbox):
    first = await aritma_tokens.get_token()
    aritma_clock.advance(3600)
    aritma_faults.fail_next(503)
    assert (await aritma_tokens.get_token()).access_token != first.access_token
    assert aritma_client.client_id == aritma_sandbox.client.client_id
    assert len(aritma_sandbox.token_requests) == 2
"""
USES_NOTHING = """
import sys

def test_mine():
    assert not [name for name in sys.modules if name.startswith("aritma_auth.sandbox")]
"""
ASKS_FOR_THE_SANDBOX = "def test_mine(aritma_sandbox): pass"


def run_python(code, *arguments, cwd):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def run_pytest(folder, test, *options, missing=()):
    """Run one test file in a project of its own, as if these packages were not installed."""
    (folder / "test_mine.py").write_text(test)
    code = (
        "import sys, pytest\n"
        f"sys.modules.update(dict.fromkeys({list(missing)!r}))\n"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    return run_python(code, "-q", "-p", "no:cacheprovider", *options, str(folder), cwd=folder)


def test_the_plugin_alone_loads_no_other_module_of_ours(tmp_path):
    """A run that uses no fixture pays for the package's lazy front and the plugin, no more."""
    ran = run_python(
        "import json, sys, pytest\n"
        "before = set(sys.modules)\n"
        "import aritma_auth.pytest_plugin\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))",
        cwd=tmp_path,
    )
    loaded = set(json.loads(ran.stdout))

    assert {name for name in loaded if name.split(".")[0] == "aritma_auth"} <= {
        "aritma_auth",
        "aritma_auth.pytest_plugin",
        # The loader of the lazy front's names, one small function.
        "aritma_auth.runtime",
        "aritma_auth.runtime.lazy_names",
        "aritma_auth.version",
    }
    assert loaded.isdisjoint({"aiohttp", "attrs", "attr", "cattrs", "joserfc", "yarl"})


def test_a_test_that_uses_no_fixture_runs_without_the_extra(tmp_path):
    """The plugin is there for every user, those without ``aritma-auth[sandbox]`` included."""
    ran = run_pytest(tmp_path, USES_NOTHING, missing=["joserfc", "aiohttp"])

    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


def test_the_fixtures_serve_users(tmp_path):
    """The fixtures work in a project of their own, in pytest-asyncio's strict mode."""
    ran = run_pytest(tmp_path, USES_THE_FIXTURES)

    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


def test_clock_faults_client_and_tokens_are_fixtures_too(tmp_path):
    """A token's end and a failure are two lines in a test."""
    ran = run_pytest(tmp_path, USES_ALL_FIXTURES)

    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


def test_without_the_extra_the_fixture_names_it(tmp_path):
    """A fixture that cannot start tells what to install."""
    ran = run_pytest(tmp_path, USES_THE_FIXTURES, missing=["joserfc.jwk"])

    assert "1 error" in ran.stdout
    assert 'pip install "aritma-auth[sandbox]"' in ran.stdout


def test_without_pytest_asyncio_the_fixture_fails(tmp_path):
    """The test fails and says what to install; a skipped test is one that nobody misses."""
    ran = run_pytest(
        tmp_path,
        ASKS_FOR_THE_SANDBOX,
        *("--disable-plugin-autoload", "-p", "aritma_auth.pytest_plugin"),
        missing=["pytest_asyncio"],
    )

    assert "1 error" in ran.stdout
    assert "pip install pytest-asyncio" in ran.stdout

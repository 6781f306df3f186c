"""
The code in README.md and docs/ runs.

Each page's ``python`` blocks share a namespace and may await at the top. ``<!-- no-test: why -->``
before a block only compiles it; ``<!-- setup: sandbox-web -->`` makes that client of the sandbox the
page's own. What a browser brings back for ``request`` is ``callback_url``.
"""

import ast
import asyncio
import contextlib
import importlib
import inspect
import re
import secrets
import tomllib
import webbrowser
from pathlib import Path

import aiohttp
import pytest

import aritma_auth as aa
from aritma_auth import errors, events
from aritma_auth.sandbox import Sandbox
from support.apart import browse

IDS = {'"client-id"': '"sandbox-service"'}
"""The clients that the pages name, and those of the sandbox."""

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>no-test|setup): (?P<what>[^>]*) -->\n)?```python\n(?P<code>.*?)```",
    re.DOTALL,
)


def pages_with_code():
    return [page for page in PAGES if BLOCK.search(page.read_text())]


@contextlib.asynccontextmanager
async def namespace_of(monkeypatch):
    """Give a page a sandbox, a provider, and the settings of a service."""
    async with Sandbox() as sandbox:
        me = sandbox.client
        choose_client(me, monkeypatch)
        monkeypatch.setenv("ARITMA_ENVIRONMENT", sandbox.identity_url)
        # People sign in by themselves.
        sandbox.sign_in_automatically("alice")
        monkeypatch.setattr(webbrowser, "open", browse)
        # The pages speak of Aritma's own environments; here these are the sandbox.
        monkeypatch.setattr(aa, "DEVELOPMENT", sandbox.environment)
        client = aa.OAuthClient(me.client_id, me.client_secret, environment=sandbox.environment)
        async with aa.TokenProvider(client, aa.ClientCredentialsGrant()) as tokens:
            yield {
                "__name__": "page",
                "aa": aa,
                "aritma_sandbox": sandbox,
                "base_url": sandbox.banking_url,
                "client": client,
                "sandbox": sandbox,
                "tokens": tokens,
            }


def choose_client(registered, monkeypatch):
    """Let a page speak of one of the sandbox's clients."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", registered.client_id)
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", registered.client_secret)
    monkeypatch.setitem(IDS, '"client-id"', f'"{registered.client_id}"')


def prepare_places(page, monkeypatch, folder):
    """Give a page what workers share: a folder, a key, and a server if it speaks of one."""
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    monkeypatch.setenv("TOKEN_ENCRYPTION_KEY", secrets.token_urlsafe(32))
    if "REDIS_URL" in page.read_text():
        from support.valkey import shared_server

        monkeypatch.setenv("REDIS_URL", shared_server().url)


async def come_back(request):
    """Give the address at which a person's browser arrives."""
    async with (
        aiohttp.ClientSession() as browser,
        browser.get(request.url, allow_redirects=False) as response,
    ):
        return response.headers["Location"]


async def execute(code, namespace, where):
    compiled = compile(code, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, namespace)
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("page", pages_with_code(), ids=lambda page: page.name)
async def test_the_code_on_the_page_runs(page, monkeypatch, capsys, tmp_path):
    """Functions named main and test_… are called too."""
    prepare_places(page, monkeypatch, tmp_path)
    monkeypatch.setattr(asyncio, "run", lambda coroutine: coroutine.close())
    async with namespace_of(monkeypatch) as namespace:
        for block in BLOCK.finditer(page.read_text()):
            registered = namespace["sandbox"].clients.get(block["what"])
            if registered is not None:
                choose_client(registered, monkeypatch)
            if "callback_url" in block["code"]:
                namespace["callback_url"] = await come_back(namespace["request"])
            code = re.sub('"[a-z-]+"', lambda name: IDS.get(name[0], name[0]), block["code"])
            if block["mark"] == "no-test":
                compile(code, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                continue
            await execute(code, namespace, str(page))
            for name in [n for n in namespace if n == "main" or n.startswith("test_")]:
                function = namespace.pop(name)
                wanted = {n: namespace[n] for n in inspect.signature(function).parameters}
                await function(**wanted)


def names_in_table(page):
    """Give the names in the first column of a page's tables."""
    return re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/reference" / page).read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "module", "root"),
    [("events.md", events, events.Event), ("errors.md", errors, aa.AritmaAuthError)],
    ids=["events", "errors"],
)
def test_each_event_and_error_is_explained_once(page, module, root):
    """In the order of the source; the parent of all events is none itself."""
    kinds = [kind for kind in vars(module).values() if inspect.isclass(kind)]
    names = [kind.__name__ for kind in kinds if issubclass(kind, root)]

    assert names_in_table(page) == [name for name in names if name != "Event"]


def test_the_events_that_are_warnings_are_named():
    """As they are in the source."""
    *most, last = (f"`{kind.__name__}`" for kind in events._FAILURES)
    sentence = f"{', '.join(most)} and {last} are logged as warnings"

    assert sentence in (ROOT / "docs/reference/events.md").read_text()


@pytest.mark.parametrize("page", ["tests/README.md", "docs/reference/supported-specs.md"])
def test_the_tests_that_a_page_names_exist(page):
    """A test that moves takes its mention along."""
    names = re.findall(r"`([\w/]*test_\w+)(?:\.py)?(?:::(test_\w+))?`", (ROOT / page).read_text())
    sources = {name: (ROOT / "tests" / f"{name}.py") for name, _ in names}
    missing = [name for name, source in sources.items() if not source.exists()]
    assert missing == []

    assert [
        (name, test)
        for name, test in names
        if test and f"def {test}(" not in sources[name].read_text()
    ] == []


@pytest.mark.parametrize("name", ["main-job", "tests"])
def test_the_readme_marks_its_commands(name):
    """Tools find them by their marks."""
    assert f"<!-- command: {name} -->\n```sh\n" in (ROOT / "README.md").read_text()


PUBLIC_MODULES = [
    "aritma_auth",
    "aritma_auth.banking",
    "aritma_auth.protocol.client_auth",
    "aritma_auth.protocol.grants",
    "aritma_auth.protocol.redaction",
    "aritma_auth.sandbox",
]


def names_in_the_reference():
    """Give the names that a directive of docs/reference documents, by themselves or by module."""
    text = "\n".join(page.read_text() for page in (ROOT / "docs/reference").glob("*.md"))
    kinds = "autoclass|autofunction|autodata|py:data"
    names = re.findall(rf"^\.\. (?:{kinds}):: aritma_auth\.(?:\w+\.)*(\w+)$", text, re.MULTILINE)
    for module in re.findall(r"^\.\. automodule:: (\S+)$", text, re.MULTILINE):
        names += vars(importlib.import_module(module))
    return set(names)


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_the_reference_documents_every_public_name(module):
    """No name of a public module's __all__ is missing from docs/reference."""
    public = importlib.import_module(module).__all__

    assert sorted(set(public) - names_in_the_reference()) == []


@pytest.mark.parametrize("page", ["docs/explanation/architecture.md", "CONTRIBUTING.md"])
def test_the_files_and_folders_that_a_page_names_exist(page):
    """A module that moves takes its mention on a page of the architecture along."""
    names = re.findall(r"`((?:[\w.]+/)+[\w.]*|\w+\.(?:py|toml))`", (ROOT / page).read_text())
    places = (ROOT, ROOT / "aritma_auth")

    assert names
    assert [name for name in names if not any((place / name).exists() for place in places)] == []


def test_the_layers_on_the_page_are_those_that_are_enforced():
    """docs/explanation/architecture.md shows the layers of import-linter's contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(each["layers"] for each in contracts["contracts"] if each["type"] == "layers")

    shown = "\n".join(["```text", *layers, "```"])
    assert shown in (ROOT / "docs/explanation/architecture.md").read_text()

"""
The code in README.md and docs/ runs, and the tables there name what exists.

Each ``python`` block is a program of its own: it runs in a fresh namespace, on an event loop of its
own, with the settings of a service in the environment. ``<!-- no-test: why -->`` before a block
only compiles it; ``<!-- setup: sandbox-web -->`` makes that client of the sandbox the service's.
Where a program asks for the address that the browser came back to, the sandbox's user signs in.
"""

import ast
import asyncio
import builtins
import contextlib
import http.client
import importlib
import inspect
import re
import runpy
import secrets
import time
import tomllib
import webbrowser
from pathlib import Path

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from joserfc.jwk import ECKey
from yarl import URL

import aritma_auth as aa
from aritma_auth import environment, errors, events
from aritma_auth.protocol.unsigned_jwt import UnsignedJwt
from aritma_auth.sandbox import Sandbox
from support.apart import browse
from support.internals import homes_of
from support.loopback import serving

IDS = {'"client-id"': '"sandbox-service"'}
"""The clients that the pages name, and those of the sandbox; a client's secret is its own."""

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>no-test|setup): (?P<what>[^>]*) -->\n)?```python\n(?P<code>.*?)```",
    re.DOTALL,
)


def pages_with_code():
    return [page for page in PAGES if BLOCK.search(page.read_text())]


@contextlib.asynccontextmanager
async def sandbox_of_the_pages(monkeypatch):
    """Give a sandbox that stands in for Aritma's environments, and the settings of a service."""
    async with Sandbox() as sandbox:
        choose_client(sandbox.client, monkeypatch)
        monkeypatch.setenv("ARITMA_ENVIRONMENT", sandbox.identity_url)
        sandbox.sign_in_automatically("alice")
        monkeypatch.setattr(webbrowser, "open", browse)
        development = aa.Environment.at(
            sandbox.identity_url, api_origins=[sandbox.banking_url], name="development"
        )
        monkeypatch.setattr(aa, "DEVELOPMENT", development)
        apis = {
            name: attrs.evolve(api, development=sandbox.banking_url)
            for name, api in aa.APIS.items()
        }
        monkeypatch.setattr(environment, "APIS", apis)
        yield sandbox


def choose_client(registered, monkeypatch):
    """Let a page speak of one of the sandbox's clients."""
    monkeypatch.setenv("ARITMA_CLIENT_ID", registered.client_id)
    monkeypatch.setenv("ARITMA_CLIENT_SECRET", registered.client_secret)
    monkeypatch.setitem(IDS, '"client-id"', f'"{registered.client_id}"')
    monkeypatch.setitem(IDS, '"client-secret"', f'"{registered.client_secret}"')


def prepare_places(page, monkeypatch, folder):
    """Give a page what workers share: a folder, a key, and a server if it speaks of one."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    monkeypatch.setenv("TOKEN_ENCRYPTION_KEY", secrets.token_urlsafe(32))
    if "REDIS_URL" in page.read_text():
        from support.valkey import shared_server

        monkeypatch.setenv("REDIS_URL", shared_server().url)


class Console:
    """What sits in front of a program: a browser, and a keyboard."""

    def __init__(self, monkeypatch, refresh_token):
        self._opened = []
        self._refresh_token = refresh_token
        monkeypatch.setattr(webbrowser, "open", self._opened.append)
        monkeypatch.setattr(builtins, "input", self.type)

    def type(self, prompt):
        if "refresh token" in prompt:
            return self._refresh_token
        assert "came back" in prompt
        return where_the_browser_arrives(self._opened.pop())


def where_the_browser_arrives(url):
    """Sign in, and give the address to which the server redirects."""
    url = URL(url)
    connection = http.client.HTTPConnection(url.host, url.port, timeout=50)
    with contextlib.closing(connection):
        connection.request("GET", url.raw_path_qs)
        return connection.getresponse().headers["Location"]


PLATFORM_FILES = "/var/run/secrets/tokens/"


@contextlib.asynccontextmanager
async def platform_of_a_workload(page, sandbox, monkeypatch):
    """Let the platforms of a page that speaks of them say who the workload is, each time anew."""
    if PLATFORM_FILES not in page.read_text():
        yield
        return
    me, key = sandbox.client.client_id, aa.SigningKey.generate()
    public_key = ECKey.import_key(dict(key.public_jwk)).as_pem(private=False).decode()
    sandbox.add_client(attrs.evolve(sandbox.client, secrets=(), public_key=public_key))

    def identify():
        now = int(time.time())
        times = {"iat": now, "exp": now + 60, "jti": secrets.token_urlsafe(16)}
        claims = {"iss": me, "sub": me, "aud": f"{sandbox.identity_url}/connect/token"}
        return str.__str__(UnsignedJwt(key, claims | times).sign())

    async def serve(request):
        if "Metadata-Flavor" in request.headers:
            return web.Response(text=identify())
        return web.json_response({"value": identify(), "access_token": identify()})

    def project():
        Path("aritma").write_text(identify())

    project()
    async with serving(serve) as url:
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{url}/?api-version=2.0")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "unused")
        monkeypatch.setenv("GCE_METADATA_HOST", url.removeprefix("http://"))
        monkeypatch.setenv("IDENTITY_ENDPOINT", url)
        monkeypatch.setenv("IDENTITY_HEADER", "unused")
        yield


async def old_refresh_token(registered, sandbox):
    """Give a refresh token that another program has kept, where the client may have one."""
    if "password" not in registered.grant_types:
        return None
    client = aa.OAuthClient(
        registered.client_id, registered.client_secret, environment=sandbox.environment
    )
    with pytest.warns(DeprecationWarning):
        grant = aa.PasswordGrant("alice", "alice-password", scope="bankservice offline_access")
    return (await client.fetch_token(grant)).refresh_token


def blocks_of(page, sandbox, monkeypatch):
    """Yield a page's blocks, those that only compile left out, with the sandbox's client ids."""
    for block in BLOCK.finditer(page.read_text()):
        registered = sandbox.clients.get(block["what"], sandbox.client)
        choose_client(registered, monkeypatch)
        code = re.sub('"[a-z-]+"', lambda name: IDS.get(name[0], name[0]), block["code"])
        for name, url in {"issuer": sandbox.identity_url, "api": sandbox.banking_url}.items():
            code = code.replace(f'"https://{name}.example"', f'"{url}"')
        code = code.replace(f'"{PLATFORM_FILES}', f'"{Path.cwd()}/')
        if block["mark"] == "no-test":
            compile(code, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        else:
            yield code, registered


@contextlib.asynccontextmanager
async def plugin_fixtures():
    """Give the fixtures of the plugin, as a test of a service gets them."""
    async with Sandbox() as sandbox:
        me, clock = sandbox.client, sandbox.clock
        async with (
            aa.OAuthClient(
                me.client_id, me.client_secret, environment=sandbox.environment, clock=clock
            ) as client,
            aa.TokenProvider(
                client, aa.ClientCredentialsGrant("bankservice"), clock=clock
            ) as tokens,
        ):
            yield {
                "aritma_client": client,
                "aritma_clock": clock,
                "aritma_environment": sandbox.environment,
                "aritma_faults": sandbox.faults,
                "aritma_sandbox": sandbox,
                "aritma_tokens": tokens,
            }


async def call_tests(namespace, given):
    """Call the functions that pytest would call, with the fixtures that they name."""
    for name in [n for n in namespace if n.startswith("test_")]:
        function = namespace.pop(name)
        await function(**{n: given[n] for n in inspect.signature(function).parameters})


@pytest.mark.parametrize("page", pages_with_code(), ids=lambda page: page.name)
async def test_the_programs_on_the_page_run(page, monkeypatch, capsys, tmp_path):
    """Each block runs by itself as it stands; its tests are called with the plugin's fixture."""
    prepare_places(page, monkeypatch, tmp_path)
    async with (
        sandbox_of_the_pages(monkeypatch) as sandbox,
        platform_of_a_workload(page, sandbox, monkeypatch),
    ):
        for code, registered in blocks_of(page, sandbox, monkeypatch):
            if "input(" in code:
                Console(monkeypatch, await old_refresh_token(registered, sandbox))
            namespace = {"__name__": "program"}
            await asyncio.to_thread(exec, compile(code, str(page), "exec"), namespace)
            if any(name.startswith("test_") for name in namespace):
                async with plugin_fixtures() as given:
                    await call_tests(namespace, given)


async def test_the_application_on_the_page_serves_each_tenant(monkeypatch):
    """The application of docs/how-to/serve-many-tenants.md serves its tenants and no other."""
    page = ROOT / "docs/how-to/serve-many-tenants.md"
    async with sandbox_of_the_pages(monkeypatch) as sandbox:
        codes = [code for code, _ in blocks_of(page, sandbox, monkeypatch) if "make_app" in code]
        namespace = {"__name__": "program"}
        exec(codes[0], namespace)
        choose_client(sandbox.client, monkeypatch)
        async with TestClient(TestServer(namespace["make_app"]())) as browser:
            for path, status in (("/acme/accounts", 200), ("/unknown/accounts", 404)):
                async with browser.get(path) as response:
                    assert response.status == status


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
    names = [name for name, kind in classes_of(module) if issubclass(kind, root)]

    assert names_in_table(page) == [name for name in names if name != "Event"]


def classes_of(module):
    """Give the classes of a module, or of a package that loads them when they are used."""
    if module is events:
        names = [name for names in homes_of(events).values() for name in names]
        return [(name, kind) for name in names if inspect.isclass(kind := getattr(events, name))]
    return [(name, kind) for name, kind in vars(module).items() if inspect.isclass(kind)]


PAGES_OF_SPECIFICATIONS = ("docs/reference/supported-specs.md", "docs/reference/fapi.md")
PAGES_OF_GUARANTEES = ["docs/explanation/reliability.md", "docs/explanation/security.md"]


@pytest.mark.parametrize("page", PAGES_OF_GUARANTEES)
def test_each_guarantee_names_its_test(page):
    """Every row under a header "| guarantee | test |" has a test in its second column."""
    tables = re.findall(
        r"^\| guarantee \| test \|\n\|---\|---\|\n((?:\|.*\n)+)",
        (ROOT / page).read_text(),
        re.MULTILINE,
    )
    rows = [row for table in tables for row in table.splitlines()]

    assert rows
    assert [row for row in rows if not re.search(r"\| `[\w/]*test_\w+(?:::test_\w+)?`", row)] == []


@pytest.mark.parametrize(
    "page",
    ["README.md", "tests/README.md", *PAGES_OF_SPECIFICATIONS, *PAGES_OF_GUARANTEES],
)
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


@pytest.mark.parametrize("page", PAGES_OF_SPECIFICATIONS)
def test_the_modules_that_a_specification_names_exist(page):
    """A module that moves takes its mention in a row of a specification along."""
    rows = [line.split("|") for line in (ROOT / page).read_text().splitlines() if "|" in line]
    names = [name for row in rows if len(row) == 6 for name in re.findall(r"`([a-z_.]+)`", row[3])]
    paths = {name: ROOT / "aritma_auth" / name.replace(".", "/") for name in names}

    assert names
    assert [
        name
        for name, path in paths.items()
        if not path.is_dir() and not path.with_suffix(".py").exists()
    ] == []


def test_the_readme_links_to_nothing_that_only_a_repository_has():
    """It is read on other pages too, where a relative link leads nowhere."""
    links = re.findall(r"\]\(([^)]*)\)", (ROOT / "README.md").read_text())
    paths = re.findall(r"`((?:docs|tests)/[\w/.-]+|\w+\.md)`", (ROOT / "README.md").read_text())

    assert [link for link in links if not link.startswith("https://")] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_figures_are_those_that_the_script_draws():
    """The files are what ``python docs/explanation/figures/draw.py`` writes."""
    folder = ROOT / "docs/explanation/figures"
    names = runpy.run_path(str(folder / "draw.py"))
    drawn = {figure.name: figure.svg() for figure in (draw() for draw in names["FIGURES"])}

    assert {name: (folder / f"{name}.svg").read_text() for name in drawn} == drawn


def test_the_troubles_on_the_page_are_those_that_the_package_reports():
    """What docs/how-to/troubleshoot.md quotes is in the package's own texts, or a code of OAuth."""
    page = (ROOT / "docs/how-to/troubleshoot.md").read_text()
    first = [row.split("|")[1] for row in page.splitlines() if row.startswith("| ")]
    quoted = [text for cell in first for text in re.findall(r"`([^`]+)`", cell)]
    sources = " ".join(path.read_text() for path in (ROOT / "aritma_auth").rglob("*.py"))
    # A long message is written as several literals.
    said = re.sub(r'"\s+f?"', "", sources)
    others = {
        "redirect_uri",
        # Python's own.
        "asyncio.run() cannot be called from a running event loop",
        "coroutine … was never awaited",
        "does not support the context manager protocol",
    }
    parts = {
        "failed (ClientConnectorError": "failed ({kind}",
        "it begins '<!doctype html>": "it begins {",
        "Bearer <Token …": "<Token {",
    }

    assert len(quoted) > 20
    assert [
        text for text in quoted if parts.get(text, text) not in said and text not in others
    ] == []


@pytest.mark.parametrize("name", ["main-job", "tests"])
def test_the_readme_marks_its_commands(name):
    """Tools find them by their marks."""
    assert f"<!-- command: {name} -->\n```sh\n" in (ROOT / "README.md").read_text()


PUBLIC_MODULES = [
    "aritma_auth",
    "aritma_auth.banking",
    "aritma_auth.events",
    "aritma_auth.integrations.aiohttp_web",
    "aritma_auth.integrations.fastapi",
    "aritma_auth.integrations.opentelemetry",
    "aritma_auth.integrations.session_store",
    "aritma_auth.protocol.client_auth",
    "aritma_auth.protocol.grants",
    "aritma_auth.protocol.redaction",
    "aritma_auth.sandbox",
    "aritma_auth.stores",
    "aritma_auth.testing",
]


def names_in_the_reference():
    """Give the names that a directive of docs/reference documents, by themselves or by module."""
    text = "\n".join(page.read_text() for page in (ROOT / "docs/reference").rglob("*.md"))
    kinds = "autoclass|autofunction|autodata|py:data"
    names = re.findall(rf"^\.\. (?:{kinds}):: aritma_auth\.(?:\w+\.)*(\w+)$", text, re.MULTILINE)
    for module in re.findall(r"^\.\. automodule:: (\S+)$", text, re.MULTILINE):
        names += dir(importlib.import_module(module))
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


def test_the_picture_of_the_architecture_names_what_exists():
    """Each label of docs/explanation/figures/architecture.svg is a module, a folder or a class."""
    picture = (ROOT / "docs/explanation/figures/architecture.svg").read_text()
    labels = re.findall(r'class="[bm]"[^>]*>([\w/]+)<', picture)
    package = ROOT / "aritma_auth"
    modules = {path.stem for path in package.rglob("*.py")}
    folders = {f"{path.name}" for path in package.rglob("*") if path.is_dir()}
    classes = set(
        re.findall(
            r"^class (\w+)",
            "\n".join(path.read_text() for path in package.rglob("*.py")),
            re.MULTILINE,
        )
    )

    assert len(labels) > 40
    assert [label for label in labels if label.rstrip("/") not in modules | folders | classes] == []


def test_the_layers_on_the_page_are_those_that_are_enforced():
    """docs/explanation/architecture.md shows the layers of import-linter's contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(each["layers"] for each in contracts["contracts"] if each["type"] == "layers")

    shown = "\n".join(["```text", *layers, "```"])
    assert shown in (ROOT / "docs/explanation/architecture.md").read_text()

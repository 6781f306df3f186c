"""What people type into the docs' search finds the page that helps."""

import asyncio
import sys
import tomllib
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from support.loopback import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCS = Path(__file__).parents[2] / "docs"
WORDS = tomllib.loads((DOCS / "search.toml").read_text())
NAMED_BY_THEIR_TITLES = {
    "Auth0": "issuers/auth0",
    "Authlib": "how-to/migrate",
    "Celery": "how-to/use-it-in-job-queues",
    "Django": "how-to/use-it-with-django",
    "Entra": "issuers/entra",
    "FastAPI": "how-to/sign-in-a-web-application",
    "httpx": "how-to/use-it-with-httpx",
    "Keycloak": "issuers/keycloak",
    "keyring": "how-to/store-tokens-on-a-laptop",
    "MSAL": "how-to/migrate",
    "OpenTelemetry": "reference/telemetry",
    "TokenProvider": "reference/api/provider",
    "requests-oauthlib": "how-to/migrate",
}
FOUND = """() => {
    const status = document.querySelector("p.search-summary")?.innerText;
    return /found|did not match/.test(status ?? "");
}"""
PAGES_FOUND = """(links) => links.map(
    (link) => new URL(link.href).pathname.replace(/^[/]|[.]html$/g, "")
)"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def docs_url(tmp_path_factory):
    """Give the address of the built documentation."""
    pytest.importorskip("sphinx", reason="needs the dependency group docs")
    built = tmp_path_factory.mktemp("docs")
    arguments = ("-m", "sphinx", "--quiet", str(DOCS), str(built))
    build = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    assert await build.wait() == 0

    async def send_file(request):
        file = built / request.path.removeprefix("/")
        return web.FileResponse(file) if file.is_file() else web.Response(status=404)

    async with serving(send_file) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def search(chromium, docs_url):
    """Type words into the search of the first page; give the pages that it lists, in order."""
    page = await chromium.new_page()

    async def search(words):
        await page.goto(f"{docs_url}/index.html")
        await page.get_by_placeholder("Search").fill(words)
        await page.keyboard.press("Enter")
        await page.wait_for_function(FOUND)
        return await page.eval_on_selector_all("ul.search li > a", PAGES_FOUND)

    yield search
    await page.close()


@pytest.mark.parametrize("word", sorted(WORDS))
async def test_the_search_finds_the_page_of_a_word_first(word, search):
    """The page that docs/search.toml names is the first, or comes next to the glossary."""
    found = await search(word)

    assert WORDS[word] in found[: 1 + (found[0] == "reference/glossary")]


@pytest.mark.parametrize("word", sorted(NAMED_BY_THEIR_TITLES))
async def test_the_search_finds_a_product_among_the_first(word, search):
    """A product that a title or an object names needs no entry: it is among the first three."""
    assert NAMED_BY_THEIR_TITLES[word] in (await search(word))[:3]


async def test_the_search_finds_small_letters(search):
    """A word in small letters finds what the word as it is written finds."""
    assert (await search("mtls"))[0] == WORDS["mTLS"]


async def test_each_page_that_the_search_names_exists():
    """A page that is moved must be moved in docs/search.toml too."""
    assert [page for page in WORDS.values() if not (DOCS / f"{page}.md").exists()] == []

"""What people type into the docs' search finds the page that helps."""

import asyncio
import os
import sys
import tomllib
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from support.loopback import serving

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # One process builds the documentation, and opens its search once.
    pytest.mark.xdist_group("docs"),
    # The first test waits for that.
    pytest.mark.timeout(300),
]

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
TYPED = ["mTLS", "Keycloak", "multi tenant"]
IS_LOADED = "() => typeof Search !== 'undefined' && Search.hasIndex()"
FOUND = """(words) => {
    // The page takes its list from the end.
    const results = Search._performSearch(...Search._parseQuery(words)).reverse();
    return results.map(([page]) => page);
}"""
WITHOUT_TEXT = """async (words) => {
    const first = words.map((word) => {
        const query = Search._parseQuery(word);
        return [word, query[1], Search._performSearch(...query).at(-1)];
    });
    const hasText = async ([word, terms, [page, , anchor]]) =>
        Search.makeSearchSummary(await (await fetch(`${page}.html`)).text(), terms, anchor);
    const texts = await Promise.all(first.map(hasText));
    return words.filter((word, number) => !texts[number]);
}"""
IS_SHOWN = """() => {
    const status = document.querySelector("p.search-summary")?.innerText;
    return /found|did not match/.test(status ?? "");
}"""
SHOWN = """(links) => links.map(
    (link) => new URL(link.href).pathname.replace(/^[/]|[.]html$/g, "")
)"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def docs_url(tmp_path_factory):
    """Give the address of the built documentation."""
    built = Path(os.environ.get("BUILT_DOCS") or tmp_path_factory.mktemp("docs"))
    if not os.environ.get("BUILT_DOCS"):
        pytest.importorskip("sphinx", reason="needs the dependency group docs")
        arguments = ("-m", "sphinx", "--quiet", "--jobs=auto", str(DOCS), str(built))
        build = await asyncio.create_subprocess_exec(sys.executable, *arguments)
        assert await build.wait() == 0

    async def send_file(request):
        file = built / request.path.removeprefix("/")
        return web.FileResponse(file) if file.is_file() else web.Response(status=404)

    async with serving(send_file) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def results_page(chromium, docs_url):
    """Open the page of results."""
    page = await chromium.new_page()
    await page.goto(f"{docs_url}/search.html")
    await page.wait_for_function(IS_LOADED)
    yield page
    await page.close()


@pytest.fixture
def search(results_page):
    """Search for words; give the pages that the search would list, in order."""
    return lambda words: results_page.evaluate(FOUND, words)


@pytest.mark.parametrize("words", TYPED)
async def test_the_search_box_shows_what_the_search_finds(words, search, docs_url, window):
    """What an end-user types into the first page is what the search of each other test finds."""
    await window.page.goto(f"{docs_url}/index.html")
    await window.page.get_by_placeholder("Search").fill(words)
    await window.page.keyboard.press("Enter")
    await window.page.wait_for_function(IS_SHOWN)
    shown = await window.page.eval_on_selector_all("ul.search li > a", SHOWN)

    assert shown
    assert shown == await search(words)


@pytest.mark.parametrize("word", sorted(WORDS))
async def test_the_search_finds_the_page_of_a_word_first(word, search):
    """The page that docs/search.toml names is the first, or comes next to the glossary."""
    found = await search(word)

    assert WORDS[word] in found[: 1 + (found[0] == "reference/glossary")]


@pytest.mark.parametrize("word", sorted(NAMED_BY_THEIR_TITLES))
async def test_the_search_finds_a_product_among_the_first(word, search):
    """A product that a title or an object names needs no entry: it is among the first three."""
    assert NAMED_BY_THEIR_TITLES[word] in (await search(word))[:3]


async def test_the_search_shows_text_of_what_it_finds_first(results_page):
    """An entry of the index leads to a place with text, which the search shows below the title."""
    assert await results_page.evaluate(WITHOUT_TEXT, sorted(WORDS)) == []


async def test_the_search_finds_small_letters(search):
    """A word in small letters finds what the word as it is written finds."""
    assert (await search("mtls"))[0] == WORDS["mTLS"]


async def test_each_page_that_the_search_names_exists():
    """A page that is moved must be moved in docs/search.toml too."""
    assert [page for page in WORDS.values() if not (DOCS / f"{page}.md").exists()] == []

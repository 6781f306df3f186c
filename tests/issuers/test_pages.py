"""
The pages in docs/issuers are made of the data of the look-alikes, and their programs run there;
``python tests/issuers/test_pages.py`` writes them.
"""

import asyncio
import builtins
import http.client
import re
import sys
from pathlib import Path

import pytest
from yarl import URL

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))

from support.issuers import CLIENT_PEM, CLIENT_SECRET, ISSUERS, look_alike  # noqa: E402

PAGES = ROOT / "docs/issuers"

DISCOVERY = """\
    issuer = await aa.Environment.discover({issuer})
"""
CREDENTIALS = {
    None: '"client-secret"',
    "none": "None",
    "client_secret_basic": 'aa.ClientSecretBasic("client-secret")',
    "private_key_jwt": "aa.PrivateKeyJwt(key, names_issuer=True)",
}
KEY = """\
    key = aa.SigningKey(Path("client-key.pem").read_text(), algorithm="RS256", key_id="k1")
"""
SERVICE = """\
    async with aa.TokenProvider(client, {grant}) as tokens:
{call}"""
ASSERTION = """\
    assertion = aa.JwtAssertion(key, claims={{"scope": {scope}}})
    async with aa.TokenProvider(client, aa.JwtBearerGrant(assertion)) as tokens:
{call}"""
CALL = """\
        async with tokens.session("{api}/") as bank:
            async with bank.get("accounts/42") as response:
                print(response.status, await response.json())
"""
SIGN_IN = """\
    request = await client.begin_sign_in(
        "https://app.example/callback",
        {scope},{settings}
    )
    print(request.url)  # where the end-user's browser goes
    callback = input("the address that the browser came back to: ")
    sign_in = await client.complete_sign_in(request, callback)
    print(sign_in.subject, sign_in.token)
"""


def quote(value):
    """Write a value as Black does."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quote(k)}: {quote(v)}" for k, v in value.items()) + "}"
    return "[" + ", ".join(map(quote, value)) + "]"


def call(first, settings):
    """Write arguments, on lines of their own if there are several."""
    if not settings:
        return quote(first)
    lines = [quote(first), *(f"{name}={quote(value)}" for name, value in settings.items())]
    return "\n        " + ",\n        ".join(lines) + ",\n    "


def program(data, what):
    """Write a program for a service that calls an API, or for a sign-in."""
    method = data.client.get("auth")
    is_assertion = what == "service" and data.service.get("is_assertion", False)
    has_key = is_assertion or method == "private_key_jwt"
    imports = "import asyncio\n" + ("from pathlib import Path\n" if has_key else "")
    settings = dict(data.environment)
    if what == "service":
        settings["api_origins"] = [data.service["api"]]
    body = (KEY if has_key else "") + DISCOVERY.format(issuer=call(data.issuer, settings))
    credential = CREDENTIALS[method]
    arguments = '"client-id", environment=issuer'
    if method != "none":
        arguments = f'"client-id", {credential}, environment=issuer'
    body += f"    client = aa.OAuthClient({arguments})\n"
    if is_assertion:
        signed_call = CALL.format(api=data.service["api"])
        body += ASSERTION.format(scope=quote(data.service["scope"]), call=signed_call)
    elif what == "service":
        words = [quote(data.service["scope"])] if "scope" in data.service else []
        words += [f"extra={quote(data.service['extra'])}"] if "extra" in data.service else []
        grant = f"aa.ClientCredentialsGrant({', '.join(words)})"
        body += SERVICE.format(grant=grant, call=CALL.format(api=data.service["api"]))
    else:
        settings = "".join(
            f"\n        {name}={quote(data.sign_in[name])},"
            for name in ("acr_values", "prompt", "extra")
            if name in data.sign_in
        )
        body += SIGN_IN.format(scope=quote(data.sign_in["scope"]), settings=settings)
    return f"{imports}\nimport aritma_auth as aa\n\n\nasync def main() -> None:\n{body}\n\nasyncio.run(main())\n"


def programs(data):
    """Yield what is on a page: its heading, and its program."""
    if data.service is not None:
        yield "A service", program(data, "service")
    if data.sign_in is not None:
        yield "An end-user signs in", program(data, "sign_in")


def page(data):
    """Write an issuer's page."""
    offered = [
        ("client credentials", data.service is not None and not data.service.get("is_assertion")),
        ("sign-in", data.sign_in is not None),
        ("UserInfo", "userinfo_endpoint" in data.metadata),
        ("revocation", "revocation_endpoint" in data.metadata),
        ("sign-out", "end_session_endpoint" in data.metadata),
    ]
    names = "" if data.is_fixed else ", with your own names in it"
    lines = [f"# {data.title}", "", f"The issuer is spelled `{data.issuer}`{names}.", ""]
    lines += [f"- {note}" for note in data.notes]
    lines += ["", "| " + " | ".join(name for name, _ in offered) + " |"]
    lines += ["|" + "---|" * len(offered)]
    lines += ["| " + " | ".join("yes" if is_offered else "no" for _, is_offered in offered) + " |"]
    for heading, code in programs(data):
        lines += [
            "",
            f"## {heading}",
            "",
            "<!-- no-test: runs against a look-alike in tests/issuers -->",
        ]
        lines += ["```python", code.rstrip(), "```"]
    if data.sign_out:
        lines += ["", "## Sign out", "", "The address needs an argument of this server:", ""]
        lines += [
            f"`await client.end_session_url(id_token_hint=sign_in.id_token, extra={quote(data.sign_out['extra'])})`"
        ]
    lines += [
        "",
        "Documented by the server: " + ", ".join(f"<{url}>" for url in data.sources) + ".",
        f"The look-alike of the tests follows {data.evidence}.",
    ]
    return "\n".join([*lines, ""])


def index():
    """Write the page of all issuers."""
    rows = [f"| [{data.title}]({data.slug}.md) | `{data.issuer}` |" for data in ISSUERS]
    tree = ["```{toctree}", ":hidden:", "", *(data.slug for data in ISSUERS), "```"]
    intro = (
        "`Environment.discover` works for any of these ([connect to any issuer](../how-to/connect-to-any-issuer.md)). "
        "Each page has what is peculiar to one, and\nprograms that run against a look-alike of it in the tests."
    )
    return "\n".join(
        ["# Issuers", "", intro, "", "| issuer | spelled |", "|---|---|", *rows, "", *tree, ""]
    )


@pytest.mark.parametrize("data", ISSUERS, ids=lambda data: data.slug)
def test_the_page_is_made_of_the_data(data):
    """A look-alike and its page say the same."""
    assert squeeze((PAGES / f"{data.slug}.md").read_text()) == squeeze(page(data))


def squeeze(text):
    """Leave out what the formatter of the pages' programs decides."""
    return re.sub(r"[\s,]", "", text)


def test_every_issuer_has_its_page_and_sources():
    """The index has them all, and no page is left over; each names who documents it."""
    assert (PAGES / "index.md").read_text() == index()
    assert {file.stem for file in PAGES.glob("*.md")} == {"index", *(d.slug for d in ISSUERS)}
    assert all(data.sources and data.notes for data in ISSUERS)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(data, code, id=f"{data.slug}-{heading.split()[-1]}")
        for data in ISSUERS
        for heading, code in programs(data)
    ],
)
async def test_the_programs_on_the_page_run(data, code, monkeypatch, tmp_path, capsys):
    """Only the addresses are those of the look-alike; a service's call reaches the API, signed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "client-key.pem").write_text(CLIENT_PEM)
    async with look_alike(data) as server:
        code = code.replace('"client-secret"', repr(CLIENT_SECRET))
        for alias in data.environment.get("issuer_aliases", ()):
            code = code.replace(alias, server.fill(data.server["names_itself"]))
        for origin in data.environment.get("endpoint_origins", ()):
            code = code.replace(origin, server.other)
        code = code.replace(quote(data.issuer), quote(server.issuer))
        is_service = data.service is not None and data.service["api"] in code
        if is_service:
            code = code.replace(data.service["api"], server.api)
        monkeypatch.setattr(builtins, "input", lambda _: arrive(printed(capsys)))
        await asyncio.to_thread(exec, compile(code, data.slug, "exec"), {"__name__": "program"})
        assert server.calls == (["/accounts/42"] if is_service else [])


def printed(capsys):
    return re.findall(r"^http\S+$", capsys.readouterr().out, re.MULTILINE)[-1]


def arrive(url):
    """Open the authorization endpoint, and give the address that it redirects to."""
    url = URL(url)
    connection = http.client.HTTPConnection(url.host, url.port, timeout=50)
    try:
        connection.request("GET", url.raw_path_qs)
        return connection.getresponse().headers["Location"]
    finally:
        connection.close()


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for each in ISSUERS:
        (PAGES / f"{each.slug}.md").write_text(page(each))
    (PAGES / "index.md").write_text(index())

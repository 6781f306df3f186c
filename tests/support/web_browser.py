"""A browser before a sign-in flow that no framework serves: cookies and redirects, nothing else."""

from http.cookies import SimpleCookie

import aiohttp
from yarl import URL

from aritma_auth.integrations.web_messages import WebRequest


class WebBrowser:
    """
    Visits the pages of a `WebSignInFlow`, and the sandbox's server, which signs users in by itself.

    Attributes:
        cookies: The cookies of the application.

        responses: What the flow has responded, in turn.
    """

    def __init__(self, flow):
        self.flow = flow
        self.cookies = {}
        self.responses = []

    def request(self, path="/", method="GET", **headers):
        """Make a request with this browser's cookies."""
        own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
        named = own | {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(path)
        return WebRequest(
            root="",
            method=method,
            path=path,
            query=tuple(url.query.items()),
            cookies=dict(self.cookies),
            headers={name: value for name, value in named.items() if value is not None},
        )

    def receive(self, response):
        """Keep a response and its cookies."""
        self.responses.append(response)
        for name, value in response.headers:
            if name == "Set-Cookie":
                for key, morsel in SimpleCookie(value).items():
                    if morsel["max-age"] == "0":
                        self.cookies.pop(key, None)
                    else:
                        self.cookies[key] = morsel.value
        return response

    async def visit(self, page, path, method="GET", **headers):
        """Visit a page of the flow."""
        return self.receive(await self.flow.serve(page, self.request(path, method, **headers)))

    async def begin(self, following="/accounts"):
        """Begin a sign-in, and let the server sign the end-user in; return the callback's path."""
        response = await self.visit("sign_in", f"/sign-in?next={following}")
        return await go_to_the_server(location_of(response))

    async def sign_in(self):
        """Sign in; return the response to the callback."""
        return await self.visit("callback", await self.begin())

    async def user(self):
        """Return the end-user whom the flow finds."""
        return await self.flow.find_user(self.request())


def location_of(response):
    """Return the address that a response redirects to."""
    return dict(response.headers)["Location"]


async def go_to_the_server(url):
    """Follow a redirect to the sandbox; return the path of the application that it leads to."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(URL(url, encoded=True), allow_redirects=False) as response,
    ):
        return URL(response.headers["Location"], encoded=True).raw_path_qs

"""The few pages that a sign-in shows by itself, when there is no other page to go to."""

import hashlib
import json
import logging
import math
from base64 import b64encode
from collections.abc import Callable
from html import escape
from typing import TypeAlias

import attrs

from aritma_auth.errors import (
    AccessDeniedError,
    AritmaAuthError,
    OAuthError,
    VerificationError,
    type_name,
)
from aritma_auth.integrations.web_messages import WebRequest, WebResponse, build_response
from aritma_auth.runtime.raised import describe_raised
from aritma_auth.runtime.values import Value

_log = logging.getLogger("aritma_auth")

_DENIED, _FAILED = 403, 500

_STYLE = (
    ":root{color-scheme:light dark;--ground:#f4f6f8;--card:#fff;--text:#16202a;--soft:#4a5a68;"
    "--accent:#0b5cad;--edge:#d5dce3}"
    "@media(prefers-color-scheme:dark){:root{--ground:#0f151b;--card:#18212a;--text:#eef2f6;"
    "--soft:#a9b7c4;--accent:#7cb8f5;--edge:#2b3947}}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.25rem;"
    "font:1rem/1.6 system-ui,sans-serif;background:var(--ground);color:var(--text)}"
    "main{width:100%;max-width:27rem;padding:2rem;background:var(--card);"
    "border:1px solid var(--edge);border-radius:.9rem}"
    "h1{margin:0 0 .5rem;font-size:1.4rem;line-height:1.3}p{margin:0 0 1.5rem;color:var(--soft)}"
    "a{color:var(--accent);font-weight:600}"
    ":focus-visible{outline:3px solid var(--accent);outline-offset:3px;border-radius:.2rem}"
)
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_OWN_POLICY = "base-uri 'none'; frame-ancestors 'none'"
_POLICY = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WebPage(Value):
    """
    What a page of the sign-in says; a ``render_page`` of your own turns it into HTML.

    Attributes:
        status: HTTP status that it goes out with.

        title: The heading.

        text: One sentence or two.

        link: Path of the page to go to.

        link_text: What the link says.
    """

    status: int
    title: str
    text: str
    link: str
    link_text: str


RenderPage: TypeAlias = Callable[[WebPage], str]


class PageWriter:
    """
    Shows the pages of one application's sign-in.

    Args:
        home: Path of the page that each of them links to.

        render_page: Writes the HTML in place of `render_plain_page`; its styles are its own, so
            that the policy for content forbids frames and little else.
    """

    def __init__(self, home: str, render_page: RenderPage | None) -> None:
        self._home = home
        self._render_page = render_page

    def show(self, status: int, title: str, text: str, *further: tuple[str, str]) -> WebResponse:
        """
        Show a page.

        Args:
            status: HTTP status.

            title: The heading.

            text: One sentence or two.

            further: Headers, such as cookies.
        """
        page = WebPage(status=status, title=title, text=text, link=self._home, link_text="Home")
        policy, body = _OWN_POLICY, self._render(page)
        if body is None:
            policy, body = f"{_POLICY}; style-src 'sha256-{_STYLE_HASH}'", render_plain_page(page)
        return build_response(
            status,
            ("Content-Security-Policy", policy),
            *further,
            body=body,
            media_type="text/html",
        )

    def _render(self, page: WebPage) -> str | None:
        """Let the application write the page; None if it does not, or cannot."""
        if self._render_page is None:
            return None
        try:
            body: object = self._render_page(page)
        except Exception as error:  # noqa: BLE001 - whatever a template raises
            problem = f"raised {describe_raised(error)}"
        else:
            if isinstance(body, str):
                return body
            problem = f"returned a value of type {type_name(body)}"
        # The page goes out all the same: its cookies end a sign-in or a session.
        _log.error("render_page must return HTML as a text, and %s", problem)
        return None

    def show_or_tell(
        self, request: WebRequest, status: int, title: str, text: str, *further: tuple[str, str]
    ) -> WebResponse:
        """
        Show a page, or tell a script what is wrong.

        Args:
            request: What is responded to.

            status: HTTP status.

            title: The heading.

            text: One sentence or two.

            further: Headers.
        """
        if not request.expects_page:
            return build_problem(status, title, *further)
        return self.show(status, title, text, *further)

    def explain(self, request: WebRequest, error: AritmaAuthError) -> WebResponse:
        """
        Explain an error to the end-user, and log it for the operator.

        Args:
            request: What has failed.

            error: Why.
        """
        status, title, text = _explanation(error)
        if status != _DENIED:
            _log.log(logging.ERROR if status == _FAILED else logging.WARNING, "sign-in: %s", error)
        later = error.retry_after
        wait = () if later is None else (("Retry-After", str(math.ceil(later))),)
        return self.show_or_tell(request, status, title, text, *wait)


def _explanation(error: AritmaAuthError) -> tuple[int, str, str]:
    """Give the status, the heading and the text of an error; none of it comes from outside."""
    came_by_browser = isinstance(error, OAuthError) and error.status is None
    if isinstance(error, AccessDeniedError) or (came_by_browser and error.is_permanent):
        return _DENIED, "Not signed in", "The sign-in was cancelled or refused."
    if isinstance(error, VerificationError):
        return (
            400,
            "Please start again",
            "This sign-in has expired, was used before, or was begun in another browser.",
        )
    if error.is_permanent:
        return _FAILED, "This does not work now", "Those who run this application must mend it."
    return 503, "Please try later", "A service that this page needs does not respond now."


def render_plain_page(page: WebPage) -> str:
    """Write a page as HTML, in the light or dark colours that the browser prefers."""
    title = escape(page.title)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title}</title><style>{_STYLE}</style></head>'
        f"<body><main><h1>{title}</h1><p>{escape(page.text)}</p>"
        f'<a href="{escape(page.link)}">{escape(page.link_text)}</a></main></body></html>'
    )


def build_problem(status: int, title: str, *further: tuple[str, str]) -> WebResponse:
    """
    Build the response for a script, which could neither read a page nor follow a redirect.

    Args:
        status: HTTP status.

        title: What is wrong.

        further: Headers.

    Spec: RFC 9457 §3.
    """
    body = json.dumps({"title": title, "status": status})
    return build_response(status, *further, body=body, media_type="application/problem+json")

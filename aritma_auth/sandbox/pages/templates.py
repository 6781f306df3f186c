"""The identity server's pages: plain, labelled, usable with a keyboard and a screen reader."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import urlsplit

from aiohttp import web

from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.pages.form_security import TOKEN_FIELD
from aritma_auth.sandbox.pages.style import BRAND, STYLE

_SUBMIT = "document.forms[0].submit();"
_SUBMIT_HASH = b64encode(hashlib.sha256(_SUBMIT.encode()).digest()).decode()


def show_page(
    title: str,
    body: str,
    *,
    status: int = 200,
    problem: str = "",
    policy: str = "",
    is_wide: bool = False,
) -> web.Response:
    """Show a page: its body is HTML, title and problem are texts."""
    # A screen reader reads the title first, so that it must tell of the error.
    announced = f"Error: {title}" if problem else title
    wide = ' class="wide"' if is_wide else ""
    alert = f'<p role="alert" id="problem">{escape(problem)}</p>' if problem else ""
    return web.Response(
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
                "base-uri 'none'; "
                f"frame-ancestors 'none'{policy}"
            ),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
        text=(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f'<link rel="icon" href="data:,"><title>{escape(announced)}</title>'
            f"<style>{STYLE}</style></head><body>"
            f"<main{wide}>{BRAND}<h1>{escape(title)}</h1>{alert}{body}"
            "<footer>A local stand-in for Aritma ID. It is not Aritma.</footer>"
            "</main></body></html>"
        ),
    )


def _form(action: str, hidden: Mapping[str, str], body: str, method: str = "post") -> str:
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in hidden.items()
    )
    return f'<form method="{method}" action="{escape(action)}">{fields}{body}</form>'


def _field(name: str, label: str, attributes: str, problem: str = "") -> str:
    wrong = ' aria-invalid="true" aria-describedby="problem"' if problem else ""
    return (
        f'<label for="{name}">{escape(label)}</label>'
        f'<input id="{name}" name="{name}" {attributes} required{wrong}>'
    )


_DECISION_BUTTONS = (
    '<div class="buttons"><button name="decision" value="yes">Allow</button>'
    '<button class="second" name="decision" value="no">Do not allow</button></div>'
)


def _scope_list(client_id: str, scope: Sequence[str]) -> str:
    items = "".join(f"<li><code>{escape(name)}</code></li>" for name in scope)
    return f"<p><strong>{escape(client_id)}</strong> asks for:</p><ul>{items}</ul>"


def sign_in_page(
    token: str,
    return_url: str,
    *,
    username: str = "",
    wants_code: bool = False,
    problem: str = "",
) -> web.Response:
    """Show the sign-in form."""
    # The first field that is still to be filled in has the focus.
    on_name, on_password = ("", " autofocus") if username else (" autofocus", "")
    name = f'value="{escape(username)}" autocomplete="username" autocapitalize="none"{on_name}'
    password = f'type="password" autocomplete="current-password"{on_password}'
    code = 'inputmode="numeric" autocomplete="one-time-code"'
    body = (
        _field("username", "User name", name, problem)
        + _field("password", "Password", password, problem)
        + (_field("code", "One-time code", code, problem) if wants_code else "")
        + '<div class="buttons"><button>Sign in</button>'
        + '<button class="second" name="cancel" value="yes" formnovalidate>Cancel</button></div>'
    )
    hidden = {TOKEN_FIELD: token, "return_url": return_url}
    return show_page("Sign in", _form("/account/login", hidden, body), problem=problem)


def consent_page(token: str, return_url: str, client_id: str, scope: Sequence[str]) -> web.Response:
    """Show the consent form."""
    hidden = {TOKEN_FIELD: token, "return_url": return_url}
    body = _scope_list(client_id, scope) + _form("/account/consent", hidden, _DECISION_BUTTONS)
    return show_page("Permission", body)


def error_page(error: ErrorResponse) -> web.Response:
    """Show the error of a request that does not reach the client."""
    said = "".join(f"<p>{escape(text)}</p>" for text in (error.description, error.hint) if text)
    title, problem = "This sign-in cannot continue", error.error or ""
    return show_page(title, said, status=400, problem=problem)


def posting_page(action: str, fields: Mapping[str, str]) -> web.Response:
    """
    Post an authorization response to the client.

    Spec: OAuth 2.0 Form Post Response Mode.
    """
    form = _form(action, fields, "<noscript><button>Continue</button></noscript>")
    policy = f"; script-src 'sha256-{_SUBMIT_HASH}'"
    return show_page("Continue", f"{form}<script>{_SUBMIT}</script>", policy=policy)


def device_code_page(problem: str = "") -> web.Response:
    """Show the form for the user code."""
    attributes = 'inputmode="numeric" autocomplete="off" autofocus'
    body = _field("user_code", "Code shown on your device", attributes, problem)
    form = _form(
        "/device", {}, f'{body}<div class="buttons"><button>Continue</button></div>', "get"
    )
    return show_page("Sign in a device", form, problem=problem)


def device_consent_page(
    token: str, user_code: str, client_id: str, scope: Sequence[str]
) -> web.Response:
    """Show the consent form."""
    compared = f"<p>Your device shows <code>{escape(user_code)}</code>.</p>"
    hidden = {TOKEN_FIELD: token, "user_code": user_code}
    body = compared + _scope_list(client_id, scope) + _form("/device", hidden, _DECISION_BUTTONS)
    return show_page("Sign in a device", body)


def sign_out_page(token: str, parameters: Mapping[str, str]) -> web.Response:
    """Ask the end-user to confirm the sign-out."""
    hidden = {**parameters, TOKEN_FIELD: token}
    form = _form(
        "/account/logout", hidden, '<div class="buttons"><button autofocus>Sign out</button></div>'
    )
    return show_page("Sign out", f"<p>Do you want to sign out?</p>{form}")


def signed_out_page(return_url: str | None, frames: Sequence[str]) -> web.Response:
    """Confirm the sign-out, and load the clients' logout addresses in frames."""
    link = "" if return_url is None else f'<p><a href="{escape(return_url)}">Back</a></p>'
    shown = "".join(
        f'<iframe hidden title="Signing out" src="{escape(frame)}"></iframe>' for frame in frames
    )
    origins = " ".join(dict.fromkeys(_origin(frame) for frame in frames))
    policy = f"; frame-src {origins}" if frames else ""
    return show_page("Signed out", f"<p>You are signed out.</p>{link}{shown}", policy=policy)


def done_page(title: str, text: str) -> web.Response:
    """Show the end of a flow."""
    return show_page(title, f"<p>{escape(text)}</p>")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

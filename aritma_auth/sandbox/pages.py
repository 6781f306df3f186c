"""The identity server's pages: plain, labelled, usable with a keyboard and a screen reader."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from html import escape

from aiohttp import web

_SUBMIT = "document.forms[0].submit();"
_SUBMIT_HASH = b64encode(hashlib.sha256(_SUBMIT.encode()).digest()).decode()
_STYLE = """
body{font:1rem/1.5 system-ui,sans-serif;margin:0;background:#f4f6f8;color:#16202a}
main{max-width:26rem;margin:10vh auto;padding:2rem;background:#fff;border-radius:.5rem;
box-shadow:0 1px 4px #0003}
h1{margin-top:0;font-size:1.4rem}
label{display:block;margin-top:1rem;font-weight:600}
input{box-sizing:border-box;width:100%;padding:.5rem;font:inherit;border:1px solid #5a6b7b;
border-radius:.25rem}
button{margin:1.5rem .5rem 0 0;padding:.6rem 1.2rem;font:inherit;border:1px solid #0b5cad;
border-radius:.25rem;background:#0b5cad;color:#fff;cursor:pointer}
button.second{background:#fff;color:#0b5cad}
:focus-visible{outline:3px solid #f5a300;outline-offset:2px}
[role=alert]{padding:.75rem;background:#fdecea;border-left:4px solid #b3261e}
footer{margin-top:2rem;font-size:.85rem;color:#4a5a68}
"""


def page(title: str, body: str, *, status: int = 200) -> web.Response:
    """
    Make a page.

    Args:
        title: What it is called.

        body: Its HTML.

        status: HTTP status.
    """
    return web.Response(
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
                f"script-src 'sha256-{_SUBMIT_HASH}'"
            ),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
        text=(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
            f"<h1>{escape(title)}</h1>{body}"
            "<footer>A local stand-in for Aritma ID. It is not Aritma.</footer>"
            "</main></body></html>"
        ),
    )


def _form(action: str, hidden: Mapping[str, str], body: str) -> str:
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in hidden.items()
    )
    return f'<form method="post" action="{escape(action)}">{fields}{body}</form>'


def _alert(text: str) -> str:
    return f'<p role="alert">{escape(text)}</p>' if text else ""


def sign_in_page(return_url: str, *, username: str = "", problem: str = "") -> web.Response:
    """
    Ask who it is.

    Args:
        return_url: Where to go then.

        username: What is filled in.

        problem: What was wrong before.
    """
    body = (
        '<label for="username">User name</label>'
        f'<input id="username" name="username" value="{escape(username)}" '
        'autocomplete="username" required autofocus>'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" '
        'autocomplete="current-password" required>'
        "<button>Sign in</button>"
        '<button class="second" name="cancel" value="yes" formnovalidate>Cancel</button>'
    )
    form = _form("/account/login", {"return_url": return_url}, body)
    return page("Sign in", _alert(problem) + form)


def consent_page(return_url: str, client_id: str, scope: tuple[str, ...]) -> web.Response:
    """
    Ask whether the person agrees.

    Args:
        return_url: Where to go then.

        client_id: Who asks.

        scope: For what.
    """
    wishes = "".join(f"<li><code>{escape(name)}</code></li>" for name in scope)
    body = (
        f"<p><strong>{escape(client_id)}</strong> asks for:</p><ul>{wishes}</ul>"
        '<button name="answer" value="yes">Allow</button>'
        '<button class="second" name="answer" value="no">Do not allow</button>'
    )
    return page("Permission", _form("/account/consent", {"return_url": return_url}, body))


def error_page(error: str, description: str | None) -> web.Response:
    """
    Show what is wrong with a request; nobody is sent back.

    Args:
        error: Its code.

        description: Its text, or None.
    """
    said = f"<p>{escape(description)}</p>" if description else ""
    return page("Error", f'<p role="alert"><code>{escape(error)}</code></p>{said}', status=400)


def posting_page(action: str, fields: Mapping[str, str]) -> web.Response:
    """
    Post an answer to the client.

    Args:
        action: Where to.

        fields: The answer.

    Spec: OAuth 2.0 Form Post Response Mode.
    """
    form = _form(action, fields, "<noscript><button>Continue</button></noscript>")
    return page("Continue", f"{form}<script>{_SUBMIT}</script>")


def device_page(user_code: str, *, problem: str = "") -> web.Response:
    """
    Ask for a device's code.

    Args:
        user_code: What is filled in.

        problem: What was wrong before.
    """
    body = (
        '<label for="user_code">Code shown on your device</label>'
        f'<input id="user_code" name="user_code" value="{escape(user_code)}" inputmode="numeric" '
        'autocomplete="off" required autofocus>'
        '<button name="answer" value="yes">Allow</button>'
        '<button class="second" name="answer" value="no">Do not allow</button>'
    )
    return page("Sign in a device", _alert(problem) + _form("/device", {}, body))


def sign_out_page(query: Mapping[str, str]) -> web.Response:
    """
    Ask whether the person wants to leave.

    Args:
        query: The request's parameters.
    """
    return page(
        "Sign out",
        _form("/connect/endsession", {**query, "confirmed": "yes"}, "<button>Sign out</button>"),
    )


def signed_out_page(return_url: str | None) -> web.Response:
    """
    Say that the person has left.

    Args:
        return_url: The way back, or None.
    """
    link = "" if return_url is None else f'<p><a href="{escape(return_url)}">Back</a></p>'
    return page("Signed out", f"<p>You are signed out.</p>{link}")


def done_page() -> web.Response:
    """Say that the device may go on."""
    return page("Done", "<p>You can go back to your device.</p>")

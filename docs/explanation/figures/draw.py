"""
Draws the figures of these pages: ``python docs/explanation/figures/draw.py``.

Each is as wide as a phone, so that its text is read without zooming, and follows the reader's
preference for light or dark.
"""

from html import escape
from pathlib import Path
from textwrap import wrap

HERE = Path(__file__).parent
WIDTH = 400
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1c2733 }
.b { font-weight: 600 }
.s { font-size: 12px; fill: #4a5866 }
.h { font-size: 12px; fill: #4a5866; stroke: #fff; stroke-width: 5px; paint-order: stroke }
.m { font: 12px ui-monospace, "DejaVu Sans Mono", monospace }
.paper { fill: #fff }
.plain { fill: #f2f5f8; stroke: #b4bfca }
.us { fill: #e3edfa; stroke: #6b93c4 }
.good { fill: #e3f3e8; stroke: #6fa583 }
.warm { fill: #fff7e6; stroke: #c9a45c }
.hot { fill: #ffe9dc; stroke: #d08a5c }
.bad { fill: #fdeaea; stroke: #cc7a75 }
.line, .back { fill: none; stroke: #5b6a78; stroke-width: 1.5 }
.back { stroke-dasharray: 5 3 }
.cross { fill: none; stroke: #b3261e; stroke-width: 2.5 }
.tip { fill: #5b6a78 }
@media (prefers-color-scheme: dark) {
text { fill: #e6ebf0 }
.s { fill: #a9b6c2 }
.h { fill: #a9b6c2; stroke: #14191f }
.paper { fill: #14191f }
.plain { fill: #1e262e; stroke: #4a5866 }
.us { fill: #1a2c42; stroke: #4f759f }
.good { fill: #16301f; stroke: #457a58 }
.warm { fill: #33290f; stroke: #8f7536 }
.hot { fill: #3a2313; stroke: #a8683c }
.bad { fill: #3a1b1b; stroke: #a8534f }
.line, .back { stroke: #93a1ae }
.cross { stroke: #ff8a80 }
.tip { fill: #93a1ae }
}
"""


class Figure:
    """A figure that grows downwards."""

    def __init__(self, name, title, description):
        self.name, self.title, self.description = name, title, description
        self.parts = []
        self.height = 0

    def text(self, x, y, text, style="", anchor="start"):
        kind = f' class="{style}"' if style else ""
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(f'<text x="{x}" y="{y}"{kind}{place}>{escape(text)}</text>')
        self.height = max(self.height, y + 14)

    def box(self, x, y, w, h, kind, heading="", body="", columns=None):
        """Draw a box with a heading and a wrapped body, both in its middle or at its left."""
        self.parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{w}" height="{h}" rx="7"/>')
        lines = wrap(body, columns or int((w - 20) / 6.1)) if body else []
        top = y + (h - 17 * (bool(heading) + len(lines))) / 2 + 13
        for number, line in enumerate([*([heading] if heading else []), *lines]):
            style = "b" if heading and not number else "s"
            self.text(round(x + w / 2), round(top + 17 * number), line, style, "middle")
        self.height = max(self.height, y + h + 12)

    def arrow(self, path, kind="line"):
        self.parts.append(f'<path class="{kind}" d="{path}" marker-end="url(#{self.name}-tip)"/>')

    def line(self, path, kind="line"):
        self.parts.append(f'<path class="{kind}" d="{path}"/>')

    def cross(self, x, y):
        self.line(f"M{x - 6} {y - 6}l12 12m0 -12l-12 12", "cross")

    def lanes(self, names, y, end):
        """Draw the heads and the lines of a sequence; return the middles."""
        width = (WIDTH - 40) / len(names)
        middles = [round(20 + width * (number + 0.5)) for number in range(len(names))]
        for middle, (name, kind) in zip(middles, names, strict=True):
            self.box(middle - 56, y, 112, 30, kind, name)
            self.line(f"M{middle} {y + 30}V{end}", "back")
        return middles

    def step(self, start, end, y, text, kind="line"):
        shift = 3 if end > start else -3
        self.arrow(f"M{start} {y}H{end - shift}", kind)
        self.text(round((start + end) / 2), y - 6, text, "h", "middle")

    def svg(self):
        name, height = self.name, self.height
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{round(WIDTH * 1.2)}" height="{round(height * 1.2)}" role="img" '
            f'aria-labelledby="{name}-title {name}-description">\n'
            f'<title id="{name}-title">{escape(self.title)}</title>\n'
            f'<desc id="{name}-description">{escape(self.description)}</desc>\n'
            f"<style>{STYLE}</style>\n"
            f'<defs><marker id="{name}-tip" viewBox="0 0 10 10" refX="9" refY="5" '
            'markerWidth="7" markerHeight="7" orient="auto">'
            '<path class="tip" d="M0 0L10 5L0 10z"/></marker></defs>\n'
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )


def overview():
    figure = Figure(
        "overview",
        "What aritma-auth does",
        "Many coroutines of a service call an API through one provider. The provider has one token "
        "for all of them, refreshes it in the background with one request, and shares it with other "
        "processes through a store. The middleware signs requests to named origins only.",
    )
    figure.text(200, 24, "Your service: any number of coroutines", "b", "middle")
    for x in range(50, 351, 50):
        figure.parts.append(f'<circle class="us" cx="{x}" cy="46" r="9"/>')
        figure.line(f"M{x} 55V74")
    figure.line("M50 74H350")
    figure.arrow("M200 74V92")
    figure.box(
        40,
        94,
        320,
        56,
        "us",
        "middleware",
        "signs calls to your origins, replays a 401 once",
    )
    figure.arrow("M200 150V172")
    figure.box(
        40,
        174,
        320,
        56,
        "good",
        "provider",
        "one token in memory, refreshed before it ends",
    )
    figure.arrow("M120 230V262")
    figure.text(112, 250, "one request", "s", "end")
    figure.arrow("M280 230V262", "back")
    figure.text(288, 250, "shared", "s")
    figure.box(40, 264, 160, 50, "plain", "Aritma ID", "or any issuer")
    figure.box(210, 264, 150, 50, "warm", "store", "files, Redis, keyring")
    figure.line("M360 122H384V352", "line")
    figure.arrow("M384 352H362")
    figure.box(40, 330, 320, 44, "plain", "Aritma's APIs", "")
    return figure


def life():
    figure = Figure(
        "life-of-a-token",
        "The life of a token",
        "Time runs downwards. Fresh: served at once. Stale: served at once while one refresh runs. "
        "Expiring: callers wait for the refresh, and get the token if that fails. Expired: never "
        "served. Refused: the server said no for good, so that each call raises at once.",
    )
    rows = (
        ("issued", "good", 84, "FRESH", "Served at once: one comparison, no lock, no await."),
        (
            "refresh_at",
            "warm",
            64,
            "STALE",
            "Served at once, while one refresh runs in the background.",
        ),
        (
            "must_refresh_at",
            "hot",
            64,
            "EXPIRING",
            "Callers wait for the refresh; if it fails, the token is served.",
        ),
        (
            "expires_at",
            "bad",
            64,
            "EXPIRED",
            "Never served, never sent: callers wait, or get an error.",
        ),
    )
    y = 20
    figure.text(20, y + 4, "time", "s")
    for moment, kind, height, state, text in rows:
        figure.line(f"M20 {y + 14}H380", "back")
        figure.text(20, y + 30, moment, "m")
        figure.box(140, y + 20, 240, height, kind, state, text)
        y += height + 14
    figure.arrow(f"M10 24V{y + 6}")
    figure.line(f"M20 {y + 20}H380", "back")
    figure.text(20, y + 38, "from any state", "s")
    figure.box(
        140,
        y + 28,
        240,
        64,
        "plain",
        "REFUSED",
        "The server said no for good: raised at once, without a request.",
    )
    return figure


def flight():
    figure = Figure(
        "flight",
        "One request for all who wait",
        "Five callers wait for one flight, a task that none of them owns. One of them, the first, "
        "is cancelled; the flight goes on, sends one token request, and wakes the other four.",
    )
    figure.text(200, 24, "callers without a token", "b", "middle")
    for number, x in enumerate(range(60, 341, 70)):
        figure.box(x - 27, 36, 54, 34, "us" if number else "bad", f"{number + 1}")
        figure.arrow(f"M{x} 70V118", "line" if number else "back")
    figure.cross(60, 92)
    figure.text(68, 108, "cancelled", "s")
    figure.box(
        20,
        120,
        360,
        56,
        "good",
        "the flight",
        "one task that no waiter owns, with its own time-out",
    )
    figure.arrow("M160 176V220")
    figure.text(152, 202, "one request", "s", "end")
    figure.arrow("M240 220V178", "back")
    figure.text(248, 202, "one token, or one error", "s")
    figure.box(90, 222, 220, 36, "plain", "token endpoint")
    figure.text(200, 284, "Callers 2 to 5 get the token; a failure reaches", "s", "middle")
    figure.text(200, 301, "each of them as an exception of its own.", "s", "middle")
    return figure


def fleet():
    figure = Figure(
        "fleet",
        "One refresh for a fleet",
        "Three processes share a store. The second holds the lease and sends the one token request; "
        "the first serves its stale token, the third waits; both adopt the new token from the store.",
    )
    kinds = (
        ("process 1", "us", "serves the stale token"),
        ("process 2", "good", "holds the lease"),
        ("process 3", "us", "waits"),
    )
    figure.box(90, 14, 220, 36, "plain", "Aritma ID")
    figure.arrow("M200 102V52")
    figure.text(208, 82, "one token request", "s")
    for number, (name, kind, body) in enumerate(kinds):
        figure.box(14 + 127 * number, 104, 118, 62, kind, name, body)
    figure.box(
        14,
        234,
        372,
        62,
        "warm",
        "store: files, or Redis",
        "the token, encrypted; the lease; the backoff after a failure",
    )
    for x in (73, 327):
        figure.arrow(f"M{x} 234V168", "back")
        figure.text(x, 206, "adopts", "h", "middle")
    figure.arrow("M176 234V168", "back")
    figure.text(176, 206, "lease", "h", "middle")
    figure.arrow("M224 166V232")
    figure.text(224, 206, "saves", "h", "middle")
    return figure


def sign_in():
    figure = Figure(
        "sign-in",
        "A sign-in",
        "The browser opens the application, which redirects it to Aritma ID with state, nonce and a "
        "code challenge. The end-user signs in there. The browser comes back with a code, which the "
        "application exchanges with the code verifier; it verifies the ID token and opens a session.",
    )
    end = 442
    browser, app, server = figure.lanes(
        (("browser", "plain"), ("your app", "us"), ("Aritma ID", "plain")), 14, end
    )
    figure.step(browser, app, 76, "/sign-in")
    figure.box(app - 56, 86, 112, 36, "us", "", "keeps state, nonce, verifier")
    figure.step(app, browser, 146, "to Aritma ID", "back")
    figure.step(browser, server, 178, "state, nonce, code challenge")
    figure.box(server - 56, 190, 112, 36, "warm", "", "the end-user signs in")
    figure.step(server, browser, 252, "code, state, iss", "back")
    figure.step(browser, app, 284, "/callback")
    figure.box(app - 56, 294, 112, 24, "us", "", "same state?")
    figure.step(app, server, 342, "code, verifier")
    figure.step(server, app, 370, "tokens", "back")
    figure.box(app - 56, 380, 112, 36, "good", "", "verifies the ID token")
    figure.step(app, browser, 436, "a new session", "back")
    figure.height = 454
    return figure


def replay():
    figure = Figure(
        "replay",
        "An API's 401",
        "Two requests with token 1 get a 401. The provider makes one refresh for both. Each request "
        "is replayed once, with token 2. A second 401 goes to the caller.",
    )
    end = 330
    ours, api, server = figure.lanes(
        (("middleware", "us"), ("API", "plain"), ("Aritma ID", "plain")), 14, end
    )
    figure.step(ours, api, 76, "token 1")
    figure.step(ours, api, 102, "token 1")
    figure.step(api, ours, 132, "401", "back")
    figure.step(api, ours, 158, "401", "back")
    figure.step(ours, server, 192, "one refresh for both")
    figure.step(server, ours, 224, "token 2", "back")
    figure.step(ours, api, 258, "token 2, once")
    figure.step(ours, api, 284, "token 2, once")
    figure.step(api, ours, 316, "200, or 401", "back")
    figure.text(200, 352, "No replay for a body that is used up, for the same", "s", "middle")
    figure.text(200, 369, "token again, or a second time.", "s", "middle")
    return figure


def grants():
    figure = Figure(
        "choice-of-a-grant",
        "Which grant",
        "Without an end-user: client credentials. With one: at your web application, on this "
        "machine, on another device, asked by the server, signed in before, or behind a caller's token or a trusted "
        "issuer's assertion.",
    )
    figure.box(110, 14, 180, 34, "plain", "Who takes part?")
    figure.line("M200 48V70M28 70H200")
    figure.line("M28 70V566")
    rows = (
        ("no end-user", "ClientCredentialsGrant", "for the service itself"),
        ("an end-user at your web application", "WebSignIn", "authorization code with PKCE"),
        ("an end-user at this machine", "login_with_browser", "the same, over loopback"),
        ("an end-user with another device", "login_with_device", "DeviceCodeGrant"),
        (
            "an end-user whom the server asks (CIBA)",
            "BackchannelGrant",
            "on a device that it knows",
        ),
        ("an end-user who signed in before", "SignedInGrant", "or RefreshTokenGrant"),
        ("a caller with an end-user's token", "DelegationGrant", "or TokenExchangeGrant"),
        ("an assertion of a trusted issuer", "JwtBearerGrant", "RFC 7523"),
    )
    for number, (who, name, what) in enumerate(rows):
        y = 84 + 64 * number
        figure.arrow(f"M28 {y + 34}H48")
        figure.text(50, y + 12, who, "s")
        figure.box(50, y + 18, 330, 36, "good" if not number else "us", "")
        figure.text(62, y + 41, name, "m")
        figure.text(370, y + 41, what, "s", "end")
    return figure


FIGURES = (overview, life, flight, fleet, sign_in, replay, grants)


def main():
    for draw in FIGURES:
        figure = draw()
        (HERE / f"{figure.name}.svg").write_text(figure.svg(), encoding="utf-8")


if __name__ == "__main__":
    main()

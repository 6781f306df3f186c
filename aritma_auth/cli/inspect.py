"""``aritma-auth inspect``: what a token says of itself; nothing is sent."""

import getpass
import sys
from json import dumps as to_json

import attrs

from aritma_auth.cli.exit_codes import ExitCode, UsageError
from aritma_auth.cli.options import Json
from aritma_auth.cli.terminal import as_line, show, show_json, show_styled
from aritma_auth.cli.times import format_moment, to_local
from aritma_auth.protocol.jws import decode_base64url
from aritma_auth.protocol.redaction import HiddenStr, JsonValue, Members
from aritma_auth.protocol.strict_json import parse_json_object
from aritma_auth.runtime.clock import SYSTEM_CLOCK

_LIMIT = 1 << 20
_TIMES = ("iat", "auth_time", "nbf", "exp")
_NAMES = {
    "iss": "issuer",
    "sub": "subject",
    "client_id": "client",
    "azp": "authorized party",
    "aud": "audience",
    "scope": "scope",
    "scp": "scope",
    "acr": "sign-in class",
    "amr": "sign-in methods",
    "auth_time": "signed in",
    "cnf": "bound to a key",
    "iat": "issued",
    "nbf": "valid from",
    "exp": "expires",
}


def inspect_token(*, json: Json = False) -> int:
    """
    Show what the token on standard input says of itself; nothing is verified and nothing is sent.

    The token may stand alone, in an Authorization header, or in the JSON of aritma-auth token.
    Times are those of this machine's zone. An expired token ends the command with code 1.

    Parameters
    ----------
    json:
        Print header, claims and times as one JSON object.
    """
    told = _read_token()
    now = SYSTEM_CLOCK.time()
    if json:
        show_json(_as_json(told, now))
    elif told.claims is None:
        show(f"The token is opaque: {told.length} characters that only its issuer can read.")
    else:
        _show(told, told.claims, now)
    return ExitCode.FAILED if told.is_expired(now) else ExitCode.DONE


@attrs.frozen
class _Told:
    """What a token says of itself, unverified; no text of it is kept."""

    length: int
    header: Members | None = None
    claims: Members | None = None

    def time(self, name: str) -> float | None:
        value = None if self.claims is None else self.claims.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(value)

    def is_expired(self, now: float) -> bool:
        end = self.time("exp")
        return end is not None and end <= now


def _read_token() -> _Told:
    if sys.stdin.isatty():
        text = HiddenStr(getpass.getpass("Token (it is not shown): "))
    else:
        text = HiddenStr(sys.stdin.read(_LIMIT + 1))
    if len(text) > _LIMIT:
        raise UsageError(f"standard input must hold one token, not more than {_LIMIT} characters")
    token = HiddenStr(_find_token(text))
    if not token or not token.isprintable() or " " in token:
        raise UsageError(
            "standard input must hold one token, such as that of: "
            "aritma-auth token | aritma-auth inspect"
        )
    return _parse(token)


def _find_token(text: str) -> str:
    """Take a token out of a header or of a token response."""
    plain = text.strip()
    if plain.startswith("{"):
        try:
            found = parse_json_object(plain.encode()).get("access_token")
        except ValueError:
            found = None
        return found if isinstance(found, str) else ""
    if plain.lower().startswith("authorization:"):
        plain = plain.partition(":")[2].strip()
    scheme, _, rest = plain.partition(" ")
    return rest.strip() if scheme.lower() in {"bearer", "dpop"} else plain


def _parse(token: str) -> _Told:
    parts = [HiddenStr(part) for part in token.split(".")]
    if len(parts) == 3:
        try:
            header, claims = (parse_json_object(decode_base64url(part)) for part in parts[:2])
        except ValueError:
            pass
        else:
            return _Told(len(token), header, claims)
    return _Told(len(token))


def _as_json(told: _Told, now: float) -> dict[str, JsonValue]:
    times: dict[str, JsonValue] = {}
    for name in _TIMES:
        moment = told.time(name)
        local = None if moment is None else to_local(moment)
        if local is not None:
            times[name] = local.isoformat()
    end = told.time("exp")
    return {
        "is_jwt": told.claims is not None,
        "is_expired": told.is_expired(now),
        "expires_in": None if end is None else round(end - now, 3),
        "times": times,
        "header": None if told.header is None else dict(told.header.items()),
        "claims": None if told.claims is None else dict(told.claims.items()),
    }


def _show(told: _Told, claims: Members, now: float) -> None:
    from rich.table import Table  # the other outputs need none

    header = told.header or Members()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    names = [*_NAMES, *(name for name in dict(claims.items()) if name not in _NAMES)]
    for name in names:
        value = claims.get(name)
        if value is None:
            continue
        moment = told.time(name) if name in _TIMES else None
        shown = _words(value) if moment is None else format_moment(moment, now=now)
        is_over = name == "exp" and told.is_expired(now)
        table.add_row(
            as_line(_NAMES.get(name, name), "dim"), as_line(shown, "red" if is_over else "")
        )
    kind = " ".join(str(header.get(name)) for name in ("alg", "typ") if header.get(name))
    show_styled(as_line(f"JWT ({kind}), not verified", "bold"), table)
    if told.is_expired(now):
        show("")
        show_styled(as_line("The token has expired.", "bold red"))


def _words(value: JsonValue) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else to_json(value)

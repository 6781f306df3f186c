"""HTTP requests and responses as values, form encoding, and the two header fields with a time."""

from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import quote_plus

import attrs

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.redaction import HiddenBytes, HiddenStr
from aritma_auth.runtime.values import Value

BODY_LIMIT = 1 << 20
"""Bytes of a response that are read at most."""

FORM = "application/x-www-form-urlencoded"

Parameters = tuple[tuple[str, str], ...]

_CHALLENGES = "www-authenticate"


def _hide(body: bytes) -> HiddenBytes:
    return HiddenBytes(body)


def _lower_names(headers: Mapping[str, str]) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for name, value in headers.items():
        name = name.lower()  # noqa: PLW2901 - the same name
        if name == _CHALLENGES and name in fields:
            # A list may come as several fields (RFC 9110 §5.3), each with a challenge.
            value = f"{fields[name]}, {value}"  # noqa: PLW2901 - the same list
        fields[name] = value
    return fields


@attrs.frozen(eq=False, repr=False)
class HttpRequest(Value):
    """
    One protocol request, ready to be sent.

    Attributes:
        method: Of HTTP, such as ``POST``.

        url: Absolute URL.

        headers: Header fields; values never show.

        body: The encoded body; never shows.

        secrets: What of it no message may repeat.
    """

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: HiddenBytes = attrs.field(default=HiddenBytes(), repr=False, converter=_hide)
    secrets: tuple[HiddenStr, ...] = attrs.field(default=(), repr=False)


@attrs.frozen(eq=False, repr=False)
class HttpResponse(Value):
    """
    One protocol response, exactly as received.

    Attributes:
        status: HTTP status.

        headers: Header fields by lower-case name; of a repeated field the last one, but all
            challenges.

        body: At most `BODY_LIMIT` bytes; never shows.

        sent: Secrets of the request, which no message of ours may repeat.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_lower_names, repr=False)
    body: HiddenBytes = attrs.field(default=HiddenBytes(), repr=False, converter=_hide)
    sent: tuple[HiddenStr, ...] = attrs.field(default=(), repr=False)

    @property
    def media_type(self) -> str:
        """The media type without parameters, in lower case; empty if none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def encode_form(parameters: Iterable[tuple[str, str]]) -> HiddenBytes:
    """
    Encode parameters as a form, in the order given.

    Args:
        parameters: Pairs of name and value.

    Returns:
        The body of a form request.

    Raises:
        ConfigurationError: A value is no text, or holds what UTF-8 cannot encode.

    Spec: RFC 6749 Appendix B.
    """
    return HiddenBytes(
        "&".join(
            f"{form_encode(name)}={form_encode(value, name)}" for name, value in parameters
        ).encode()
    )


def form_encode(text: str, what: str = "the name of a parameter") -> HiddenStr:
    """
    Encode one name or value as forms do.

    Args:
        text: The name or value.

        what: Its name in the error.

    Raises:
        ConfigurationError: It is no text, or holds what UTF-8 cannot encode.

    Spec: RFC 6749 Appendix B.
    """
    try:
        return HiddenStr(quote_plus(text, encoding="utf-8"))
    except (TypeError, UnicodeEncodeError):
        is_text = isinstance(text, str)
    # Outside the except block: the caught error holds the text.
    raise (
        ConfigurationError(f"{what} must be text that UTF-8 can encode; it holds a lone surrogate")
        if is_text
        else wrong_kind(what, "a string", text)
    )


def is_sendable(text: str) -> bool:
    """Tell whether a token's text has visible ASCII only: all else would break a header."""
    return all("!" <= char <= "~" for char in text)


def parse_http_date(text: str) -> float | None:
    """
    Parse an HTTP date.

    Args:
        text: The header's value.

    Returns:
        POSIX seconds, or None if it is not a date.

    Spec: RFC 9110 §5.6.7.
    """
    try:
        date = parsedate_to_datetime(text)
        # HTTP dates are UTC: do not fall back to local time.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def parse_retry_after(response: HttpResponse, *, now: float) -> float | None:
    """
    Parse how long the server asks the client to wait.

    Args:
        response: The response.

        now: POSIX seconds; a date counts from the response's own ``Date`` when it has one.

    Returns:
        Seconds, never negative, or None if absent or unreadable.

    Spec: RFC 9110 §10.2.3.
    """
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    at = parse_http_date(text)
    if at is None:
        return None
    # Prefer the server's own clock: ours may be wrong.
    sent = parse_http_date(response.headers.get("date", ""))
    return max(0.0, at - (now if sent is None else sent))

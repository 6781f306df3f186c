"""HTTP requests and answers as values, forms, and the two header fields that carry time."""

from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import quote_plus

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.redaction import HiddenBytes, HiddenStr

BODY_LIMIT = 1 << 20
"""Bytes of an answer read at most."""

FORM = "application/x-www-form-urlencoded"

Parameters = tuple[tuple[str, str], ...]


def parse_extra(
    extra: Mapping[str, str] | Iterable[tuple[str, str]], *, taken: Iterable[str]
) -> Parameters:
    """
    Take further parameters of a server, as a caller gives them.

    Args:
        extra: Name to value.

        taken: Names that have an argument of their own, or are not for callers.

    Raises:
        ConfigurationError: A name is taken, or a value is no text.

    Spec: RFC 6749 §3.1, §3.2 (no parameter twice).
    """
    parameters = dict(extra)
    wrong = parameters.keys() & set(taken)
    if wrong:
        raise ConfigurationError(f"extra must not replace {', '.join(sorted(wrong))}")
    if not all(isinstance(value, str) for value in parameters.values()):
        raise ConfigurationError("extra parameters are texts")
    return tuple(parameters.items())


def _hide(body: bytes) -> HiddenBytes:
    return HiddenBytes(body)


@attrs.frozen
class HttpRequest:
    """
    One protocol request, ready to be sent.

    Attributes:
        method: ``GET`` or ``POST``.

        url: Absolute URL.

        headers: Header fields; values never show.

        body: The encoded body; never shows.
    """

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: HiddenBytes = attrs.field(default=HiddenBytes(), repr=False, converter=_hide)


def _lower_names(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@attrs.frozen
class HttpResponse:
    """
    One protocol answer, exactly as received.

    Attributes:
        status: HTTP status.

        headers: Header fields by lower-case name; of a repeated field the last one.

        body: At most `BODY_LIMIT` bytes; never shows.

        sent: Secrets of the request, which no message of ours may repeat.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_lower_names, repr=False)
    body: HiddenBytes = attrs.field(default=HiddenBytes(), repr=False, converter=_hide)
    sent: tuple[HiddenStr, ...] = attrs.field(default=(), repr=False)

    @property
    def media_type(self) -> str:
        """The answer's media type without parameters, in lower case; empty if none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def encode_form(parameters: Iterable[tuple[str, str]]) -> HiddenBytes:
    """
    Encode parameters as a form, in the order given.

    Args:
        parameters: Pairs of name and value.

    Returns:
        The body of a form request.

    Spec: RFC 6749 Appendix B.
    """
    return HiddenBytes(
        "&".join(f"{form_encode(name)}={form_encode(value)}" for name, value in parameters).encode()
    )


def form_encode(text: str) -> HiddenStr:
    """Encode one name or value as forms do (RFC 6749 Appendix B)."""
    return HiddenStr(quote_plus(text, encoding="utf-8"))


def parse_http_date(text: str) -> float | None:
    """
    Read an HTTP date.

    Args:
        text: The header's value.

    Returns:
        POSIX seconds, or None if it is not a date.

    Spec: RFC 9110 §5.6.7.
    """
    try:
        date = parsedate_to_datetime(text)
        # Without a zone it is Greenwich's, as every HTTP date is, and not this machine's.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def parse_retry_after(response: HttpResponse, *, now: float) -> float | None:
    """
    Read how long the server asks to wait.

    Args:
        response: The answer.

        now: POSIX seconds; a date counts from the answer's own ``Date`` when it has one.

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
    # The server's own clock where it shows: ours may be wrong.
    sent = parse_http_date(response.headers.get("date", ""))
    return max(0.0, at - (now if sent is None else sent))

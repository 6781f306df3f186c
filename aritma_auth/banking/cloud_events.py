"""
CloudEvents as Aritma's Events API delivers them: the envelope, in each form that its pages show.

Pure: what came in is parsed strictly, and a problem is named in words that quote nothing of it.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn
from urllib.parse import unquote_to_bytes

import attrs

from aritma_auth.banking.kinds import OPTIONAL, parse_fields
from aritma_auth.banking.problems import parse_time
from aritma_auth.errors import VerificationError, require_count, require_instance
from aritma_auth.protocol.parameters import OPTIONAL_TIME, require_text
from aritma_auth.protocol.redaction import HiddenBytes, JsonValue, Members
from aritma_auth.protocol.strict_json import JsonError, parse_json
from aritma_auth.runtime.values import Value

_PREFIX = "ce-"
_SINGLE = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_JSON = "application/json"
_ATTRIBUTE_LIMIT = 1024
"""Characters of an attribute: an id or a source is a name, not a text."""

_DATA = (Members, str, int, float, list, dict, HiddenBytes, type(None))

_ESCAPED = re.compile(r"\\(.)")

_REQUIRED = ("id", "source", "type")
_OWN = frozenset({*_REQUIRED, "data", "data_base64", "specversion", "subject", "tid", "time"})


@attrs.frozen(eq=False, repr=False, kw_only=True)
class CloudEvent(Value):
    """
    One event as it was delivered; its data does not show.

    Attributes:
        id: Identifies the event among those of its source; a repeated delivery repeats both.

        source: Where the event comes from: at Aritma, the subscription.

        type: What happened, such as ``banking.payment.status.updated``.

        tenant: The tenant (``tid``), or None.

        subject: Path of the resource, or None.

        time: When it happened, in POSIX seconds, or None if that is missing or unreadable.

        data: What the event says: `Members` if it is a JSON object, else a JSON value or bytes.

        extensions: Further attributes by name.

    Spec: CloudEvents 1.0.2 §2. Source: Aritma's page on the event format.
    """

    id: str = attrs.field(validator=require_text)
    source: str = attrs.field(validator=require_text)
    type: str = attrs.field(validator=require_text)
    tenant: str | None = attrs.field(default=None, validator=OPTIONAL)
    subject: str | None = attrs.field(default=None, validator=OPTIONAL)
    time: float | None = attrs.field(default=None, validator=OPTIONAL_TIME)
    data: "Members | JsonValue | HiddenBytes" = attrs.field(default=None, repr=False)
    extensions: Members = attrs.field(factory=Members)

    def __attrs_post_init__(self) -> None:
        require_instance("data", "Members, a JSON value or bytes", self.data, _DATA)
        require_instance("extensions", "Members", self.extensions, Members)

    @property
    def members(self) -> Members:
        """The data as a JSON object; empty if it is none."""
        return self.data if isinstance(self.data, Members) else Members()


def parse_cloud_events(
    headers: Iterable[tuple[str, str]], body: bytes, *, max_events: int = 5000
) -> tuple[CloudEvent, ...]:
    """
    Parse one delivery: structured, binary or a batch.

    Aritma's pages show ``ce-`` header fields and the structured form side by side: fields that say
    the same as the envelope are accepted, and any contradiction is refused.

    Args:
        headers: The request's header fields as pairs, repeated ones included.

        body: The request's body.

        max_events: Events of a batch at most.

    Returns:
        The events in the order of the batch.

    Raises:
        ConfigurationError: An argument is of the wrong kind.

        VerificationError: It is no delivery of events; the message quotes nothing of it.

    Spec: CloudEvents HTTP Protocol Binding 1.0.2 §3.
    """
    require_instance("body", "bytes, such as await request.read()", body, bytes)
    require_count("max_events", max_events, least=1)
    fields = parse_fields(headers)
    try:
        return _parse_delivery(fields, body, max_events)
    except VerificationError as error:
        problem = str(error)
    # Raised anew: a traceback with local variables would show the delivery.
    del headers, fields, body
    raise VerificationError(problem)


def _parse_delivery(
    fields: tuple[tuple[str, str], ...], body: bytes, max_events: int
) -> tuple[CloudEvent, ...]:
    attributes, media_type = _attributes(fields), _media_type(fields)
    if media_type in {_SINGLE, _BATCH} or (media_type == _JSON and not attributes):
        envelopes = _envelopes(body, media_type, max_events)
        for envelope in envelopes:
            _require_agreement(envelope, attributes)
        return tuple(map(_structured, envelopes))
    if not attributes:
        _refuse("the media type must be one of CloudEvents, or ce- header fields must be there")
    return (_binary(attributes, body, media_type),)


def _attributes(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for field, value in fields:
        name = field.lower()
        if not name.startswith(_PREFIX):
            continue
        name = name.removeprefix(_PREFIX)
        if name in attributes:
            _refuse("a ce- header field comes twice")
        try:
            # The binding encodes what a header field cannot hold; a sender may quote it too.
            attributes[name] = unquote_to_bytes(_unquoted(value)).decode()
        except UnicodeError:
            # Servers pass on a byte beyond ASCII as a lone surrogate, which UTF-8 cannot encode.
            attributes[name] = "\0"
    return attributes


def _unquoted(value: str) -> str:
    """Take a quoted string out of its quotes (CloudEvents HTTP 1.0.2 §3.1.3.2, RFC 9110 §5.6.4)."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _ESCAPED.sub(r"\1", value[1:-1])


def _media_type(fields: Iterable[tuple[str, str]]) -> str:
    values = [value for name, value in fields if name.lower() == "content-type"]
    if len(values) > 1:
        _refuse("Content-Type comes twice")
    media_type, *parameters = ("".join(values)).split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip(' "').lower() not in {
            "utf-8",
            "us-ascii",
        }:
            _refuse("the charset must be UTF-8")
    return media_type.strip().lower()


def _envelopes(body: bytes, media_type: str, max_events: int) -> list[Mapping[str, JsonValue]]:
    value = _parse(body)
    # Event Grid sends a batch under the media type of a single event.
    envelopes = value if isinstance(value, list) and media_type != _JSON else [value]
    if media_type == _BATCH and not isinstance(value, list):
        _refuse("a batch must be a JSON array")
    if len(envelopes) > max_events:
        _refuse("the batch has more events than are accepted")
    return [envelope if isinstance(envelope, dict) else _no_object() for envelope in envelopes]


def _parse(body: bytes) -> JsonValue:
    try:
        return parse_json(body)
    except JsonError as error:
        problem = str(error)
    return _refuse(problem)


def _require_agreement(envelope: Mapping[str, JsonValue], attributes: Mapping[str, str]) -> None:
    if any(envelope.get(name) != value for name, value in attributes.items()):
        _refuse("a ce- header field must say what the envelope says")


def _structured(envelope: Mapping[str, JsonValue]) -> CloudEvent:
    if any(name not in _OWN and not _is_name(name) for name in envelope):
        _refuse("an attribute's name must be lower-case letters and digits")
    if "data" in envelope and "data_base64" in envelope:
        _refuse("data and data_base64 exclude each other")
    data = envelope.get("data")
    if "data_base64" in envelope:
        return _event(envelope, HiddenBytes(_decoded(envelope["data_base64"])))
    return _event(envelope, Members(data) if isinstance(data, dict) else data)


def _binary(attributes: Mapping[str, str], body: bytes, media_type: str) -> CloudEvent:
    if media_type == _JSON or media_type.endswith("+json"):
        data = _parse(body) if body else None
        return _event(attributes, Members(data) if isinstance(data, dict) else data)
    return _event(attributes, HiddenBytes(body))


def _event(
    attributes: Mapping[str, JsonValue], data: "Members | JsonValue | HiddenBytes"
) -> CloudEvent:
    if attributes.get("specversion") != "1.0":
        _refuse("specversion must be 1.0")
    event_id, source, kind = (_text(attributes, name) or _missing(name) for name in _REQUIRED)
    return CloudEvent(
        id=event_id,
        source=source,
        type=kind,
        tenant=_text(attributes, "tid"),
        subject=_text(attributes, "subject"),
        time=parse_time(attributes.get("time")),
        data=data,
        extensions=Members({name: value for name, value in attributes.items() if name not in _OWN}),
    )


def _text(attributes: Mapping[str, JsonValue], name: str) -> str | None:
    value = attributes.get(name)
    if value is None:
        return None
    # Two spellings of one id would be two events: nothing invisible is accepted.
    if not isinstance(value, str) or not value or not value.isprintable():
        _refuse(f"{name} must be a text without control characters")
    if len(value) > _ATTRIBUTE_LIMIT:
        _refuse(f"{name} must have {_ATTRIBUTE_LIMIT} characters at most")
    return value


def _is_name(name: str) -> bool:
    return name.isascii() and name.isalnum() and name == name.lower()


def _decoded(value: JsonValue) -> bytes:
    try:
        return base64.b64decode(value if isinstance(value, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        pass
    return _refuse("data_base64 must be base64")


def _missing(name: str) -> NoReturn:
    _refuse(f"{name} is missing")


def _no_object() -> NoReturn:
    _refuse("an event must be a JSON object")


def _refuse(reason: str) -> NoReturn:
    raise VerificationError(reason)

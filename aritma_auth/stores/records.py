"""Records as bytes: versioned JSON, parsed as strictly as a response from the network."""

import json
from collections.abc import Mapping

import attrs

from aritma_auth.errors import (
    AritmaAuthError,
    InvalidResponseError,
    OAuthError,
    ReauthenticationRequiredError,
    StoreError,
    TransportError,
    oauth_error,
)
from aritma_auth.protocol.kept_tokens import parse_token_members
from aritma_auth.protocol.redaction import HiddenBytes, JsonValue, Members
from aritma_auth.protocol.strict_json import JsonError, StructureError, parse_json_object, structure
from aritma_auth.protocol.tokens import Token, token_members
from aritma_auth.stores.contract import Record, SharedBackoff

VERSION = 1

_CLOCKS_DIFFER = 60.0
"""Seconds by which a backoff may seem to begin in the future: the writer's clock may be ahead."""

_KINDS: tuple[type[AritmaAuthError], ...] = (
    InvalidResponseError,
    OAuthError,
    ReauthenticationRequiredError,
    TransportError,
)
"""Failures of the server and the network, which concern every process that shares the store."""


class RecordError(StoreError):
    """Stored bytes cannot be read here; the message quotes nothing of them."""


@attrs.frozen(repr=False)
class _Backoff:
    kind: str
    message: str
    since: float
    seconds: float
    count: int
    credential: str
    status: int | None = None
    description: str | None = None
    uri: str | None = None
    may_have_arrived: bool = False


@attrs.frozen(repr=False)
class _Record:
    version: int
    serial: int
    redeeming_since: float | None = None


def dump_record(record: Record, *, now: float) -> HiddenBytes:
    """
    Return a record as bytes, in clear: they hold the tokens.

    Args:
        record: The record.

        now: POSIX seconds; the seconds of the backoff count from here.
    """
    backoff = record.backoff
    members: dict[str, JsonValue] = {
        "version": VERSION,
        "serial": record.serial,
        "redeeming_since": record.redeeming_since,
        "token": None if record.token is None else token_members(record.token),
        "backoff": None if backoff is None else _backoff_members(backoff, now),
    }
    return HiddenBytes(json.dumps(members, separators=(",", ":")).encode())


def _backoff_members(backoff: SharedBackoff, now: float) -> dict[str, JsonValue] | None:
    error = backoff.error
    kind = next((kind for kind in _KINDS if isinstance(error, kind)), None)
    if kind is None:
        # An error of this process alone must not stop the others.
        return None
    return {
        "kind": kind.__name__,
        "message": error.error if isinstance(error, OAuthError) else str(error),
        "since": now,
        "seconds": backoff.seconds,
        "count": backoff.count,
        "credential": backoff.credential,
        "status": getattr(error, "status", None),
        "description": getattr(error, "description", None),
        "uri": getattr(error, "uri", None),
        "may_have_arrived": getattr(error, "may_have_arrived", False),
        "problems": list(getattr(error, "problems", ())),
    }


def parse_record(body: bytes, *, now: float) -> Record:
    """
    Return the record that `dump_record` wrote.

    Args:
        body: The bytes.

        now: POSIX seconds.

    Raises:
        RecordError: The bytes are no record, or were written by another version.
    """
    body = HiddenBytes(body)
    problem: str
    try:
        return _read(body, now)
    except (JsonError, RecordError, StructureError) as error:
        problem = str(error)
    # Outside the except block: the traceback of the caught error holds the values.
    raise RecordError(problem)


def _read(body: HiddenBytes, now: float) -> Record:
    members = parse_json_object(body)
    if members.get("version") != VERSION:
        raise RecordError("it was written by another version")
    record = structure(members, _Record)
    token, backoff = members.get("token"), members.get("backoff")
    return Record(
        None if token is None else parse_token_members(_members(token), Token),
        record.serial,
        record.redeeming_since,
        None if backoff is None else _read_backoff(_members(backoff), now),
    )


def _members(value: JsonValue) -> Members:
    if not isinstance(value, dict):
        raise RecordError("a member that must be an object is none")
    return Members(value)


def _texts(value: JsonValue) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise RecordError("a member that must be a list of strings is none")
    return tuple(str(text) for text in value)


def _read_backoff(members: Members, now: float) -> SharedBackoff:
    backoff = structure(members, _Backoff)
    # A backoff that begins in the future has ended: the clock was set back, by an unknown amount.
    left = backoff.since + backoff.seconds - now if backoff.since <= now + _CLOCKS_DIFFER else 0.0
    return SharedBackoff(_read_error(backoff, members), backoff.count, left, backoff.credential)


def _read_error(backoff: _Backoff, members: Mapping[str, JsonValue] | Members) -> AritmaAuthError:
    if backoff.kind == "OAuthError":
        return oauth_error(
            backoff.message, backoff.description, uri=backoff.uri, status=backoff.status
        )
    if backoff.kind == "InvalidResponseError":
        problems = _texts(members.get("problems"))
        return InvalidResponseError(backoff.message, status=backoff.status or 0, problems=problems)
    if backoff.kind == "TransportError":
        return TransportError(backoff.message, may_have_arrived=backoff.may_have_arrived)
    if backoff.kind == "ReauthenticationRequiredError":
        return ReauthenticationRequiredError(backoff.message)
    raise RecordError("its backoff has an error of an unknown kind")

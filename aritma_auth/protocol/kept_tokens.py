"""
The JSON that keeps a token outside of the process.

It is parsed as strictly as a response from the network: it comes back from a file or a database
that others may have changed.
"""

import json
from collections.abc import Callable
from typing import TypeVar

import attrs

from aritma_auth.errors import StoreError
from aritma_auth.protocol.http_messages import is_sendable
from aritma_auth.protocol.redaction import HiddenStr, JsonValue, Members
from aritma_auth.protocol.strict_json import (
    JsonError,
    StructureError,
    is_whole,
    parse_json_object,
    structure,
)

T = TypeVar("T")

_VERSION = 1
_MAX_LENGTH = 1 << 20
"""Characters of a kept token: a response of the token endpoint may have as many bytes."""

_TYPES = frozenset({"Bearer", "DPoP", "N_A"})


@attrs.frozen(repr=False)
class _Token:
    access_token: str
    token_type: str
    issued_at: float
    expires_at: float | None = None
    refresh_token: str | None = None
    id_token: str | None = None


_MEMBERS = frozenset({"extra", "scope", "version"}.union(f.name for f in attrs.fields(_Token)))


def dump_token(members: dict[str, JsonValue]) -> HiddenStr:
    """
    Write a token as a text.

    Args:
        members: What `token_members` returned.
    """
    return HiddenStr(json.dumps({"version": _VERSION, **members}, separators=(",", ":")))


def parse_token_text(text: HiddenStr, make: Callable[..., T]) -> T:
    """
    Parse what `dump_token` has written.

    Args:
        text: The text.

        make: The class of the token.

    Raises:
        StoreError: The text holds no token. The message quotes nothing of it.
    """
    try:
        return _parse(text, make)
    except (JsonError, StructureError) as error:
        reason = str(error)
    # Outside the except block: the traceback of the caught error holds the values.
    raise StoreError(
        f"the text holds no token that Token.to_json wrote: {reason}. Let the end-user sign in "
        "again, or restore the text from a copy"
    )


def parse_token_members(members: Members, make: Callable[..., T]) -> T:
    """
    Make a token of its members; others are ignored.

    Args:
        members: What `token_members` returned.

        make: The class of the token.

    Raises:
        StructureError: A member is missing or of the wrong type; no value is quoted.
    """
    return _make(structure(members, _Token), members, make)


def _make(token: _Token, members: Members, make: Callable[..., T]) -> T:
    scope = members.get("scope")
    return make(
        token.access_token,
        token.token_type,
        expires_at=token.expires_at,
        scope=None if scope is None else _parse_scope(scope),
        refresh_token=token.refresh_token,
        id_token=token.id_token,
        issued_at=token.issued_at,
        extra=_parse_extra(members.get("extra")),
    )


def _parse_scope(value: JsonValue) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(str(word) for word in value)
    raise StructureError(("scope must be a list of strings",))


def _parse_extra(value: JsonValue) -> Members:
    if isinstance(value, dict):
        return Members(value)
    raise StructureError(("extra must be an object",))


def _parse(text: HiddenStr, make: Callable[..., T]) -> T:
    if len(text) > _MAX_LENGTH:
        raise JsonError(f"it has {len(text)} characters, and may have {_MAX_LENGTH}")
    if not is_whole(text):
        raise JsonError("it holds a lone surrogate")
    members = parse_json_object(text.encode())
    version = members.get("version")
    if type(version) is not int or version != _VERSION:
        raise StructureError((f"version must be {_VERSION}: another version wrote it",))
    if not _MEMBERS.issuperset(members):
        raise StructureError(("it has a member that a token does not have",))
    token = structure(members, _Token)
    problems = _find_problems(token)
    if problems:
        raise StructureError(problems)
    return _make(token, members, make)


def _find_problems(token: _Token) -> tuple[str, ...]:
    problems = []
    if token.token_type not in _TYPES:
        problems.append(f"token_type must be one of {', '.join(sorted(_TYPES))}")
    for name in ("access_token", "refresh_token", "id_token"):
        given = getattr(token, name)
        if given == "":
            problems.append(f"{name} must not be empty")
        elif given is not None and not is_sendable(given):
            problems.append(f"{name} must hold visible ASCII characters only")
    return tuple(problems)

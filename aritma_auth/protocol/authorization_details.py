"""
Authorization details (RFC 9396): what an API call needs, finer than a scope can say.

The server may answer with less than was asked for, or add members of its own: what was granted is
compared with what was asked for, and never assumed.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from aritma_auth.errors import ConfigurationError, require_instance, wrong_kind
from aritma_auth.protocol.json_parameters import parse_members
from aritma_auth.protocol.parameters import OPTIONAL_TEXT, parse_names, require_text
from aritma_auth.protocol.redaction import JsonValue, Members
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.values import Value

__all__ = [
    "AuthorizationDetail",
    "encode_authorization_details",
    "find_ungranted_details",
    "parse_authorization_details",
    "parse_granted_details",
]

_LISTS = ("actions", "datatypes", "locations", "privileges")
_COMMON = frozenset({*_LISTS, "identifier", "type"})
_REQUIRED = "a list of AuthorizationDetail, or of mappings with a type"


def _parse_actions(value: str | Iterable[str]) -> tuple[str, ...]:
    return parse_names(value, "actions")


def _parse_datatypes(value: str | Iterable[str]) -> tuple[str, ...]:
    return parse_names(value, "datatypes")


def _parse_locations(value: str | Iterable[str]) -> tuple[str, ...]:
    return parse_names(value, "locations")


def _parse_privileges(value: str | Iterable[str]) -> tuple[str, ...]:
    return parse_names(value, "privileges")


def _parse_members(value: Mapping[str, JsonValue] | Members) -> Members:
    members = parse_members(value, "extra")
    wrong = _COMMON.intersection(members.keys())
    if wrong:
        raise ConfigurationError(f"extra must not replace {', '.join(sorted(wrong))}")
    return members


@attrs.frozen(eq=False, repr=False)
class AuthorizationDetail(Value):
    """
    What one kind of API call needs.

    Attributes:
        type: The kind, as the API defines it, such as ``payment_initiation``.

        actions: What may be done.

        datatypes: What it is about.

        identifier: One resource, or None.

        locations: Absolute URIs of the APIs.

        privileges: The level of access.

        extra: Members that only this type has, name to JSON value; never shown.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Spec: RFC 9396 §2.
    """

    type: str = attrs.field(validator=require_text)
    actions: tuple[str, ...] = attrs.field(default=(), converter=_parse_actions, kw_only=True)
    datatypes: tuple[str, ...] = attrs.field(default=(), converter=_parse_datatypes, kw_only=True)
    identifier: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT, kw_only=True)
    locations: tuple[str, ...] = attrs.field(default=(), converter=_parse_locations, kw_only=True)
    privileges: tuple[str, ...] = attrs.field(default=(), converter=_parse_privileges, kw_only=True)
    extra: Members = attrs.field(factory=Members, converter=_parse_members, kw_only=True)

    def to_members(self) -> dict[str, JsonValue]:
        """Return the JSON object that stands for it."""
        lists = {name: list(getattr(self, name)) for name in _LISTS}
        return {
            "type": self.type,
            **{name: items for name, items in lists.items() if items},
            **({} if self.identifier is None else {"identifier": self.identifier}),
            **dict(self.extra.items()),
        }

    @classmethod
    def from_members(cls, members: Mapping[str, JsonValue]) -> "AuthorizationDetail":
        """
        Make a detail of a JSON object.

        Args:
            members: It has a ``type``; what is not common to all types becomes ``extra``.

        Raises:
            ConfigurationError: A member is of the wrong kind.
        """
        if not isinstance(members, Mapping):
            raise wrong_kind("members", "a mapping with a type", members)
        common: dict[str, Any] = {name: members[name] for name in members if name in _COMMON}
        extra = {name: value for name, value in members.items() if name not in _COMMON}
        if "type" not in common:
            raise ConfigurationError("each of authorization_details must have a type")
        return cls(**common, extra=extra)


def parse_authorization_details(
    value: "Iterable[AuthorizationDetail | Mapping[str, JsonValue]]",
) -> tuple[AuthorizationDetail, ...]:
    """
    Parse authorization details as callers write them.

    Args:
        value: Details, or mappings with a ``type``.

    Raises:
        ConfigurationError: It is neither; the message names what is wrong.

    Spec: RFC 9396 §2.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        problem = wrong_kind("authorization_details", _REQUIRED, value)
        del value
        raise problem
    details = []
    for item in value:
        if isinstance(item, AuthorizationDetail):
            details.append(item)
        elif isinstance(item, Mapping):
            details.append(AuthorizationDetail.from_members(item))
        else:
            problem = wrong_kind("authorization_details", _REQUIRED, item)
            del value, item, details
            raise problem
    return tuple(details)


def encode_authorization_details(details: Iterable[AuthorizationDetail]) -> str:
    """
    Encode details as the parameter ``authorization_details``.

    Members are sorted, so that equal details are equal texts: caches and stores compare requests.
    """
    return json.dumps(
        [detail.to_members() for detail in details], separators=(",", ":"), sort_keys=True
    )


def parse_granted_details(token: Token) -> tuple[AuthorizationDetail, ...] | None:
    """
    Parse what a token was granted for.

    Args:
        token: A token, as the token endpoint gave it.

    Returns:
        The details; None if the server named none, or not in a form that can be read.

    Spec: RFC 9396 §7.
    """
    require_instance("token", "a Token", token, Token)
    granted = token.extra.get("authorization_details")
    if not isinstance(granted, list):
        return None
    objects = [item for item in granted if isinstance(item, dict)]
    if len(objects) < len(granted) or not all(map(_has_lists, objects)):
        return None
    try:
        return parse_authorization_details(map(_without_nulls, objects))
    except ConfigurationError:
        # What a server sends is no mistake of the caller.
        return None


def _has_lists(members: Mapping[str, JsonValue]) -> bool:
    # An object is iterable too, by its names: they are no actions.
    return all(isinstance(members.get(name), list | None) for name in _LISTS)


def _without_nulls(members: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    # Some servers write what a detail does not have as null.
    return {n: value for n, value in members.items() if value is not None or n not in _COMMON}


def find_ungranted_details(
    requested: Iterable[AuthorizationDetail], token: Token
) -> tuple[AuthorizationDetail, ...]:
    """
    Find what was asked for and not granted.

    Args:
        requested: What the request asked for.

        token: What it brought.

    Returns:
        The details that no granted one covers: of the same type, with every member that was asked
        for; null and an absent member are the same. A server may add members, such as a consent's
        identifier, and details that this client does not know.

    Spec: RFC 9396 §7, §7.1.
    """
    require_instance("token", "a Token", token, Token)
    listed = token.extra.get("authorization_details")
    granted = listed if isinstance(listed, list) else []
    return tuple(
        detail
        for detail in parse_authorization_details(requested)
        if not any(_covers(given, detail.to_members()) for given in granted)
    )


def _covers(given: JsonValue, wanted: JsonValue) -> bool:
    if isinstance(wanted, dict):
        return isinstance(given, dict) and all(
            _covers(given.get(name), value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(given, list) and all(
            any(_covers(item, each) for item in given) for each in wanted
        )
    # True equals 1 in Python and not in JSON.
    return isinstance(given, bool) is isinstance(wanted, bool) and given == wanted

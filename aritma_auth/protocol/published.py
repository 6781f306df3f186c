"""
A server's metadata and keys as they were fetched, and the JSON that gives them to another process.

The JSON holds an `Environment` without being one: its members are the arguments that make it anew.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.redaction import JsonValue, Members
from aritma_auth.protocol.strict_json import parse_json_object, structure
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.protocol.jwt import JsonWebKey

MAX_KEYS = 100
"""Keys of a set that count: a token without ``kid`` is tried with each that fits."""

_FORMAT = 1


def _as_keys(keys: "Iterable[JsonWebKey] | None") -> "tuple[JsonWebKey, ...] | None":
    return None if keys is None else tuple(keys)[:MAX_KEYS]


@attrs.frozen(eq=False, repr=False)
class Published(Value):
    """
    What a server had published at one moment.

    Attributes:
        fetched_at: POSIX seconds.

        metadata: Its metadata, whole; what of it is believed is decided anew each time it is used.

        keys: Its JSON Web Keys, at most `MAX_KEYS`, or None if it publishes none.

    Spec: RFC 8414 §2; RFC 7517 §5.
    """

    fetched_at: float
    metadata: Members = attrs.field(repr=False)
    keys: "tuple[JsonWebKey, ...] | None" = attrs.field(
        default=None, converter=_as_keys, repr=False
    )

    def as_members(self) -> dict[str, object]:
        """Return it as members for JSON."""
        return {
            "fetched_at": self.fetched_at,
            "metadata": dict(self.metadata.items()),
            "keys": None if self.keys is None else [dict(key) for key in self.keys],
        }


def parse_published(value: JsonValue) -> Published | None:
    """
    Parse what `Published.as_members` returned.

    Args:
        value: The members, or None.

    Raises:
        ValueError: It is something else.
    """
    if value is None:
        return None
    if isinstance(value, dict):
        fetched_at, metadata, keys = map(value.get, ("fetched_at", "metadata", "keys"))
        if (
            isinstance(fetched_at, int | float)
            and not isinstance(fetched_at, bool)
            and 0 <= fetched_at <= sys.float_info.max
            and isinstance(metadata, dict)
            and isinstance(keys, list | None)
        ):
            known = None if keys is None else tuple(key for key in keys if isinstance(key, dict))
            return Published(float(fetched_at), Members(metadata), known)
    raise ValueError("published must have fetched_at, metadata and keys")


@attrs.frozen(kw_only=True)
class _Exported:
    """The members of an environment, but for what the server has published."""

    format: int
    issuer: str
    name: str
    discovers: bool
    tenant: str | None = None
    issuer_aliases: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    api_origins: tuple[str, ...] = ()
    endpoint_origins: tuple[str, ...] = ()
    endpoints: dict[str, str] = attrs.field(factory=dict)


def dump_environment(members: Mapping[str, object], published: Published | None) -> str:
    """
    Write an environment as JSON.

    Args:
        members: The arguments that make it anew, but for what is published.

        published: What the server has published, if it is known.
    """
    known = None if published is None else published.as_members()
    return json.dumps({"format": _FORMAT, **members, "published": known})


def parse_environment(text: str) -> tuple[dict[str, Any], Published | None]:
    """
    Parse what `dump_environment` wrote.

    Args:
        text: The JSON text.

    Raises:
        ConfigurationError: It is no environment of this version: discover it anew.
    """
    if not isinstance(text, str):
        raise wrong_kind("text", "what Environment.to_json gave", text)
    try:
        members = parse_json_object(text.encode("utf-8", "replace"))
        known = structure(members, _Exported)
        published = parse_published(members.get("published"))
    except ValueError as error:
        problem = str(error)
    else:
        if known.format == _FORMAT:
            return attrs.asdict(known, filter=lambda field, _: field.name != "format"), published
        problem = f"its format is {known.format!r:.20}, not {_FORMAT}"
    raise ConfigurationError(
        f"text must be what Environment.to_json of this version gave ({problem}): discover it anew"
    )

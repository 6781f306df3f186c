"""The parent of all events."""

import logging
from collections.abc import Callable
from typing import ClassVar, TypeVar

import attrs

from aritma_auth.errors import AritmaAuthError, printable
from aritma_auth.runtime.values import Value

_PLAIN = (str, int, float)

_TEXT_LIMIT = 1000
"""Characters of a log line at most: parts of it come from other parties."""


@attrs.frozen(eq=False, repr=False)
class Event(Value):
    """
    The parent of all events; none holds a secret.

    What is unknown is empty: an event of a middleware over several providers has no client.

    Attributes:
        issuer: The authorization server, tenant path included.

        client_id: The client's identifier.

        tenant: The tenant of the environment.

        key: The provider's key in its pool, as the pool's ``label`` shows it.

        grant: The grant type that the provider was made with.

        scope: The scope that the grant asks for.

        fingerprint: Eight hex digits that tell tokens apart.
    """

    _LEVEL: ClassVar[int] = logging.DEBUG

    issuer: str = attrs.field(default="", kw_only=True)
    client_id: str = attrs.field(default="", kw_only=True)
    tenant: str = attrs.field(default="", kw_only=True)
    key: str = attrs.field(default="", kw_only=True)
    grant: str = attrs.field(default="", kw_only=True)
    scope: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    fingerprint: str = attrs.field(default="", kw_only=True)

    @property
    def level(self) -> int:
        """The level at which `log_event` logs it."""
        return self._LEVEL

    def _text(self) -> str:
        """Say what happened, without whose token it is."""
        own = [field.name for field in attrs.fields(type(self)) if field.name not in _ABOUT]
        said = ", ".join(f"{name}={getattr(self, name)}" for name in own)
        return f"{type(self).__name__}: {said}" if said else type(self).__name__

    def as_dict(self) -> dict[str, str | int | float | bool]:
        """
        Return the event for machines: its name as ``event``, and each field that is not empty.

        A scope is one text, and an error is its text, with ``error_type`` and ``is_permanent``.
        """
        found: dict[str, str | int | float | bool] = {"event": type(self).__name__}
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if isinstance(value, AritmaAuthError):
                found["error_type"] = type(value).__name__
                found["is_permanent"] = value.is_permanent
                value = str(value)
            elif isinstance(value, tuple):
                value = " ".join(value)
            if value is not None and value != "":
                found[field.name] = value if isinstance(value, _PLAIN) else str(value)
        return found

    def __str__(self) -> str:
        marks = {
            "key": "" if self.key == self.tenant else self.key,
            "tenant": self.tenant,
            "client": self.client_id,
            "issuer": self.issuer,
            "grant": self.grant,
            "scope": " ".join(self.scope),
            "token": self.fingerprint,
        }
        about = " ".join(f"{name}={value}" for name, value in marks.items() if value)
        return printable(f"{self._text()} [{about}]" if about else self._text(), _TEXT_LIMIT)


E = TypeVar("E", bound=Event)

Listener = Callable[[Event], None]

_ABOUT = frozenset(field.name for field in attrs.fields(Event))


def told(error: AritmaAuthError) -> str:
    """Say an error in a line: its class and its text."""
    return f"{type(error).__name__}: {error}"

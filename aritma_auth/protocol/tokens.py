"""The token as a value that shows none of its secrets."""

from collections.abc import Iterable
from typing import NoReturn

import attrs

from aritma_auth.errors import wrong_kind
from aritma_auth.protocol.parameters import Scope
from aritma_auth.protocol.redaction import (
    HiddenStr,
    Members,
    SecretText,
    as_optional_secret,
    as_secret,
    mask_hidden,
)
from aritma_auth.runtime.values import Value

_NONE = Members()


def _or_none(members: Members) -> Members:
    # One object for all tokens without extra members: a pool holds thousands.
    return members if len(members) else _NONE


def _require_text(_token: object, field: "attrs.Attribute[SecretText]", value: object) -> None:
    # An empty text is left to the parser of responses, which names the server's fault.
    if not isinstance(value, SecretText):
        problem = wrong_kind(field.name.lstrip("_"), "a string", value)
        del value
        raise problem


def _require_time(_token: object, field: "attrs.Attribute[float]", value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_kind(field.name, "POSIX seconds", value)


def _as_scope(value: str | Iterable[str] | None) -> Scope | None:
    if value is None or isinstance(value, tuple):
        return value
    return tuple(value.split() if isinstance(value, str) else value)


_OPTIONAL_TEXT = attrs.validators.optional(_require_text)


class _Signed(Value):
    # Not an attrs field, which asdict would reveal; not a property, since each request reads it.
    __slots__ = ("authorization",)

    authorization: HiddenStr


@attrs.frozen(repr=False, weakref_slot=False, eq=False)
class Token(_Signed):
    """
    An access token and what came with it.

    Neither ``repr``, ``str``, ``attrs.asdict`` nor pickling reveals its secrets; the properties
    ``access_token``, ``refresh_token`` and ``id_token`` do.

    Attributes:
        token_type: ``Bearer``, whatever its case was on the wire.

        expires_at: POSIX seconds, or None if the server did not say.

        scope: What was granted, or None if the server left it out, which means as requested.

        issued_at: POSIX seconds when the request left, from which ``expires_at`` counts.

        extra: JSON members the specification does not define.

        authorization: The value of the ``Authorization`` header (RFC 6750 §2.1).

    Spec: RFC 6749 §5.1; https://developer.aritma.com (Authentication, Access Token).
    """

    _access_token: SecretText = attrs.field(
        converter=as_secret, validator=_require_text, alias="access_token"
    )
    token_type: str = "Bearer"
    expires_at: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(_require_time)
    )
    scope: Scope | None = attrs.field(default=None, converter=_as_scope)
    _refresh_token: SecretText | None = attrs.field(
        default=None,
        converter=as_optional_secret,
        validator=_OPTIONAL_TEXT,
        alias="refresh_token",
    )
    _id_token: SecretText | None = attrs.field(
        default=None,
        converter=as_optional_secret,
        validator=_OPTIONAL_TEXT,
        alias="id_token",
    )
    issued_at: float = attrs.field(default=0.0, validator=_require_time)
    extra: Members = attrs.field(default=_NONE, converter=_or_none)

    def __attrs_post_init__(self) -> None:
        header = HiddenStr(f"{self.token_type} {self._access_token.text}")
        object.__setattr__(self, "authorization", header)

    @property
    def access_token(self) -> str:
        """The token's text, opaque to a client."""
        return self._access_token.text

    @property
    def refresh_token(self) -> str | None:
        """The refresh token's text, if one came."""
        return None if self._refresh_token is None else self._refresh_token.text

    @property
    def id_token(self) -> str | None:
        """The ID token's text, if one came."""
        return None if self._id_token is None else self._id_token.text

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell tokens apart in logs and reveal nothing."""
        return self._access_token.fingerprint

    def __repr__(self) -> str:
        also = "".join(
            f" +{name}"
            for name, value in (
                ("refresh_token", self._refresh_token),
                ("id_token", self._id_token),
            )
            if value is not None
        )
        scope = None if self.scope is None else " ".join(map(mask_hidden, self.scope))
        return (
            f"<Token {self.fingerprint}{also} {self.token_type} scope={scope!r} "
            f"expires_at={self.expires_at}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Token is not pickled: keep it in a TokenStore")

"""The token as a value that shows none of its secrets."""

from collections.abc import Iterable, Mapping
from typing import NoReturn, Self

import attrs

from aritma_auth.errors import require_instance, wrong_kind
from aritma_auth.protocol.parameters import OPTIONAL_TIME, Scope, require_time, split_words
from aritma_auth.protocol.redaction import (
    HiddenStr,
    JsonValue,
    Members,
    SecretText,
    as_optional_secret,
    as_secret,
    mask_hidden,
)
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value

_NONE = Members()


def _as_members(members: Members | Mapping[str, JsonValue]) -> Members:
    if not isinstance(members, Members):
        if not isinstance(members, Mapping):
            problem = wrong_kind("extra", "a mapping of member names to values", members)
            # A traceback with local variables would show the value.
            del members
            raise problem
        members = Members(members)
    # One object for all tokens without extra members: a pool holds thousands.
    return members if len(members) else _NONE


def _require_text(_token: object, field: "attrs.Attribute[SecretText]", value: object) -> None:
    # An empty text is left to the parser of responses, which names the server's fault.
    if not isinstance(value, SecretText):
        problem = wrong_kind(field.name.lstrip("_"), "a string", value)
        del value
        raise problem


def _require_type(_token: object, field: "attrs.Attribute[str]", value: object) -> None:
    require_instance(field.name, "a string, such as Bearer", value, str)


def _as_scope(value: str | Iterable[str] | None) -> Scope | None:
    if value is None:
        return None
    words = value if isinstance(value, tuple) else split_words(value, "scope")
    for word in words:
        if not isinstance(word, str):
            raise wrong_kind("each word of scope", "a string", word)
    return words


_OPTIONAL_TEXT = attrs.validators.optional(_require_text)


class _Signed(Value):
    # Not an attrs field, which asdict would reveal; not a property, since each request reads it.
    __slots__ = ("authorization",)

    authorization: HiddenStr


@with_hidden_arguments
@attrs.frozen(repr=False, weakref_slot=False, eq=False)
class Token(_Signed):
    """
    An access token and what came with it.

    Neither ``repr``, ``str``, ``attrs.asdict`` nor pickling reveals its secrets; the properties
    ``access_token``, ``refresh_token`` and ``id_token`` do, and so does ``to_json``.

    Attributes:
        token_type: ``Bearer``, whatever its case was on the wire.

        expires_at: POSIX seconds, or None if the server did not say.

        scope: What was granted, or None if the server left it out, which means as requested.

        issued_at: POSIX seconds when the request left, from which ``expires_at`` counts.

        extra: JSON members the specification does not define.

        authorization: The value of the ``Authorization`` header (RFC 6750 §2.1); empty for what is
            no access token.

    Spec: RFC 6749 §5.1; https://developer.aritma.com (Authentication, Access Token).
    """

    _access_token: SecretText = attrs.field(
        converter=as_secret, validator=_require_text, alias="access_token"
    )
    token_type: str = attrs.field(default="Bearer", validator=_require_type)
    expires_at: float | None = attrs.field(default=None, validator=OPTIONAL_TIME)
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
    issued_at: float = attrs.field(default=0.0, validator=require_time)
    extra: Members = attrs.field(default=_NONE, converter=_as_members)

    def __attrs_post_init__(self) -> None:
        # What is no access token goes into no header (RFC 8693 §2.2.1).
        is_for_apis = self.token_type != "N_A"
        header = HiddenStr(f"{self.token_type} {self._access_token.text}" if is_for_apis else "")
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

    def to_json(self) -> str:
        """
        Return the whole token as a JSON text, for an application that keeps it itself.

        The text holds the secrets in clear, whatever its ``repr`` shows: encrypt it where you keep
        it.
        """
        from aritma_auth.protocol.kept_tokens import dump_token  # few keep it themselves

        return dump_token(token_members(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Return the token that ``to_json`` wrote.

        Args:
            text: The text, unchanged.

        Raises:
            ConfigurationError: ``text`` is no string.

            StoreError: The text holds no token: it was cut short, changed, or written by another
                version. The message quotes nothing of it.
        """
        # A traceback with local variables would show the text.
        if not isinstance(text, str):
            problem = wrong_kind("text", "a string that Token.to_json returned", text)
            del text
            raise problem
        text = HiddenStr(text)
        from aritma_auth.protocol.kept_tokens import parse_token_text

        return parse_token_text(text, cls)

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

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Token is not pickled: keep it in a TokenStore, or the text of to_json()")


def find_unsendable(token: Token) -> str | None:
    """
    Return the name of a text that no request can carry, such as one with a line break; or None.

    Args:
        token: A token that a caller has made. What a server sends is looked at by its parser.
    """
    texts = {
        "access_token": token.access_token,
        "token_type": token.token_type,
        # Some callers have an empty text for "none".
        "refresh_token": token.refresh_token or "none",
        "id_token": token.id_token or "none",
    }
    for name, text in texts.items():
        if not text or not text.isascii() or not text.isprintable():
            return name
    return None


def token_members(token: Token) -> dict[str, JsonValue]:
    """
    Return a token as JSON members, in clear.

    Args:
        token: The token.
    """
    return {
        "access_token": token.access_token,
        "token_type": token.token_type,
        "issued_at": token.issued_at,
        "expires_at": token.expires_at,
        "refresh_token": token.refresh_token,
        "id_token": token.id_token,
        "scope": None if token.scope is None else list(token.scope),
        "extra": dict(token.extra.items()),
    }

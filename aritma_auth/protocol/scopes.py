"""Scope: a tuple of strings for us, one space-separated string on the wire."""

from collections.abc import Iterable

from aritma_auth.errors import ConfigurationError

Scope = tuple[str, ...]

SCOPE_LIMIT = 300
"""Characters of a whole scope parameter that IdentityServer accepts (InputLengthRestrictions)."""

IDENTITY_SCOPES = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})


def make_scope(scope: str | Iterable[str] | None) -> Scope | None:
    """
    Read a scope as a caller writes it.

    Args:
        scope: Space-separated text, an iterable of scope tokens, or None for "send no scope",
            which IdentityServer answers with every API scope of the client.

    Returns:
        The scope tokens in their order, each once.

    Raises:
        ConfigurationError: A token holds a space, a quote, a backslash, or is not visible ASCII;
            or the whole is longer than IdentityServer accepts.

    Spec: RFC 6749 §3.3.
    """
    if scope is None:
        return None
    tokens = tuple(dict.fromkeys(scope.split() if isinstance(scope, str) else scope))
    if not all(map(is_scope_token, tokens)):
        raise ConfigurationError(
            "scope must be a space-separated string or an iterable of scope tokens (RFC 6749 §3.3)"
        )
    if len(" ".join(tokens)) > SCOPE_LIMIT:
        raise ConfigurationError(f"scope is longer than {SCOPE_LIMIT} characters: ask for less")
    return tokens


def is_scope_token(token: object) -> bool:
    """Tell whether a value can stand in a scope (RFC 6749 §3.3)."""
    return (
        isinstance(token, str)
        and token != ""
        and all("!" <= char <= "~" and char not in '"\\' for char in token)
    )

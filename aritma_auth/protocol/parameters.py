"""Scope: a tuple of strings for us, one space-separated string on the wire."""

from collections.abc import Iterable

from yarl import URL

from aritma_auth.errors import ConfigurationError

_PROMPTS = frozenset({"consent", "create", "login", "none", "select_account"})


def parse_words(value: str | Iterable[str]) -> tuple[str, ...]:
    """
    Read a list of words as a caller writes it.

    Args:
        value: Words with spaces between them, or an iterable of words.

    Returns:
        The words in their order, each once.

    Raises:
        ConfigurationError: One is empty, or holds a space or what does not print.
    """
    words = tuple(dict.fromkeys(value.split() if isinstance(value, str) else value))
    if not all(map(is_word, words)):
        raise ConfigurationError("prompt, acr_values and ui_locales are lists of single words")
    return words


def is_word(value: object) -> bool:
    """Tell whether a value can stand in such a list."""
    return isinstance(value, str) and bool(value) and value.isprintable() and " " not in value


def parse_prompts(value: str | Iterable[str]) -> tuple[str, ...]:
    """
    Read ``prompt`` as a caller writes it.

    Args:
        value: ``none``, or some of ``login``, ``consent``, ``select_account`` and ``create``.

    Raises:
        ConfigurationError: Another word (IdentityServer 7 refuses it), or ``none`` beside others.

    Spec: OpenID Connect Core 1.0 §3.1.2.1; Initiating User Registration 1.0 §4.
    """
    prompts = parse_words(value)
    if not _PROMPTS.issuperset(prompts) or ("none" in prompts and len(prompts) > 1):
        raise ConfigurationError(f"prompt is none alone, or some of {', '.join(sorted(_PROMPTS))}")
    return prompts


Scope = tuple[str, ...]

SCOPE_LIMIT = 300
"""Characters of a whole scope parameter that IdentityServer accepts (InputLengthRestrictions)."""

IDENTITY_SCOPES = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})


def parse_scope(scope: str | Iterable[str] | None) -> Scope | None:
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


def build_acr_values(
    *others: str,
    mfa: bool = False,
    verify: bool = False,
    idp: str | None = None,
    tenant: str | None = None,
) -> tuple[str, ...]:
    """
    Say how a person should sign in, in Aritma's words.

    Args:
        others: Further values, as they are.

        mfa: A fresh second factor.

        verify: Verification anew with BankID, for calls that an API refused with that reason.

        idp: Scheme of the identity provider to go to at once.

        tenant: Name of the tenant.

    Raises:
        ConfigurationError: A value is empty or holds a space.

    Source: Aritma ID's page on acr_values; IdentityServer's authorize endpoint.
    """
    if idp == "" or tenant == "":
        raise ConfigurationError("idp and tenant are names, or None")
    named = (("idp", idp), ("tenant", tenant))
    return parse_words(
        (
            *(("mfa",) if mfa else ()),
            *(("verify",) if verify else ()),
            *(f"{name}:{value}" for name, value in named if value is not None),
            *others,
        )
    )


def parse_resources(value: str | Iterable[str]) -> tuple[str, ...]:
    """
    Read the resources that a caller names.

    Args:
        value: One URI, or several.

    Raises:
        ConfigurationError: One is not absolute, or carries a fragment.

    Spec: RFC 8707 §2.
    """
    resources = (value,) if isinstance(value, str) else tuple(value)
    if not all(map(_is_resource, resources)):
        raise ConfigurationError("resource must be an absolute URI without fragment (RFC 8707)")
    return resources


def _is_resource(resource: str) -> bool:
    try:
        return bool(URL(resource).scheme) and "#" not in resource
    except ValueError:
        return False


def narrow_resources(resources: tuple[str, ...]) -> tuple[str, ...]:
    """
    Give what the token endpoint is told of the resources that a person has agreed to.

    Unless one is named again, some servers give a token for UserInfo alone. Of several none is
    named: a token is for one of them or for all, and IdentityServer refuses more than one.

    Args:
        resources: What the sign-in asked for.

    Spec: RFC 8707 §2.2.
    """
    return resources if len(resources) == 1 else ()

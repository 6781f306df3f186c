"""
Request parameters as callers write them: scope, prompt, acr_values, ui_locales, resource, extra.

A list is a tuple of strings here and one space-separated string on the wire. Everything is checked
when a request is made, so a mistake is an error of the caller and not of the server.
"""

import sys
from collections.abc import Iterable, Mapping

import attrs
from yarl import URL

from aritma_auth.errors import (
    ConfigurationError,
    require_flag,
    require_instance,
    require_seconds,
    wrong_kind,
)
from aritma_auth.protocol.redaction import SecretParameters

Scope = tuple[str, ...]

IDENTITY_SCOPES = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})

SCOPE_LIMIT = 4096
"""Characters of a whole scope parameter: more would not fit into the address of a sign-in."""

IDENTITYSERVER_SCOPE_LIMIT = 300
"""Characters of it that IdentityServer accepts (InputLengthRestrictions); other servers more."""

_PROMPTS = frozenset({"consent", "create", "login", "none", "select_account"})


def split_words(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    """
    Split a text at its spaces, or collect an iterable, and leave out what comes twice.

    Args:
        value: The text or the iterable, whose items are not looked at.

        name: The argument, for the error.

    Raises:
        ConfigurationError: It is neither.
    """
    if isinstance(value, str):
        return tuple(dict.fromkeys(value.split()))
    items: tuple[str, ...] | None
    try:
        items = tuple(dict.fromkeys(value))
    except TypeError:
        items = None
    # A mapping would count by its names, and a dictionary is never meant.
    if items is None or isinstance(value, bytes | bytearray | Mapping):
        raise wrong_kind(name, "a string or an iterable of strings", value)
    return items


def parse_scope(scope: str | Iterable[str] | None) -> Scope | None:
    """
    Parse a scope.

    Args:
        scope: Space-separated text, an iterable of scope tokens, or None for "send no scope", to
            which IdentityServer grants every API scope of the client.

    Returns:
        The scope tokens in their order, each once.

    Raises:
        ConfigurationError: A token holds a space, a quote, a backslash, or is not visible ASCII;
            or the whole is longer than any server accepts.

    Spec: RFC 6749 §3.3.
    """
    if scope is None:
        return None
    tokens = split_words(scope, "scope")
    wrong = [token for token in tokens if not is_scope_token(token)]
    if wrong:
        raise ConfigurationError(
            "scope must be a space-separated string or an iterable of scope tokens, each of "
            f"visible ASCII without quotes and backslashes (RFC 6749 §3.3), not {wrong[0]!r:.60}"
        )
    length = len(" ".join(tokens))
    if length > SCOPE_LIMIT:
        raise ConfigurationError(
            f"scope must have at most {SCOPE_LIMIT} characters, not {length}: ask for less"
        )
    return tokens


def is_scope_token(token: object) -> bool:
    """Tell whether a value is a scope token (RFC 6749 §3.3)."""
    return (
        isinstance(token, str)
        and token != ""
        and all("!" <= char <= "~" and char not in '"\\' for char in token)
    )


def parse_words(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    """
    Parse a list of words.

    Args:
        value: Words with spaces between them, or an iterable of words.

        name: The parameter, for the error.

    Returns:
        The words in their order, each once.

    Raises:
        ConfigurationError: A word is empty, or holds a space or a character that does not print.
    """
    words = split_words(value, name)
    wrong = [word for word in words if not is_word(word)]
    if wrong:
        raise ConfigurationError(f"{name} must be a list of single words, not {wrong[0]!r:.60}")
    return words


def is_word(value: object) -> bool:
    """Tell whether a value can be one word of a list."""
    return isinstance(value, str) and bool(value) and value.isprintable() and " " not in value


def parse_prompt(value: str | Iterable[str]) -> tuple[str, ...]:
    """
    Parse ``prompt``.

    Args:
        value: ``none``, or some of ``login``, ``consent``, ``select_account`` and ``create``.

    Raises:
        ConfigurationError: It has another word, which IdentityServer 7 refuses, or ``none`` beside
            others.

    Spec: OpenID Connect Core 1.0 §3.1.2.1; Initiating User Registration 1.0 §4.
    """
    prompt = parse_words(value, "prompt")
    if not _PROMPTS.issuperset(prompt) or ("none" in prompt and len(prompt) > 1):
        raise ConfigurationError(
            f"prompt must be none alone, or some of {', '.join(sorted(_PROMPTS - {'none'}))}, "
            f"not {' '.join(prompt)!r:.60}"
        )
    return prompt


def build_acr_values(
    *others: str,
    mfa: bool = False,
    verify: bool = False,
    idp: str | None = None,
    tenant: str | None = None,
) -> tuple[str, ...]:
    """
    Build ``acr_values`` as Aritma ID understands them: how the end-user is to sign in.

    Args:
        others: Further values, as they are.

        mfa: A fresh second factor.

        verify: A new verification with BankID, for calls that an API refused with that reason.

        idp: Scheme of the identity provider to go to at once.

        tenant: Name of the tenant.

    Raises:
        ConfigurationError: A value is empty or holds a space.

    Source: Aritma ID's page on acr_values; IdentityServer's authorize endpoint.
    """
    require_flag("mfa", mfa)
    require_flag("verify", verify)
    named = (("idp", idp), ("tenant", tenant))
    for name, value in named:
        if value is not None and not _is_name(value):
            raise ConfigurationError(
                f"{name} must be a name that is not empty, or None, not {value!r:.60}"
            )
    return parse_words(
        (
            *(("mfa",) if mfa else ()),
            *(("verify",) if verify else ()),
            *(f"{name}:{value}" for name, value in named if value is not None),
            *others,
        ),
        "acr_values",
    )


def parse_resource(value: str | Iterable[str]) -> tuple[str, ...]:
    """
    Parse the resources that a token is for.

    Args:
        value: One URI, or several.

    Raises:
        ConfigurationError: One is not absolute, or has a fragment.

    Spec: RFC 8707 §2.
    """
    resource = (value,) if isinstance(value, str) else split_words(value, "resource")
    wrong = [uri for uri in resource if not _is_resource(uri)]
    if wrong:
        raise ConfigurationError(
            "resource must be an absolute URI without a fragment (RFC 8707 §2), not "
            f"{wrong[0]!r:.100}"
        )
    return resource


def _is_resource(resource: object) -> bool:
    try:
        return isinstance(resource, str) and bool(URL(resource).scheme) and "#" not in resource
    except ValueError:
        return False


def parse_names(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    """
    Parse one name, or several; a name may hold any character.

    Args:
        value: The name, or an iterable of names.

        name: The argument, for the error.

    Raises:
        ConfigurationError: One is empty or no string.
    """
    names = (value,) if isinstance(value, str) else split_words(value, name)
    if not all(map(_is_name, names)):
        raise ConfigurationError(f"{name} must be names that are not empty, each of them a string")
    return names


def parse_texts(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    """
    Parse one text, or several, whatever they hold.

    Args:
        value: The text, or an iterable of texts.

        name: The argument, for the error.

    Raises:
        ConfigurationError: One is no text.
    """
    texts = (value,) if isinstance(value, str) else split_words(value, name)
    for text in texts:
        require_instance(f"each of {name}", "a string", text, str)
    return texts


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def narrow_resources(resource: tuple[str, ...]) -> tuple[str, ...]:
    """
    Choose what the token request names of the resources that the end-user has agreed to.

    One is named again, because some servers otherwise give a token for UserInfo alone. Of several
    none is named: a token is for one of them or for all, and IdentityServer refuses more than one.

    Args:
        resource: What the authorization request named.

    Spec: RFC 8707 §2.2.
    """
    return resource if len(resource) == 1 else ()


def parse_extra(
    extra: Mapping[str, str] | SecretParameters,
    *,
    reserved: Iterable[str],
    name: str = "extra",
) -> SecretParameters:
    """
    Parse further parameters of a server.

    Args:
        extra: Name to value.

        reserved: Names that have an argument of their own, or that callers must not set.

        name: The argument, for the error.

    Raises:
        ConfigurationError: A parameter is reserved, or its name or value is not a string.

    Spec: RFC 6749 §3.1, §3.2 (no parameter twice).
    """
    parameters: dict[str, str] | None
    try:
        parameters = dict(extra)
    except (TypeError, ValueError):
        parameters = None
    if parameters is None:
        problem = wrong_kind(name, "a mapping of parameter names to strings", extra)
        del extra
        raise problem
    wrong = parameters.keys() & set(reserved)
    if wrong:
        raise ConfigurationError(
            f"{name} must not replace {', '.join(sorted(wrong))}: the request sets it itself"
        )
    for key, value in parameters.items():
        if not all(isinstance(text, str) for text in (key, value)):
            problem = wrong_kind(f"{name}[{key!r:.40}]", "a string, and its name too", value)
            del extra, parameters, value
            raise problem
    return SecretParameters(parameters.items())


def require_text(_value: object, field: "attrs.Attribute[str]", value: object) -> None:
    """Require an attribute to be a text that is not empty; a validator for attrs."""
    if not isinstance(value, str):
        raise wrong_kind(field.name, "a string", value)
    if not value:
        raise ConfigurationError(f"{field.name} must not be empty")


def require_time(_value: object, field: "attrs.Attribute[float]", value: object) -> None:
    """Require an attribute to be POSIX seconds; a validator for attrs."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_kind(field.name, "POSIX seconds", value)
    # Compared, not converted: an int may be larger than any float; and nan compares to nothing.
    if not abs(value) <= sys.float_info.max:
        raise ConfigurationError(f"{field.name} must be POSIX seconds, not {value!r:.40}")


def require_bool(_value: object, field: "attrs.Attribute[bool]", value: object) -> None:
    """Require an attribute to be True or False; a validator for attrs."""
    require_flag(field.name, value)


def require_duration(_value: object, field: "attrs.Attribute[float]", value: object) -> None:
    """Require an attribute to be a number of seconds, 0 or more; a validator for attrs."""
    require_seconds(field.name, value)


def require_lifetime(_value: object, field: "attrs.Attribute[int]", value: object) -> None:
    """Require an attribute to be a number of seconds, more than 0; a validator for attrs."""
    require_seconds(field.name, value, above_zero=True)


OPTIONAL_TEXT = attrs.validators.optional(require_text)
OPTIONAL_TIME = attrs.validators.optional(require_time)

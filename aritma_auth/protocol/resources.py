"""Resource indicators: the APIs that a token is for, by their URIs."""

from collections.abc import Iterable

from yarl import URL

from aritma_auth.errors import ConfigurationError


def make_resources(value: str | Iterable[str]) -> tuple[str, ...]:
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

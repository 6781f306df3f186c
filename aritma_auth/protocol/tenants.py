"""
Tenants: the issuers of many that are one template, and the claim ``tid`` where they share one.

A multi-tenant server publishes one document for all of its tenants, whose issuer has a placeholder:
``https://login.example/{tenantid}/v2.0``. A token names its own issuer, with the tenant in it, and
the tenant in ``tid``: the two must agree. Where tenants share one issuer, ``tid`` alone tells them
apart.

Source: Microsoft identity platform, "Validate the issuer"; Aritma ID's reference of tenants.
"""

from collections.abc import Iterable, Mapping

from aritma_auth.errors import ConfigurationError, VerificationError, printable, require_instance
from aritma_auth.protocol.redaction import JsonValue, Members

TENANT_CLAIM = "tid"
_PLACEHOLDER = "{tenantid}"


def is_tenant(text: object) -> bool:
    """Tell whether a text may stand for a tenant in a path: one segment that changes no other."""
    return (
        isinstance(text, str)
        and text not in {"", ".", ".."}
        and all(char.isascii() and (char.isalnum() or char in "-._~") for char in text)
    )


def is_template_for(template: str, issuers: Iterable[str]) -> bool:
    """
    Tell whether an issuer is the template of others: equal but for one segment of the path.

    Args:
        template: The issuer that a document names.

        issuers: The issuers that were asked.
    """
    before, placeholder, after = template.partition(f"/{_PLACEHOLDER}")
    return bool(placeholder) and any(
        issuer.startswith(f"{before}/")
        and issuer.endswith(after)
        and is_tenant(issuer[len(before) + 1 : len(issuer) - len(after)])
        for issuer in issuers
    )


def is_issuer_of(issuer: object, issuers: Iterable[str], tenant: JsonValue) -> bool:
    """
    Tell whether a token's issuer is one of these, or one of their templates filled in.

    Args:
        issuer: What the token names.

        issuers: Issuers, compared exactly, and templates.

        tenant: The token's claim ``tid``, which fills a template.
    """
    if not isinstance(issuer, str) or _PLACEHOLDER in issuer:
        return False
    return any(
        issuer == (known.replace(_PLACEHOLDER, str(tenant)) if is_tenant(tenant) else known)
        for known in issuers
    )


def is_possible_issuer(issuer: str, issuers: Iterable[str]) -> bool:
    """
    Tell whether an issuer that names no tenant beside it may be one of these.

    Args:
        issuer: What an authorization response names.

        issuers: Issuers, compared exactly, and templates.
    """
    return _PLACEHOLDER not in issuer and any(
        issuer == known or is_template_for(known, (issuer,)) for known in issuers
    )


def find_tenant_problem(
    claims: Members | Mapping[str, JsonValue], tenants: frozenset[str]
) -> str | None:
    """
    Return why claims are of none of these tenants, or None if they are of one.

    Args:
        claims: The claims.

        tenants: Tenants to accept; none means any, and no tenant at all.
    """
    named = claims.get(TENANT_CLAIM)
    if not tenants or (isinstance(named, str) and named in tenants):
        return None
    found = repr(printable(named, 100)) if isinstance(named, str) else "none"
    return f"tid must be {' or '.join(sorted(tenants))}, not {found}"


def validate_tenant(claims: Members | Mapping[str, JsonValue], tenant: str) -> None:
    """
    Validate that verified claims, or an event, are of one tenant: by their member ``tid``.

    Args:
        claims: The members.

        tenant: The tenant, as Aritma gave it.

    Raises:
        VerificationError: They are of another tenant, or of none.

        ConfigurationError: An argument is of the wrong kind.

    Source: reference of Aritma ID (tenants); Aritma's page on events.
    """
    require_instance("claims", "a mapping of claims", claims, (Members, Mapping))
    if not is_tenant(tenant):
        raise ConfigurationError(f"tenant must be a tenant, as Aritma gave it, not {tenant!r:.60}")
    problem = find_tenant_problem(claims, frozenset({tenant}))
    if problem is not None:
        raise VerificationError(f"{problem}: it is another tenant's")

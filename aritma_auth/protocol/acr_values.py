"""How strongly a person should sign in, in Aritma's words."""

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.words import make_words


def make_acr_values(
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
    return make_words(
        (
            *(("mfa",) if mfa else ()),
            *(("verify",) if verify else ()),
            *(f"{name}:{value}" for name, value in named if value is not None),
            *others,
        )
    )

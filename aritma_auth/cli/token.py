"""The command that prints a token."""

import json

from aritma_auth.cli.stored_sign_in import open_session, open_sign_in
from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.provider.provider import TokenProvider


async def token(*, person: str | None = None, header: bool = False, inspect: bool = False) -> int:
    """
    Print an access token for the client in ARITMA_CLIENT_ID and ARITMA_CLIENT_SECRET.

    Also read: ARITMA_CLIENT_SECRET_FILE, ARITMA_ENVIRONMENT (production, development or a URL),
    ARITMA_TENANT, ARITMA_SCOPE.

    Parameters
    ----------
    person:
        Print the token of a sign-in of aritma-auth login instead, refreshed if need be.
    header:
        Print the whole Authorization header instead.
    inspect:
        Print what the token says instead, unverified.
    """
    if header and inspect:
        raise ConfigurationError("--header and --inspect cannot be had together")
    if person is None:
        async with (
            open_session() as session,
            TokenProvider.from_env(session=session, on_event=None) as tokens,
        ):
            fresh = await tokens.get_token()
    else:
        async with open_sign_in(person) as signed_in:
            fresh = await signed_in.tokens.get_token()
    if inspect:
        claims = parse_unverified_claims(fresh.access_token)
        text = "the token is opaque" if claims is None else json.dumps(dict(claims), indent=2)
        print(text)  # noqa: T201 - what was asked for
    elif header:
        print(f"Authorization: {fresh.authorization}")  # noqa: T201 - what was asked for
    else:
        print(fresh.access_token)  # noqa: T201 - what was asked for
    return 0

"""``aritma-auth token``: an access token for scripts."""

from aritma_auth.cli.stored_sign_in import open_session, open_sign_in
from aritma_auth.cli.terminal import show, show_json
from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.provider.provider import TokenProvider


async def show_token(
    *, end_user: str | None = None, header: bool = False, inspect: bool = False
) -> int:
    """
    Print an access token for the client in ARITMA_CLIENT_ID and ARITMA_CLIENT_SECRET.

    Also read: ARITMA_CLIENT_SECRET_FILE, ARITMA_ENVIRONMENT (production, development or a URL),
    ARITMA_TENANT, ARITMA_SCOPE.

    Parameters
    ----------
    end_user:
        Print the token of this sign-in of aritma-auth login instead, refreshed if need be.
    header:
        Print the whole Authorization header instead.
    inspect:
        Print the token's claims instead, unverified.
    """
    if header and inspect:
        raise ConfigurationError("--header and --inspect exclude each other: give one of them")
    if end_user is None:
        async with (
            open_session() as session,
            TokenProvider.from_env(session=session, on_event=None) as tokens,
        ):
            token = await tokens.get_token()
    else:
        async with open_sign_in(end_user) as signed_in:
            token = await signed_in.tokens.get_token()
    if not inspect:
        show(f"Authorization: {token.authorization}" if header else token.access_token)
    elif (claims := parse_unverified_claims(token.access_token)) is None:
        show("the token is opaque")
    else:
        show_json(claims)
    return 0

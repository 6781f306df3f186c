"""``aritma-auth token``: an access token for scripts."""

from aritma_auth.cli.exit_codes import ExitCode, UsageError
from aritma_auth.cli.open_tokens import open_tokens
from aritma_auth.cli.options import EndUser, Json, RegistrationName
from aritma_auth.cli.terminal import show, show_json, waiting
from aritma_auth.protocol.jwt import parse_unverified_claims


async def show_token(
    *,
    registration: RegistrationName | None = None,
    end_user: EndUser | None = None,
    header: bool = False,
    inspect: bool = False,
    json: Json = False,
) -> int:
    """
    Print an access token for the client in ARITMA_CLIENT_ID and ARITMA_CLIENT_SECRET.

    aritma-auth config list shows the other settings.

    Parameters
    ----------
    registration:
        Read the settings from this registration of a TOML file.
    end_user:
        Print the token of this sign-in of aritma-auth login instead, refreshed if need be.
    header:
        Print the whole Authorization header instead.
    inspect:
        Print the token's claims instead, unverified.
    json:
        Print one JSON object: the token, its type, scope and end, or with --inspect its claims.
    """
    if header and inspect:
        raise UsageError("--header and --inspect exclude each other: give one of them")
    async with open_tokens(end_user, registration=registration) as signed_in:
        with waiting("waiting for a token"):
            token = await signed_in.tokens.get_token()
    if inspect:
        claims = parse_unverified_claims(token.access_token)
        if claims is None and not json:
            show("the token is opaque")
        else:
            show_json(claims or {})
    elif json:
        show_json(
            {
                "access_token": token.access_token,
                "token_type": token.token_type,
                "scope": None if token.scope is None else " ".join(token.scope),
                "expires_at": token.expires_at,
            }
        )
    else:
        show(f"Authorization: {token.authorization}" if header else token.access_token)
    return ExitCode.DONE

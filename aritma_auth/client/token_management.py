"""What a client tells and asks its server about a token: its revocation, and its introspection."""

from aritma_auth.client.connection import ServerConnection
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.protocol.token_management import (
    Introspection,
    build_token_parameters,
    parse_introspection_response,
    parse_revocation_response,
)
from aritma_auth.protocol.tokens import Token


async def revoke(connection: ServerConnection, token: Token | HiddenStr, hint: str | None) -> None:
    """Revoke a token; of a `Token` the refresh token if it has one."""
    if isinstance(token, Token):
        refresh = token.refresh_token
        hint = "access_token" if refresh is None else "refresh_token"
        token = HiddenStr(token.access_token if refresh is None else refresh)
    await connection.post_authenticated(
        "revocation_endpoint",
        build_token_parameters(token, hint),
        lambda response, sent_at: parse_revocation_response(response, now=sent_at),
        is_one_time=True,
    )


async def introspect(
    connection: ServerConnection, token: HiddenStr, hint: str | None
) -> Introspection:
    """Ask whether a token is active; one of another tenant is an error."""
    tenants = connection.environment.tenants
    return await connection.post_authenticated(
        "introspection_endpoint",
        build_token_parameters(token, hint),
        lambda response, sent_at: parse_introspection_response(
            response, now=sent_at, tenants=tenants
        ),
    )

"""Requests that ask for a token, or for anything else a client must authenticate for."""

from collections.abc import Iterable

from aritma_auth.protocol.client_auth import ClientAuth, ClientCredential
from aritma_auth.protocol.grant import Grant
from aritma_auth.protocol.wire import FORM, HttpRequest, encode_form


def build_token_request(
    endpoint: str,
    grant: Grant,
    *,
    client_auth: ClientAuth,
    credential: ClientCredential,
) -> HttpRequest:
    """
    Ask the token endpoint for a token.

    Args:
        endpoint: The token endpoint; its own query is kept.

        grant: What entitles the client to a token.

        client_auth: How the client proves who it is.

        credential: The proof's ingredients, loaded for this one request.

    Spec: RFC 6749 §2.3, §3.2, §4; Aritma's authentication page.
    """
    return build_authenticated_request(
        endpoint, grant.parameters(), client_auth=client_auth, credential=credential
    )


def build_authenticated_request(
    endpoint: str,
    parameters: Iterable[tuple[str, str]],
    *,
    client_auth: ClientAuth,
    credential: ClientCredential,
) -> HttpRequest:
    """
    Build a form request with client authentication, to any endpoint that wants one.

    Args:
        endpoint: Absolute URL.

        parameters: The form, without the client's authentication.

        client_auth: How the client proves who it is.

        credential: The proof's ingredients.

    Spec: RFC 6749 §2.3.
    """
    proof = client_auth.prove(credential)
    return HttpRequest(
        "POST",
        endpoint,
        {"Accept": "application/json", "Content-Type": FORM, **proof.headers},
        encode_form((*parameters, *proof.parameters)),
    )

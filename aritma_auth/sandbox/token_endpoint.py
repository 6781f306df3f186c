"""
The rules of ``POST /connect/token``, without HTTP.

Every refusal is a 400 with the code that IdentityServer gives, mostly without a description.

Source: IdentityServer's TokenRequestValidator, ClientSecretValidator and TokenErrorResult.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from urllib.parse import unquote_plus

import attrs

from aritma_auth.sandbox.assertions import AssertionCheck
from aritma_auth.sandbox.clients import API_SCOPES, IDENTITY_SCOPES, Person, SandboxClient
from aritma_auth.sandbox.issuing import TokenIssuer

_LONGEST = 100
"""Characters of a client id, secret, grant type or handle (InputLengthRestrictions)."""

_LONGEST_SCOPE = 300


@attrs.frozen
class TokenRequest:
    """
    A token request as the sandbox's log keeps it: nothing in it is secret.

    Attributes:
        grant_type: What was asked with, or None.

        client_id: Who asked, or None if no client was found.

        tenant: The tenant in the path, or None.

        error: The refusal's code, or None.
    """

    grant_type: str | None
    client_id: str | None
    tenant: str | None
    error: str | None


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """
    A 400 with an OAuth error.

    Args:
        error: Its code.

        description: Its text, or None, which is the rule.
    """

    def __init__(self, error: str, description: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.description = description


class TokenEndpoint:
    """
    Answers token requests.

    Args:
        clients: The registered clients by id.

        people: The people by username.

        issuer: Makes the tokens.

        assertions: Checks client assertions.
    """

    def __init__(
        self,
        clients: Mapping[str, SandboxClient],
        people: Mapping[str, Person],
        issuer: TokenIssuer,
        assertions: AssertionCheck,
    ) -> None:
        self._assertions = assertions
        self._clients = clients
        self._people = people
        self._issuer = issuer
        self._grants: Mapping[
            str, Callable[[str, SandboxClient, Mapping[str, str]], dict[str, object]]
        ] = {
            "client_credentials": self._client_credentials,
            "password": self._password,
            "refresh_token": self._refresh_token,
        }

    @property
    def grant_types(self) -> list[str]:
        """The grants that this server knows."""
        return list(self._grants)

    def find_client(
        self, form: Mapping[str, str], authorization: str, issuer: str
    ) -> SandboxClient:
        """
        Authenticate a client: by Basic if it is there, else by a secret or assertion in the form.

        Args:
            form: The posted parameters.

            authorization: The ``Authorization`` header, or an empty text.

            issuer: The tenant's issuer; an assertion is for it or for its token endpoint.

        Raises:
            Refusal: ``invalid_client``, whatever is wrong.
        """
        if "client_assertion" in form:
            proven = self._assertions.find_client(form, {issuer, f"{issuer}/connect/token"})
            if proven is None:
                raise Refusal("invalid_client")
            return proven
        client_id, secret = _basic(authorization) or (
            form.get("client_id", ""),
            form.get("client_secret", ""),
        )
        client = self._clients.get(client_id)
        if client is None or len(secret) > _LONGEST:
            raise Refusal("invalid_client")
        if client.public_key and not client.secrets:
            raise Refusal("invalid_client")
        if client.secrets and not any(_same(secret, valid) for valid in client.secrets):
            raise Refusal("invalid_client")
        return client

    def answer(
        self, issuer: str, client: SandboxClient, form: Mapping[str, str]
    ) -> dict[str, object]:
        """
        Answer the request of a client that has authenticated.

        Args:
            issuer: The tenant's issuer.

            client: Who asks.

            form: The posted parameters.

        Returns:
            The answer's members, in IdentityServer's order.

        Raises:
            Refusal: The server says no.
        """
        grant_type = form.get("grant_type", "")
        grant = self._grants.get(grant_type)
        if grant is None:
            raise Refusal("unsupported_grant_type")
        if grant_type not in client.grant_types:
            raise Refusal("unauthorized_client")
        return grant(issuer, client, form)

    def _client_credentials(
        self, issuer: str, client: SandboxClient, form: Mapping[str, str]
    ) -> dict[str, object]:
        scope = _scope(form, client)
        if IDENTITY_SCOPES.intersection(scope):
            raise Refusal("invalid_scope")
        return self._tokens(issuer, client, scope, None)

    def _password(
        self, issuer: str, client: SandboxClient, form: Mapping[str, str]
    ) -> dict[str, object]:
        scope = _scope(form, client)
        person = self._people.get(form.get("username", ""))
        if person is None or not _same(form.get("password", ""), person.password):
            raise Refusal("invalid_grant", "invalid_username_or_password")
        refresh_token = None
        if "offline_access" in scope:
            refresh_token = self._issuer.issue_refresh_token(client, person.subject, scope)
        return self._tokens(issuer, client, scope, person.subject, refresh_token)

    def _refresh_token(
        self, issuer: str, client: SandboxClient, form: Mapping[str, str]
    ) -> dict[str, object]:
        handle = form.get("refresh_token")
        if not handle:
            raise Refusal("invalid_request")
        token = self._issuer.redeem_refresh_token(handle, client)
        if token is None:
            raise Refusal("invalid_grant")
        # The answer always carries a refresh token: the same one where it may be used again.
        if client.refresh_tokens_rotate:
            handle = self._issuer.issue_refresh_token(
                client, token.subject, token.scope, token.family
            )
        return self._tokens(issuer, client, token.scope, token.subject, handle)

    def _tokens(
        self,
        issuer: str,
        client: SandboxClient,
        scope: tuple[str, ...],
        subject: str | None,
        refresh_token: str | None = None,
    ) -> dict[str, object]:
        answer: dict[str, object] = {
            "access_token": self._issuer.issue_access_token(issuer, client, scope, subject),
            "expires_in": client.lifetime,
            "token_type": "Bearer",
        }
        if refresh_token is not None:
            answer["refresh_token"] = refresh_token
        return {**answer, "scope": " ".join(scope)}


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ("", "")
    # Form-decoded after base64, as IdentityServer does: "+" is a space, "%XX" a character.
    return (unquote_plus(name), unquote_plus(secret)) if colon else ("", "")


def _scope(form: Mapping[str, str], client: SandboxClient) -> tuple[str, ...]:
    asked = form.get("scope", "").split()
    if not asked:
        # None asked for means every API scope that the client may have.
        return tuple(name for name in client.scopes if name not in IDENTITY_SCOPES)
    known = {*API_SCOPES, *IDENTITY_SCOPES}.intersection(client.scopes)
    if not known.issuperset(asked) or len(form["scope"]) > _LONGEST_SCOPE:
        raise Refusal("invalid_scope")
    return tuple(dict.fromkeys(asked))


def _same(given: str, valid: str) -> bool:
    return hmac.compare_digest(given.encode(), valid.encode())

"""
The rules of ``POST /connect/token``, without HTTP.

Every refusal is a 400 with the code that IdentityServer gives, mostly without a description.

Source: IdentityServer's TokenRequestValidator and TokenErrorResult.
"""

from collections.abc import Callable, Container, Mapping

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.authentication_event import SignInFacts
from aritma_auth.sandbox.identity.client_authentication import is_same
from aritma_auth.sandbox.identity.device_codes import Devices
from aritma_auth.sandbox.identity.extension_grants import ACCESS_TOKEN, TOKEN_EXCHANGE, TokenReader
from aritma_auth.sandbox.identity.refresh_tokens import RefreshTokens
from aritma_auth.sandbox.identity.registrations import (
    API_SCOPES,
    DEVICE_CODE,
    IDENTITY_SCOPES,
    RESOURCES,
    SandboxClient,
    User,
)
from aritma_auth.sandbox.identity.server_versions import ServerVersion
from aritma_auth.sandbox.identity.sessions import SignIns
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer
from aritma_auth.sandbox.refusals import Refusal

_LONGEST_SCOPE = 300
_EXTENSIONS = frozenset({"delegation", TOKEN_EXCHANGE})

Form = Mapping[str, str]
Answer = dict[str, object]


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


class TokenEndpoint:
    """
    Answers token requests.

    Args:
        people: The people by username.

        issuer: Makes the tokens.

        refresh_tokens: Keeps refresh tokens.

        sign_ins: Knows codes.

        devices: Knows device codes.

        server_version: How the server behaves.

        clock: The sandbox's time.

    Attributes:
        reader: Reads tokens that are presented to be exchanged.
    """

    def __init__(
        self,
        people: Mapping[str, User],
        issuer: TokenIssuer,
        refresh_tokens: RefreshTokens,
        sign_ins: SignIns,
        devices: Devices,
        server_version: ServerVersion,
        clock: SandboxClock,
    ) -> None:
        self._people = people
        self._issuer = issuer
        self._refresh_tokens = refresh_tokens
        self._sign_ins = sign_ins
        self._devices = devices
        self._server_version = server_version
        self._clock = clock
        self.reader = TokenReader(issuer, clock)
        self._grants: Mapping[str, Callable[[str, SandboxClient, Form], Answer]] = {
            "authorization_code": self._authorization_code,
            "client_credentials": self._client_credentials,
            "delegation": self._delegation,
            "password": self._password,
            "refresh_token": self._refresh_token,
            DEVICE_CODE: self._device_code,
            TOKEN_EXCHANGE: self._token_exchange,
        }

    @property
    def grant_types(self) -> list[str]:
        """The grants that this server knows."""
        return list(self._grants)

    def answer(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
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
        is_allowed = grant_type in client.grant_types or (
            # Hybrid clients redeem codes as well.
            grant_type == "authorization_code" and "hybrid" in client.grant_types
        )
        if grant is None or (grant_type in _EXTENSIONS and not is_allowed):
            raise Refusal("unsupported_grant_type")
        if not is_allowed:
            raise Refusal("unauthorized_client")
        return grant(issuer, client, form)

    def _client_credentials(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        scope = read_scope(form, client)
        if IDENTITY_SCOPES.intersection(scope):
            raise Refusal("invalid_scope")
        resource = self._resource(form, RESOURCES, scope)
        text = self._issuer.issue_access_token(issuer, client, scope, resource=resource)
        return _answer(client, scope, text)

    def _authorization_code(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        if not form.get("redirect_uri"):
            raise Refusal("unauthorized_client")
        code = self._sign_ins.redeem_code(
            form.get("code", ""), client, form["redirect_uri"], form.get("code_verifier")
        )
        resource = self._resource(form, code.resources, code.scope)
        return self._sign_in_tokens(issuer, client, code.scope, code.sign_in, resource)

    def _device_code(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        scope, sign_in = self._devices.redeem(form.get("device_code", ""), client)
        return self._sign_in_tokens(issuer, client, scope, sign_in)

    def _sign_in_tokens(
        self,
        issuer: str,
        client: SandboxClient,
        scope: tuple[str, ...],
        sign_in: SignInFacts,
        resource: str | None = None,
    ) -> Answer:
        text = self._issuer.issue_access_token(issuer, client, scope, sign_in, resource=resource)
        id_token = handle = None
        if "openid" in scope:
            id_token = self._issuer.issue_id_token(
                issuer, client.client_id, sign_in, access_token=text
            )
        if "offline_access" in scope:
            handle = self._refresh_tokens.issue(client, scope, sign_in)
        return _answer(client, scope, text, id_token, handle)

    def _delegation(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        scope = read_scope(form, client)
        exchange = self.reader.delegation(form)
        text = self._issuer.issue_access_token(issuer, client, scope, exchange.sign_in)
        answer = _answer(client, scope, text)
        # Aritma's sample has no scope here.
        del answer["scope"]
        return answer

    def _token_exchange(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        scope = read_scope(form, client)
        exchange = self.reader.exchange(form)
        resource = self._resource(form, RESOURCES, scope)
        text = self._issuer.issue_access_token(
            issuer, client, scope, exchange.sign_in, resource=resource, actor=exchange.actor
        )
        return _answer(client, scope, text) | {"issued_token_type": ACCESS_TOKEN}

    def _password(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        scope = read_scope(form, client)
        person = self._people.get(form.get("username", ""))
        if person is None or not is_same(form.get("password", ""), person.password):
            raise Refusal("invalid_grant", "invalid_username_or_password")
        sign_in = SignInFacts(
            subject=person.subject, auth_time=self._clock.time(), session_id="PASSWORD"
        )
        handle = None
        if "offline_access" in scope:
            handle = self._refresh_tokens.issue(client, scope, sign_in)
        text = self._issuer.issue_access_token(issuer, client, scope, sign_in)
        return _answer(client, scope, text, None, handle)

    def _refresh_token(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        handle = form.get("refresh_token")
        if not handle:
            raise Refusal("invalid_request")
        redeemed = self._refresh_tokens.redeem(handle, client)
        if redeemed is None:
            raise Refusal("invalid_grant")
        handle, token = redeemed
        resource = self._resource(form, RESOURCES, token.scope)
        text = self._issuer.issue_access_token(
            issuer, client, token.scope, token.sign_in, resource=resource
        )
        id_token = None
        if "openid" in token.scope:
            # Without nonce: that one was of the first (OpenID Connect Core 1.0 §12.2).
            sign_in = attrs.evolve(token.sign_in, nonce=None)
            id_token = self._issuer.issue_id_token(
                issuer, client.client_id, sign_in, access_token=text
            )
        # The answer always carries a refresh token: the same one where it may be used again.
        return _answer(client, token.scope, text, id_token, handle)

    def _resource(self, form: Form, known: Container[str], scope: tuple[str, ...]) -> str | None:
        resource = form.get("resource")
        if resource is None or not self._server_version.knows_resources:
            return None
        if resource not in known or not RESOURCES[resource].intersection(scope):
            raise Refusal("invalid_target", "Invalid resource indicator")
        return resource


def _answer(
    client: SandboxClient,
    scope: tuple[str, ...],
    access_token: str,
    id_token: str | None = None,
    refresh_token: str | None = None,
) -> Answer:
    return {
        **({} if id_token is None else {"id_token": id_token}),
        "access_token": access_token,
        "expires_in": client.lifetime,
        "token_type": "Bearer",
        **({} if refresh_token is None else {"refresh_token": refresh_token}),
        "scope": " ".join(scope),
    }


def read_scope(form: Form, client: SandboxClient) -> tuple[str, ...]:
    """
    Read what is asked for.

    Args:
        form: The parameters.

        client: Who asks.

    Returns:
        The scope; none asked for means every API scope that the client may have.

    Raises:
        Refusal: ``invalid_scope``.
    """
    asked = form.get("scope", "").split()
    if not asked:
        return tuple(name for name in client.scopes if name not in IDENTITY_SCOPES)
    known = {*API_SCOPES, *IDENTITY_SCOPES}.intersection(client.scopes)
    if not known.issuperset(asked) or len(form["scope"]) > _LONGEST_SCOPE:
        raise Refusal("invalid_scope")
    return tuple(dict.fromkeys(asked))

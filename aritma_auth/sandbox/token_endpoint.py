"""
The rules of ``POST /connect/token``, without HTTP.

Every refusal is a 400 with the code that IdentityServer gives, mostly without a description.

Source: IdentityServer's TokenRequestValidator and TokenErrorResult.
"""

from collections.abc import Callable, Mapping

import attrs

from aritma_auth.sandbox.authentication import is_same
from aritma_auth.sandbox.clients import (
    API_SCOPES,
    DEVICE_CODE,
    IDENTITY_SCOPES,
    Person,
    SandboxClient,
)
from aritma_auth.sandbox.generations import Generation
from aritma_auth.sandbox.issuing import SignInFacts, TokenIssuer
from aritma_auth.sandbox.refusals import Refusal
from aritma_auth.sandbox.sign_ins import SignIns

_LONGEST_SCOPE = 300
_EXTENSIONS = frozenset({"delegation"})

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

        sign_ins: Knows codes and device codes.

        generation: How the server behaves.

    Attributes:
        external_tokens: Subjects by provider and token, for delegation from outside.
    """

    def __init__(
        self,
        people: Mapping[str, Person],
        issuer: TokenIssuer,
        sign_ins: SignIns,
        generation: Generation,
    ) -> None:
        self._people = people
        self._issuer = issuer
        self._sign_ins = sign_ins
        self._generation = generation
        self.external_tokens: dict[tuple[str, str], str] = {}
        self._grants: Mapping[str, Callable[[str, SandboxClient, Form], Answer]] = {
            "authorization_code": self._authorization_code,
            "client_credentials": self._client_credentials,
            "delegation": self._delegation,
            "password": self._password,
            "refresh_token": self._refresh_token,
            DEVICE_CODE: self._device_code,
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
        return self._tokens(issuer, client, scope, None)

    def _authorization_code(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        if not form.get("redirect_uri"):
            raise Refusal("unauthorized_client")
        code = self._sign_ins.redeem_code(
            form.get("code", ""), client, form["redirect_uri"], form.get("code_verifier")
        )
        return self._sign_in_tokens(issuer, client, code.scope, code.sign_in)

    def _device_code(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        device = self._sign_ins.redeem_device(form.get("device_code", ""), client)
        sign_in = device.sign_in
        if sign_in is None:
            raise Refusal("authorization_pending")
        return self._sign_in_tokens(issuer, client, device.scope, sign_in)

    def _sign_in_tokens(
        self, issuer: str, client: SandboxClient, scope: tuple[str, ...], sign_in: SignInFacts
    ) -> Answer:
        handle = None
        if "offline_access" in scope:
            handle = self._issuer.issue_refresh_token(
                client, sign_in.subject, scope, sign_in=sign_in
            )
        return self._tokens(issuer, client, scope, sign_in.subject, handle, sign_in)

    def _delegation(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        scope = read_scope(form, client)
        provider, text = form.get("provider"), form.get("token", "")
        if provider is not None:
            subject = self.external_tokens.get((provider, text))
        else:
            token = self._issuer.judge(text)
            subject = None if isinstance(token, str) else token.subject or token.client_id
        if subject is None:
            raise Refusal("invalid_grant")
        answer = self._tokens(issuer, client, scope, subject)
        # Aritma's sample has no scope here.
        del answer["scope"]
        return answer

    def _password(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        scope = read_scope(form, client)
        person = self._people.get(form.get("username", ""))
        if person is None or not is_same(form.get("password", ""), person.password):
            raise Refusal("invalid_grant", "invalid_username_or_password")
        refresh_token = None
        if "offline_access" in scope:
            refresh_token = self._issuer.issue_refresh_token(client, person.subject, scope)
        return self._tokens(issuer, client, scope, person.subject, refresh_token)

    def _refresh_token(self, issuer: str, client: SandboxClient, form: Form) -> Answer:
        handle = form.get("refresh_token")
        if not handle:
            raise Refusal("invalid_request")
        rotates = client.refresh_tokens_rotate
        if rotates is None:
            rotates = self._generation.refresh_tokens_rotate
        token = self._issuer.redeem_refresh_token(handle, client, rotates=rotates)
        if token is None:
            raise Refusal("invalid_grant")
        # The answer always carries a refresh token: the same one where it may be used again.
        if rotates:
            handle = self._issuer.issue_refresh_token(
                client, token.subject, token.scope, token.family, token.sign_in
            )
        return self._tokens(issuer, client, token.scope, token.subject, handle, token.sign_in)

    def _tokens(
        self,
        issuer: str,
        client: SandboxClient,
        scope: tuple[str, ...],
        subject: str | None,
        refresh_token: str | None = None,
        sign_in: SignInFacts | None = None,
    ) -> Answer:
        access_token = self._issuer.issue_access_token(issuer, client, scope, subject)
        answer: Answer = {}
        if sign_in is not None and "openid" in scope:
            answer["id_token"] = self._issuer.issue_id_token(
                issuer, client.client_id, sign_in, access_token=access_token
            )
        answer |= {
            "access_token": access_token,
            "expires_in": client.lifetime,
            "token_type": "Bearer",
        }
        if refresh_token is not None:
            answer["refresh_token"] = refresh_token
        return {**answer, "scope": " ".join(scope)}


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

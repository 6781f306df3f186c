"""The strong customer authentication of a payment: the person confirms it at Aritma ID."""

from collections.abc import Iterable, Mapping

import attrs
from yarl import URL

from aritma_auth.client.client import OAuthClient
from aritma_auth.environment import Environment
from aritma_auth.errors import ConfigurationError, InvalidResponseError, VerificationError
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import Origin, origin_of, require_secure_url


@attrs.frozen(kw_only=True)
class ScaStep:
    """
    What is left to do before a payment goes out: the person confirms it at Aritma ID.

    Attributes:
        confirmation: Where the access token of that sign-in goes, by PUT.

        acr_values: How the person is to sign in.

        authorization_id: The API's name for this step, or None.

    Source: Banking v4's OpenAPI (start authorization).
    """

    confirmation: str
    acr_values: tuple[str, ...] = ()
    authorization_id: str | None = None

    async def begin_sign_in(
        self,
        client: OAuthClient,
        redirect_uri: str,
        scope: str | Iterable[str] | None = "openid api",
    ) -> AuthorizationRequest:
        """
        Begin the sign-in, at the client's own authority: the answer's link is not followed.

        Args:
            client: The registration for people.

            redirect_uri: Where the person comes back to.

            scope: Scope to ask for.

        Raises:
            ConfigurationError: An argument makes no sense.
        """
        return await client.begin_sign_in(redirect_uri, scope, acr_values=self.acr_values)

    def confirmation_body(self, token: Token, member: str = "accessToken") -> dict[str, str]:
        """
        Make the JSON object for the PUT to ``confirmation``; its repr hides the token.

        Args:
            token: What the sign-in brought.

            member: Name of the member that holds the access token. Aritma's public pages do not
                show this body: ask Aritma.
        """
        return {member: token.access_token}


def parse_sca_step(
    answer: Mapping[str, object],
    *,
    environment: Environment,
    base_url: str = "",
    acr_values: Iterable[str] = (),
) -> ScaStep:
    """
    Read the answer of "start authorization", and trust none of its links.

    Args:
        answer: The JSON object.

        environment: The client's: which authority and which APIs it trusts.

        base_url: The URL that was called, if the answer's links may be relative to it.

        acr_values: What to ask for if the answer does not say.

    Raises:
        InvalidResponseError: It has no ``scaOauth`` or no ``confirmation`` link: this
            authorization is not confirmed at Aritma ID; ``scaStatus`` and ``scaRedirect`` say how.

        VerificationError: ``scaOauth`` is another authority, or ``confirmation`` is at none of the
            environment's APIs: nothing is sent to either.

    Source: Banking v4's OpenAPI (start authorization).
    """
    authority, confirmation = (_link(answer, name) for name in ("scaOauth", "confirmation"))
    if authority is None or confirmation is None:
        raise InvalidResponseError(
            "the payment is not to be confirmed at Aritma ID: see scaStatus and scaRedirect",
            status=201,
            problems=("_links.scaOauth and _links.confirmation must both be there",),
        )
    endpoint = environment.endpoint("authorization_endpoint")
    authorities = {origin_of(URL(url)) for url in (*environment.issuers, endpoint)}
    _require_origin(authority, authorities | environment.endpoint_origins, "scaOauth")
    confirmation = _joined(base_url, confirmation)
    _require_origin(confirmation, environment.api_origins, "confirmation")
    given = answer.get("authenticationMethodAcrValues")
    words = given.split() if isinstance(given, str) else given
    is_list = isinstance(words, list) and all(isinstance(word, str) for word in words)
    authorization_id = answer.get("authorizationId")
    return ScaStep(
        confirmation=confirmation,
        acr_values=tuple(words if is_list and words else acr_values),  # type: ignore[arg-type]
        authorization_id=authorization_id if isinstance(authorization_id, str) else None,
    )


def _link(answer: object, name: str) -> str | None:
    # What ``response.json()`` gives is whatever the server sent.
    links = answer.get("_links") if isinstance(answer, Mapping) else None
    link = links.get(name) if isinstance(links, Mapping) else None
    link = link.get("href") if isinstance(link, Mapping) else link
    return link if isinstance(link, str) else None


def _joined(base_url: str, link: str) -> str:
    try:
        return str(URL(base_url).join(URL(link))) if base_url else link
    except ValueError:
        return link


def _require_origin(url: str, origins: Iterable[Origin], name: str) -> None:
    try:
        is_known = origin_of(require_secure_url(url, name)) in origins
    except ConfigurationError:
        is_known = False
    if not is_known:
        raise VerificationError(f"the link {name} leads to a stranger: it is not followed")

"""Strong customer authentication of a payment: the end-user confirms it at Aritma ID."""

from collections.abc import Iterable, Mapping
from typing import Unpack

import attrs
from yarl import URL

from aritma_auth.banking.kinds import OPTIONAL, parse_acr_values
from aritma_auth.banking.problems import read_members
from aritma_auth.client.client import OAuthClient
from aritma_auth.environment import Environment
from aritma_auth.errors import (
    ConfigurationError,
    InvalidResponseError,
    VerificationError,
    printable,
    require_instance,
)
from aritma_auth.protocol.authorization_parameters import AuthorizationParameters
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.parameters import is_word, parse_words
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import Origin, origin_of, require_secure_url
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments


@with_hidden_arguments
@attrs.frozen(kw_only=True)
class ScaStep:
    """
    The step that is left before a payment is executed: the end-user confirms it at Aritma ID.

    Attributes:
        confirmation: URL that takes the access token of that sign-in, by PUT.

        acr_values: Authentication context classes for that sign-in.

        authorization_id: The API's identifier of this step, or None.

    Source: Banking v4's OpenAPI (start authorization).
    """

    confirmation: str
    acr_values: tuple[str, ...] = attrs.field(default=(), converter=parse_acr_values)
    authorization_id: str | None = attrs.field(default=None, validator=OPTIONAL)

    def __attrs_post_init__(self) -> None:
        require_secure_url(self.confirmation, "confirmation")

    async def begin_sign_in(
        self,
        client: OAuthClient,
        redirect_uri: str,
        scope: str | Iterable[str] | None = "openid api",
        **parameters: Unpack[AuthorizationParameters],
    ) -> AuthorizationRequest:
        """
        Begin the sign-in at the client's own authorization server; the link is not followed.

        Args:
            client: The registration with which end-users sign in.

            redirect_uri: Where the server sends the end-user back to.

            scope: Scope to request.

            parameters: How to sign in: `AuthorizationParameters`. Their ``acr_values`` are added
                to those of this step.

        Raises:
            ConfigurationError: An argument is not usable.
        """
        require_instance("client", "an OAuthClient", client, OAuthClient)
        others = parse_words(parameters.pop("acr_values", ()), "acr_values")
        parameters["acr_values"] = (*self.acr_values, *others)
        return await client.begin_sign_in(redirect_uri, scope, **parameters)

    def confirmation_body(self, token: Token, member: str = "accessToken") -> dict[str, str]:
        """
        Build the JSON object for the PUT to ``confirmation``; its repr hides the token.

        Args:
            token: The token of the sign-in.

            member: Name of the member that holds the access token. Aritma's public pages do not
                show this body: ask Aritma.
        """
        require_instance("token", "a Token, such as sign_in.token", token, Token)
        require_instance("member", "a member's name", member, str)
        return {member: token.access_token}


def parse_sca_step(
    members: Mapping[str, object],
    *,
    environment: Environment,
    base_url: str | URL = "",
    acr_values: str | Iterable[str] = (),
) -> ScaStep:
    """
    Parse the response of "start authorization", and trust none of its links.

    Args:
        members: The response's JSON object.

        environment: The client's: the authorization server and the APIs that it trusts.

        base_url: The URL that was called (``response.url``), if the links may be relative to it.

        acr_values: Authentication context classes to request if the response names none.

    Raises:
        ConfigurationError: An argument is of the wrong kind.

        InvalidResponseError: ``scaOauth`` or ``confirmation`` is missing: this authorization is not
            confirmed at Aritma ID; ``scaStatus`` and ``scaRedirect`` say how.

        VerificationError: ``scaOauth`` is another authorization server, or ``confirmation`` is at
            none of the environment's APIs: nothing is sent to either.

    Source: Banking v4's OpenAPI (start authorization).
    """
    given = read_members(members)
    require_instance("environment", "an Environment", environment, Environment)
    authority = parse_link(given, "scaOauth")
    confirmation = parse_link(given, "confirmation", base_url)
    if authority is None or confirmation is None:
        raise InvalidResponseError(
            "scaOauth and confirmation must both be among the response's links for a confirmation "
            f"at Aritma ID; its scaStatus is {_status(given)}: scaRedirect, if it is there, "
            "leads to the bank's own page",
            status=201,
            problems=("_links.scaOauth and _links.confirmation must both be there",),
        )
    endpoint = environment.endpoint("authorization_endpoint")
    authorities = {origin_of(URL(url)) for url in (*environment.issuers, endpoint)}
    _require_origin(authority, authorities | environment.endpoint_origins, "scaOauth")
    require_api_url(confirmation, environment, "confirmation")
    authorization_id = given.get("authorizationId")
    return ScaStep(
        confirmation=confirmation,
        acr_values=_acr_values(given) or parse_words(acr_values, "acr_values"),
        authorization_id=authorization_id if isinstance(authorization_id, str) else None,
    )


def _acr_values(members: Mapping[str, object]) -> tuple[str, ...]:
    given = members.get("authenticationMethodAcrValues")
    words = given.split() if isinstance(given, str) else given
    is_usable = isinstance(words, list) and all(map(is_word, words))
    return tuple(map(str, words)) if is_usable and isinstance(words, list) else ()


def _status(members: Mapping[str, object]) -> str:
    status = members.get("scaStatus")
    return printable(status) if isinstance(status, str) else "not there"


def parse_link(members: Mapping[str, object], name: str, base_url: str | URL = "") -> str | None:
    """
    Parse a link of a response; it is not trusted yet.

    Args:
        members: The JSON object.

        name: The link's name.

        base_url: What it may be relative to.

    Returns:
        The link, or None if there is none.

    Raises:
        ConfigurationError: The base URL is of the wrong kind.
    """
    require_instance("base_url", "a URL, such as response.url", base_url, (str, URL))
    links = members.get("_links")
    link = links.get(name) if isinstance(links, Mapping) else None
    link = link.get("href") if isinstance(link, Mapping) else link
    if not isinstance(link, str):
        return None
    try:
        return str(URL(base_url).join(URL(link))) if base_url else link
    except ValueError:
        return link


def require_api_url(url: str, environment: Environment, name: str) -> None:
    """
    Require a link to lead to one of the environment's APIs.

    Args:
        url: The link.

        environment: The client's.

        name: The link's name.

    Raises:
        ConfigurationError: The environment is none.

        VerificationError: It leads elsewhere: nothing is sent there.
    """
    require_instance("environment", "an Environment", environment, Environment)
    _require_origin(url, environment.api_origins, name)


def _require_origin(url: str, origins: Iterable[Origin], name: str) -> None:
    try:
        is_known = origin_of(require_secure_url(url, name)) in origins
    except ConfigurationError:
        is_known = False
    if not is_known:
        raise VerificationError(
            f"{name} must be at an origin of the environment, not {printable(url)!r}: "
            "the link is not followed"
        )

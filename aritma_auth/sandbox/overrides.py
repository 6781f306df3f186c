"""What the identity server's responses and tokens say instead of the truth."""

from typing import Any

import attrs

from aritma_auth.errors import ConfigurationError

SIGNATURES = ("good", "none", "foreign", "alternate", "HS256")

Changes = dict[str, object]


def _known(_overrides: object, _attribute: "attrs.Attribute[Any]", signature: str) -> None:
    if signature not in SIGNATURES:
        raise ConfigurationError(
            f"signature must be one of {', '.join(SIGNATURES)}, not {signature!r}"
        )


@attrs.define(kw_only=True)
class ResponseOverrides:
    """
    Overrides of what the identity server says; each lasts until a test removes it.

    In each mapping a value replaces the true one, and None removes the member.

    Attributes:
        metadata: Members of the discovery document.

        authorization_response: Parameters of authorization responses, such as ``iss``.

        token_response: Members of the token endpoint's success responses.

        access_token: Claims of access tokens; the sandbox's own APIs still accept the token.

        id_token: Claims of ID tokens.

        logout_token: Claims of logout tokens.

        header: Header members of ID and logout tokens, such as ``kid`` and ``typ``.

        userinfo: Claims of UserInfo.

        signature: How ID and logout tokens are signed: ``good``; ``none`` for no signature;
            ``foreign`` for a key that was never published, under the valid key's id; ``alternate``
            for the valid key by another algorithm, RS256 or PS256; ``HS256``
            for the public key as a shared secret.

        response_signature: The same of signed authorization responses (JARM).

        keys: JSON Web Keys that are published before the valid ones.
    """

    metadata: Changes = attrs.field(factory=dict)
    authorization_response: Changes = attrs.field(factory=dict)
    token_response: Changes = attrs.field(factory=dict)
    access_token: Changes = attrs.field(factory=dict)
    id_token: Changes = attrs.field(factory=dict)
    logout_token: Changes = attrs.field(factory=dict)
    header: Changes = attrs.field(factory=dict)
    userinfo: Changes = attrs.field(factory=dict)
    signature: str = attrs.field(default="good", validator=_known)
    response_signature: str = attrs.field(default="good", validator=_known)
    keys: list[Changes] = attrs.field(factory=list)


def apply_overrides(truth: Changes, changes: Changes) -> Changes:
    """
    Replace members, and remove those that are None.

    Args:
        truth: The members that the server would send.

        changes: The override.
    """
    return {name: value for name, value in (truth | changes).items() if value is not None}

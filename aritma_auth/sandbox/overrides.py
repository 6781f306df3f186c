"""What the sandbox says wrongly, for tests of those who must notice."""

from typing import Any

import attrs

from aritma_auth.errors import ConfigurationError

SIGNATURES = ("good", "none", "foreign", "HS256")

Changes = dict[str, object]


def _known(_overrides: object, _attribute: "attrs.Attribute[Any]", signature: str) -> None:
    if signature not in SIGNATURES:
        raise ConfigurationError(f"signatures are {', '.join(SIGNATURES)}")


@attrs.define(kw_only=True)
class ResponseOverrides:
    """
    Changes to what the identity server says; every one of them lasts until it is taken back.

    In each mapping a value replaces the true one, and None takes the member out.

    Attributes:
        metadata: Members of the discovery document.

        authorization_response: Parameters of authorization responses, such as ``iss``.

        token_response: Members of the token endpoint's success responses.

        access_token: Claims of access tokens; the sandbox's own APIs go on knowing the token.

        id_token: Claims of ID tokens.

        logout_token: Claims of logout tokens.

        header: Header members of ID and logout tokens, such as ``kid`` and ``typ``.

        userinfo: Claims of UserInfo.

        signature: How ID and logout tokens are signed: ``good``; ``none`` for not at all;
            ``foreign`` with a key that was never published, under the good key's id; ``HS256``
            with the public key as a shared secret.

        keys: JSON Web Keys that are published before the good ones.
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
    keys: list[Changes] = attrs.field(factory=list)


def told(truth: Changes, changes: Changes) -> Changes:
    """
    Give what is told instead of the truth.

    Args:
        truth: Names and values.

        changes: What to say instead; None takes a name out.
    """
    return {name: value for name, value in (truth | changes).items() if value is not None}

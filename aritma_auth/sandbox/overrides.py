"""What the identity server's responses and tokens say instead of the truth."""

import attrs

from aritma_auth.errors import require_instance
from aritma_auth.sandbox.arguments import members, require_known

SIGNATURES = ("good", "none", "foreign", "alternate", "HS256")

Changes = dict[str, object]


def _known(_overrides: object, field: "attrs.Attribute[str]", signature: str) -> None:
    require_known(field.name, signature, SIGNATURES)


def _keys(_overrides: object, field: "attrs.Attribute[list[Changes]]", keys: object) -> None:
    require_instance(field.name, "a list of JSON Web Keys", keys, list)


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

    metadata: Changes = attrs.field(factory=dict, validator=members)
    authorization_response: Changes = attrs.field(factory=dict, validator=members)
    token_response: Changes = attrs.field(factory=dict, validator=members)
    access_token: Changes = attrs.field(factory=dict, validator=members)
    id_token: Changes = attrs.field(factory=dict, validator=members)
    logout_token: Changes = attrs.field(factory=dict, validator=members)
    header: Changes = attrs.field(factory=dict, validator=members)
    userinfo: Changes = attrs.field(factory=dict, validator=members)
    signature: str = attrs.field(default="good", validator=_known)
    response_signature: str = attrs.field(default="good", validator=_known)
    keys: list[Changes] = attrs.field(factory=list, validator=_keys)


def apply_overrides(truth: Changes, changes: Changes) -> Changes:
    """
    Replace members, and remove those that are None.

    Args:
        truth: The members that the server would send.

        changes: The override.
    """
    return {name: value for name, value in (truth | changes).items() if value is not None}

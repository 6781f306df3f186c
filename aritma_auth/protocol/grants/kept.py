"""Grants of a sign-in that goes on: its refresh token, and its name."""

from typing import ClassVar

import attrs

from aritma_auth.errors import wrong_kind
from aritma_auth.protocol.grants.base import Grant, names_someone
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.redaction import SecretText, as_secret, require_secret
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class RefreshTokenGrant(Grant):
    """
    A refresh token; treated as usable once, since servers may rotate it.

    Spec: RFC 6749 §6.
    """

    grant_type: ClassVar[str] = "refresh_token"
    is_reusable: ClassVar[bool] = False
    refresh_token: SecretText = attrs.field(
        converter=as_secret, validator=require_secret, kw_only=False
    )

    def own_parameters(self) -> Parameters:
        """Return the refresh token."""
        return (("refresh_token", self.refresh_token.text),)


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class SignedInGrant(Grant):
    """
    A sign-in that has taken place, or will: it cannot be sent itself.

    Its provider lives on the token that `TokenProvider.set_token` or a store brings, and on that
    token's refresh token; without either the end-user must sign in.

    Attributes:
        end_user: Distinguishes the stored tokens of several end-users: the subject, a session's
            identifier, or any other text. Without it the tokens are kept in no store.

    Spec: RFC 6749 §1.5.
    """

    grant_type: ClassVar[str] = "signed_in"
    is_reusable: ClassVar[bool] = False
    is_requestable: ClassVar[bool] = False
    end_user: str | None = attrs.field(default=None, kw_only=False)

    @end_user.validator
    def _is_text(self, _attribute: object, end_user: object) -> None:
        if end_user is not None and not isinstance(end_user, str):
            raise wrong_kind("end_user", "a string or None", end_user)

    def own_parameters(self) -> Parameters:
        """Return none."""
        return ()

    def identity(self) -> Parameters | None:
        """Return whose sign-in it is; None if that is unknown: it could be any end-user's."""
        if not names_someone(self.end_user):
            return None
        return (("end_user", self.end_user), *self.parameters())

    def problems(self) -> tuple[str, ...]:
        """Say that it cannot be sent."""
        return ("a SignedInGrant is no request: give it to a TokenProvider",)

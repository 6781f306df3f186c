"""What tokens tell of a person's sign-in."""

import attrs


@attrs.frozen(kw_only=True)
class SignInFacts:
    """
    A person's sign-in, as tokens tell it.

    Attributes:
        subject: Who.

        auth_time: POSIX seconds.

        session_id: The browser's session.

        nonce: What the client sent along, or None.

        acr: What the sign-in reached, such as ``mfa``.

        idp: The identity provider that the person came by.

        tenant: The tenant that was asked for, or None.
    """

    subject: str
    auth_time: float
    session_id: str
    nonce: str | None = None
    acr: tuple[str, ...] = ()
    idp: str = "local"
    tenant: str | None = None

    @property
    def claims(self) -> dict[str, object]:
        """The claims that access tokens and ID tokens share."""
        return {
            "sub": self.subject,
            "auth_time": int(self.auth_time),
            "idp": self.idp,
            "amr": ["pwd", *self.acr],
            **({"acr": self.acr[0]} if self.acr else {}),
            **({} if self.tenant is None else {"tid": self.tenant}),
        }

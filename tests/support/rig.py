"""A provider whose client, clock, chance and events a test controls."""

import attrs

import aritma_auth as aa
from support.fakes import FakeClient

GRANT = aa.ClientCredentialsGrant(scope="bankservice")
DOWN = aa.TransportError("down")
REFUSED = aa.InvalidClientError("invalid_client")
LOST = aa.TransportError("lost", may_have_arrived=True)
UNSENT = aa.TransportError("unsent", may_have_arrived=False)
SPENT = aa.InvalidGrantError("invalid_grant")


class Rig:
    """A provider whose client, clock, chance and events a test controls."""

    def __init__(self, clock, lifetime=3600, grant=GRANT, **settings):
        self.clock = clock
        self.grant = grant
        self.client = FakeClient(clock, lifetime)
        self.events = []
        self.draw = 0.0
        self.provider = aa.TokenProvider(
            self.client,
            grant,
            clock=clock,
            draw=lambda: self.draw,
            on_event=self.events.append,
            **settings,
        )

    async def get(self, **kwargs):
        return (await self.provider.get_token(**kwargs)).access_token

    def happened(self, kind):
        """Give the events of a kind, without whose they are: a rig has one provider."""
        return [bare(event) for event in self.events if isinstance(event, kind)]


def bare(event):
    """Return an event without whose it is."""
    return attrs.evolve(event, issuer="", client_id="", tenant="", key="", grant="", scope=())


def presented(rig):
    """Give the refresh tokens that the provider has presented, in their order."""
    return [
        grant.refresh_token.text
        for grant in rig.client.grants
        if isinstance(grant, aa.RefreshTokenGrant)
    ]


def rotated(rig, **fields):
    """Make the token of a refresh response."""
    return rig.client.make_token(**fields)

"""An authorization server over raw HTTP/1.1, which remembers each presentation of a refresh token."""

import json

import attrs

from support.simulation.peer import Peer

MARGIN = 1e-6


@attrs.define(eq=False)
class AccessToken:
    """
    An access token as the server knows it.

    Attributes:
        process: The process that it was issued to: its clocks tell all others the token's age.

        ends_at: True seconds when it ends.

        untold_age: Seconds of its age that no clock could tell whoever was given it.
    """

    text: str
    process: object
    family: "Family | None"
    issued_at: float
    ends_at: float
    untold_age: float = 0.0


@attrs.define(eq=False)
class RefreshToken:
    """
    A refresh token as the server knows it.

    Attributes:
        spent_by: The presentation that was exchanged for a successor, or None.
    """

    text: str
    family: "Family"
    spent_by: "Presentation | None" = None
    presentations: list = attrs.field(factory=list)


@attrs.define(eq=False)
class Family:
    """
    One sign-in and all tokens that came of it.

    Attributes:
        number: Counts the sign-ins of a universe; a later one is newer.

        ended: Why it has ended, or None.

        refused: The server has said invalid_grant for one of its tokens.
    """

    number: int
    ended: str | None = None
    refused: bool = False
    tokens: int = 0


@attrs.define(eq=False)
class Presentation:
    """
    One token request.

    Attributes:
        began_at: True seconds when its process began to connect.

        claimed_at: True seconds when its process marked the token as being exchanged, else the same.

        sent_at: True seconds when it left the process.

        outcome: ``rotated``, ``issued``, or the error.

        delivered_at: True seconds when the response lay in the process's socket, or None.
    """

    grant_type: str
    connection: object
    began_at: float
    sent_at: float
    arrived_at: float
    refresh_token: RefreshToken | None = None
    outcome: str = ""
    delivered_at: float | None = None
    claimed_at: float = 0.0

    @property
    def process(self):
        """The process that has sent the request."""
        return self.connection.process

    @property
    def ended_at(self):
        """True seconds when its process stopped waiting for the response, or None."""
        return self.connection.ended_at if self.delivered_at is None else self.delivered_at


class IdentityServer:
    """
    Issues tokens, rotates refresh tokens and ends a family whose spent token comes again.

    Args:
        universe: Its time and chance.

        world: How this server behaves.

        watch: Told of every token request.

    Attributes:
        outage: Kind of outage in force, until when, and its Retry-After.
    """

    def __init__(self, universe, world, watch):
        self.universe = universe
        self.world = world
        self.watch = watch
        self.outage = (None, 0.0, None)
        self.families = []
        self.access = {}
        self.refresh = {}
        self.requests = []
        self._random = universe.stream("server")

    def accept(self, connection):
        """Give the server's end of a connection."""
        return Peer(self, connection)

    # -- sign-ins -----------------------------------------------------------------------------

    def sign_in(self, process):
        """Begin a family, as a sign-in in a process's browser does; give its first tokens."""
        family = Family(len(self.families) + 1)
        self.families.append(family)
        return self._issue(process, family)

    def revoke(self, family, why):
        """End a family of refresh tokens for the given reason."""
        if family.ended is None:
            family.ended = why
            self.universe.note("server ends sign-in", family.number, why)

    def _issue(self, process, family=None):
        access = AccessToken(
            f"at-{len(self.access) + 1}",
            process,
            family,
            self.universe.now,
            self.universe.now + self.world.lifetime,
        )
        self.access[access.text] = access
        refresh = None
        if family is not None:
            family.tokens += 1
            refresh = RefreshToken(f"rt-{family.number}-{family.tokens}", family)
            self.refresh[refresh.text] = refresh
        return access, refresh

    # -- requests -----------------------------------------------------------------------------

    def handle(self, peer, request):
        """Act on a request and send the response after a while."""
        path, form = request.path, request.form()
        self.watch.asked(peer.connection)
        if path != "/connect/token":
            self._handle_revocation(peer, form)
            return
        connection = peer.connection
        presentation = Presentation(
            form.get("grant_type", ""),
            connection,
            connection.opened_at,
            connection.sent_at,
            self.universe.now,
            self.refresh.get(form.get("refresh_token", "")),
        )
        presentation.claimed_at = presentation.began_at
        if connection.process.marked_at is not None:
            presentation.claimed_at = min(connection.process.marked_at, presentation.began_at)
        peer.presentation = presentation
        self.requests.append(presentation)
        self.watch.presented(presentation)
        if presentation.refresh_token is not None:
            presentation.refresh_token.presentations.append(presentation)
        self._respond(peer, presentation)
        self.universe.signal("arrived", connection.process)

    def _respond(self, peer, presentation):
        kind, until, retry_after = self.outage
        if kind is not None and self.universe.now < until:
            presentation.outcome = f"outage {kind}"
            self._note(presentation)
            if kind != "hang":
                self._send_outage(peer, kind, retry_after)
            return
        refresh = presentation.refresh_token
        if presentation.grant_type == "client_credentials":
            presentation.outcome = "issued"
            self._send_token(peer, *self._issue(presentation.process))
        elif refresh is None:
            presentation.outcome = "invalid_grant"
            self._refuse(peer)
        elif refresh.family.ended is not None:
            presentation.outcome = "invalid_grant"
            refresh.family.refused = True
            self._refuse(peer)
        elif refresh.spent_by is not None and not self._is_in_grace(refresh):
            presentation.outcome = "reuse"
            refresh.family.refused = True
            if self.world.reuse_ends_family:
                self.revoke(refresh.family, "reuse")
            self._refuse(peer)
        else:
            presentation.outcome = "rotated"
            if refresh.spent_by is None and self.world.rotates:
                refresh.spent_by = presentation
            access, successor = self._issue(presentation.process, refresh.family)
            self._send_token(peer, access, successor if self.world.rotates else None)
        self._note(presentation)

    def _send_outage(self, peer, kind, retry_after):
        if kind == "invalid_client":
            peer.send(401, '{"error": "invalid_client"}', "application/json")
            return
        status = {"proxy page": 404, "firewall": 403}.get(kind) or int(kind)
        headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        peer.send(status, "<html><body>default backend</body></html>", "text/html", *headers)

    def _note(self, presentation):
        shown = presentation.refresh_token and presentation.refresh_token.text
        self.universe.note(
            presentation.process.name,
            "->",
            presentation.grant_type,
            shown or "",
            presentation.outcome,
        )

    def _is_in_grace(self, refresh):
        grace = self.world.grace
        return grace > 0 and self.universe.now <= refresh.spent_by.arrived_at + grace

    def _send_token(self, peer, access, refresh):
        members = {
            "access_token": access.text,
            "token_type": "Bearer",
            "expires_in": self.world.lifetime,
        }
        if refresh is not None:
            members["refresh_token"] = refresh.text
        peer.send(200, json.dumps(members), "application/json")

    def _refuse(self, peer):
        peer.send(400, '{"error": "invalid_grant"}', "application/json")

    def _handle_revocation(self, peer, form):
        refresh = self.refresh.get(form.get("token", ""))
        if refresh is not None:
            self.revoke(refresh.family, "revoked")
        peer.send(200, "", "application/json")

    def think(self):
        """Give the seconds before a response leaves."""
        return self._random.uniform(0.001, 0.08)

"""The sessions of a web application: opened by a sign-in, found by a cookie, ended from outside."""

import contextlib
import json
import logging
import secrets
from collections import deque
from hashlib import sha256
from typing import Any

import attrs

from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import AritmaAuthError
from aritma_auth.integrations.bounded_sessions import parse_kept
from aritma_auth.integrations.session_store import SessionStore
from aritma_auth.protocol.grants import SignedInGrant
from aritma_auth.protocol.logout import LogoutToken
from aritma_auth.protocol.redaction import HiddenStr, Members, SecretText
from aritma_auth.protocol.sign_in import SignIn
from aritma_auth.provider.pool import TokenProviderPool
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.tasks import run_within
from aritma_auth.runtime.values import Value
from aritma_auth.stores.contract import TokenStore

_log = logging.getLogger("aritma_auth")

_FORMAT = 1
_HANDLE_BYTES = 32
_CAUSE_SECONDS = 600.0
"""Seconds after a sign-in in which the same demand again means that the sign-in did not help."""

_REVOCATION_TIMEOUT = 3.0
"""Seconds that an end-user who signs out waits for the revocation of the refresh token."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SignedInUser(Value):
    """
    The end-user who has signed in with a browser.

    Attributes:
        subject: The end-user's identifier at the server (``sub``).

        claims: The claims of the verified ID token, and those of UserInfo where the scope asks for
            a profile.

        tokens: The end-user's own token, refreshed before it is needed.

        started_at: POSIX seconds of the sign-in.

        ends_at: POSIX seconds when the session ends.

        key: The session's key in the store.

        id_token: The ID token, by which the sign-out names the session at the server, or None.

        cause: What demanded the sign-in, or empty.
    """

    subject: str
    claims: Members
    tokens: TokenProvider
    started_at: float
    ends_at: float
    key: str = attrs.field(repr=False)
    id_token: SecretText | None = attrs.field(repr=False)
    cause: str = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """The name to show: of the claims ``name`` and ``preferred_username``, else the subject."""
        named = (self.claims.get(claim) for claim in ("name", "preferred_username"))
        return next((name for name in named if isinstance(name, str) and name), self.subject)


@attrs.frozen(eq=False, repr=False)
class StoreKeys(Value):
    """
    The names under which one application keeps things in a session store.

    They are hashes, so that the store knows no handle and no end-user. Applications of other
    clients may use the same store and find nothing of this one's.

    Attributes:
        issuer: The server that end-users sign in at.

        client_id: The application's client.
    """

    issuer: str
    client_id: str

    def name(self, kind: str, *parts: str) -> str:
        """
        Return a key.

        Args:
            kind: What is kept there.

            parts: The handle or the identifiers that it is for.
        """
        text = json.dumps([self.issuer, self.client_id, *parts]).encode()
        return f"{kind}-{sha256(text).hexdigest()}"


class WebSessions:
    """
    Opens, finds and ends sessions.

    A session ends by its sign-out, by its time, or by a mark that a logout token has left, for one
    session of the server (``sid``) or for all of an end-user (``sub``). A mark is a random text: a
    session remembers the marks that were there when the server issued its tokens, and has ended
    when there is another. So no two clocks are compared, and an end-user can sign in again.

    Args:
        client: The client that end-users sign in to.

        sessions: Keeps the sessions.

        store: Keeps the tokens.

        lifetime: Seconds that a session lives.

        clock: The clocks of the process.
    """

    def __init__(
        self,
        client: OAuthClient,
        sessions: SessionStore,
        store: TokenStore,
        *,
        lifetime: float,
        clock: Clock,
    ) -> None:
        self.keys = StoreKeys(client.environment.issuer, client.client_id)
        self._client = client
        self._sessions = sessions
        self._store = store
        self._lifetime = lifetime
        self._clock = clock
        self._opened: deque[tuple[float, str]] = deque()
        self._pool = self._make_pool()

    def _make_pool(self) -> TokenProviderPool[str]:
        return TokenProviderPool(
            lambda key: TokenProvider(
                self._client, SignedInGrant(key), store=self._store, clock=self._clock
            )
        )

    async def read_marks(self, sign_in: SignIn) -> list[str | None]:
        """
        Return the marks that concern a sign-in, as soon as it is there.

        Args:
            sign_in: The sign-in.
        """
        subject, sid = sign_in.subject, _sid_of(sign_in)
        return [await self._sessions.get(key) for key in self._mark_keys(subject, sid)]

    async def open(
        self, sign_in: SignIn, marks: list[str | None], claims: Members, cause: str
    ) -> HiddenStr:
        """
        Open a session; return the random handle for its cookie.

        Args:
            sign_in: The sign-in.

            marks: What `read_marks` returned.

            claims: The claims that the application gets to see.

            cause: What demanded the sign-in, or an empty text.
        """
        await self._sweep()
        handle = HiddenStr(secrets.token_urlsafe(_HANDLE_BYTES))
        key, subject, now = self.session_key(handle), sign_in.subject, self._now()
        record = {
            "format": _FORMAT,
            "subject": subject,
            "sid": _sid_of(sign_in),
            "marks": marks,
            "claims": dict(claims.items()),
            "id_token": sign_in.id_token,
            "started_at": now,
            "ends_at": now + self._lifetime,
            "cause": cause,
        }
        # Before the session, so that no request finds a session without its token.
        await self._pool.provider(key).set_token(sign_in.token)
        self._opened.append((now + self._lifetime, key))
        if cause:
            await self._sessions.put(self._cause_key(key), cause, seconds=_CAUSE_SECONDS)
        await self._sessions.put(key, HiddenStr(json.dumps(record)), seconds=self._lifetime)
        return handle

    async def find(self, handle: HiddenStr) -> SignedInUser | None:
        """
        Return the end-user of a session that has not ended, or None.

        Args:
            handle: What the browser's cookie says; anything else than a handle finds nothing.

        Raises:
            AritmaAuthError: The store is away: it is unknown whether there is a session.
        """
        key = self.session_key(handle)
        text = await self._sessions.get(key)
        record = None if text is None else _parse_record(text)
        if record is None or self._now() >= record.ends_at:
            return None
        if await self._is_marked(record):
            await self.close(key)
            return None
        return SignedInUser(
            subject=record.subject,
            claims=record.claims,
            tokens=self._pool.provider(key),
            started_at=record.started_at,
            ends_at=record.ends_at,
            key=key,
            id_token=record.id_token,
            cause=record.cause,
        )

    async def _is_marked(self, record: "_Record") -> bool:
        for key, known in zip(
            self._mark_keys(record.subject, record.sid), record.marks, strict=True
        ):
            mark = await self._sessions.get(key)
            # A mark outlives every session that was opened before it: none there ends nothing.
            if mark is not None and mark != known:
                return True
        return False

    async def close(self, key: str) -> None:
        """
        End a session and forget its token.

        Args:
            key: The session's key.
        """
        await self._sessions.take(key)
        # A store that is away gives the token to nobody, since its session has gone.
        with contextlib.suppress(AritmaAuthError):
            await self._pool.forget(key)

    async def sign_out(self, user: SignedInUser) -> None:
        """
        End a session, revoke its token, and forget it.

        Args:
            user: The end-user, whose sign-out counts whether or not the server can be reached.
        """
        await self._sessions.take(user.key)
        try:
            await run_within(_REVOCATION_TIMEOUT, user.tokens.sign_out())
        except (AritmaAuthError, TimeoutError) as error:
            why = str(error) or f"it has taken more than {_REVOCATION_TIMEOUT:g} s"
            _log.warning("the token of an end-user who signs out was not revoked: %s", why)
        with contextlib.suppress(AritmaAuthError):
            await self._pool.forget(user.key)

    async def is_circle(self, user: SignedInUser, cause: str) -> bool:
        """
        Tell whether the session was opened for a cause, and no call has succeeded since.

        Another sign-in would not help then: the browser would go in a circle.

        Args:
            user: The end-user.

            cause: What demands a sign-in now.
        """
        return (
            user.cause == cause and await self._sessions.get(self._cause_key(user.key)) is not None
        )

    async def note_success(self, user: SignedInUser) -> None:
        """
        Note that calls have succeeded: what demanded the sign-in may be demanded again.

        Args:
            user: The end-user.
        """
        if user.cause and self._now() < user.started_at + _CAUSE_SECONDS:
            # The response is on its way already; without this the next demand shows a page.
            with contextlib.suppress(AritmaAuthError):
                await self._sessions.take(self._cause_key(user.key))

    async def mark_ended(self, logout: LogoutToken) -> bool:
        """
        End the sessions that a verified logout token is about.

        Returns:
            False if the token was used before, by whichever process.

        Spec: OpenID Connect Back-Channel Logout 1.0 §2.6, §2.7.
        """
        used = self.keys.name("logout", logout.token_id)
        # It is refused as expired by then, whatever the clocks of the processes say.
        seconds = max(logout.expires_at - self._now(), 0.0) + 300.0
        if not await self._sessions.add(used, "used", seconds=seconds):
            return False
        subject, sid = logout.subject, logout.session_id
        marks = [] if sid is None else [self._sid_mark(sid)]
        if subject is not None:
            # A session that does not know its sid ends with any of its end-user's.
            marks.append(self._subject_mark(subject, ""))
            marks += [self._subject_mark(subject, "known")] if sid is None else []
        try:
            for mark in marks:
                await self._sessions.put(mark, secrets.token_hex(8), seconds=self._lifetime)
        except BaseException:
            # The server may post it again.
            with contextlib.suppress(Exception):
                await self._sessions.take(used)
            raise
        return True

    def session_key(self, handle: HiddenStr) -> str:
        """Return the key of a session, which is also what its tokens are known by."""
        return self.keys.name("session", handle)

    def _cause_key(self, key: str) -> str:
        return self.keys.name("cause", key)

    def _mark_keys(self, subject: str, sid: str) -> list[str]:
        return [*([self._sid_mark(sid)] if sid else []), self._subject_mark(subject, sid)]

    def _sid_mark(self, sid: str) -> str:
        return self.keys.name("ended-sid", sid)

    def _subject_mark(self, subject: str, sid: str) -> str:
        return self.keys.name("ended-sub", subject, "known" if sid else "unknown")

    async def _sweep(self) -> None:
        """Forget the tokens of sessions that have ended by their time."""
        now = self._now()
        while self._opened and self._opened[0][0] <= now:
            with contextlib.suppress(AritmaAuthError):
                await self._pool.forget(self._opened.popleft()[1])

    def _now(self) -> float:
        return self._clock.time()

    async def aclose(self) -> None:
        """Close the providers; the sessions stay where they are kept, also for another start."""
        pool, self._pool = self._pool, self._make_pool()
        await pool.aclose()


def _sid_of(sign_in: SignIn) -> str:
    sid = sign_in.claims.get("sid")
    return sid if isinstance(sid, str) else ""


_TEXT = attrs.validators.instance_of(str)
_TIME = attrs.validators.instance_of((int, float))


@attrs.frozen(kw_only=True)
class _Record:
    subject: str = attrs.field(validator=_TEXT)
    sid: str = attrs.field(validator=_TEXT)
    marks: list[str | None] = attrs.field(validator=attrs.validators.instance_of(list))
    claims: Members = attrs.field(converter=Members)
    id_token: SecretText | None
    started_at: float = attrs.field(validator=_TIME)
    ends_at: float = attrs.field(validator=_TIME)
    cause: str = attrs.field(validator=_TEXT)


def _parse_record(text: str) -> _Record | None:
    """
    Parse what `WebSessions.open` wrote; None for another version's, which has ended.

    Raises:
        StoreError: The text is not whole.
    """
    kept: Any = parse_kept(text)
    try:
        fields = dict(kept)
        if fields.pop("format", None) != _FORMAT:
            return None
        id_token = fields.pop("id_token")
        hidden = SecretText(id_token) if isinstance(id_token, str) else None
        record = _Record(id_token=hidden, **fields)
    except (ValueError, TypeError, KeyError):
        return None
    # A mark for each key, so that none is left out of the comparison.
    return record if len(record.marks) == 1 + bool(record.sid) else None

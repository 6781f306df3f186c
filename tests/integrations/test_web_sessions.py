"""Sessions of two processes that share a store, through any history of sign-ins and logouts."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth.integrations.session_store import MemorySessionStore
from aritma_auth.integrations.web_sessions import WebSessions
from aritma_auth.protocol.logout import LogoutToken
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.sign_in import SignIn
from support.clock import FakeClock

LIFETIME = 100
SUBJECTS, SIDS = st.sampled_from(["alice", "bob"]), st.sampled_from(["", "S1", "S2", "S3"])
ACTIONS = st.one_of(
    st.tuples(st.just("open"), SUBJECTS, SIDS),
    st.tuples(st.just("open"), st.just("alice"), SIDS),
    st.tuples(st.just("close"), st.integers(0, 9)),
    st.tuples(st.just("logout"), st.none() | SUBJECTS, st.none() | SIDS.filter(bool)),
    st.tuples(st.just("replay"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([1, 40, 100])),
)


class History:
    """Two processes, and a plain model of which sessions live."""

    def __init__(self):
        self.clock = FakeClock()
        client = aa.OAuthClient("me", "secret", environment=aa.DEVELOPMENT)
        sessions = MemorySessionStore(clock=self.clock)
        store = aa.MemoryTokenStore(clock=self.clock)
        self.processes = [
            WebSessions(client, sessions, store, lifetime=LIFETIME, clock=self.clock)
            for _ in range(2)
        ]
        self.living = {}
        self.dead = []
        self.posted = []

    async def play(self, actions):
        for number, (name, *arguments) in enumerate(actions):
            process = self.processes[number % 2]
            await getattr(self, name)(process, *arguments)
            self.expire()
            await self.compare()
        for process in self.processes:
            await process.aclose()

    async def open(self, process, subject, sid):
        token = aa.Token(f"token {len(self.living)} {self.clock.mono}", expires_at=2e9)
        claims = Members({"sub": subject} | ({"sid": sid} if sid else {}))
        sign_in = SignIn(token, claims)
        marks = await process.read_marks(sign_in)
        handle = await process.open(sign_in, marks, claims, "")
        self.living[handle] = (subject, sid, self.clock.wall + LIFETIME)

    async def close(self, process, number):
        if len(self.living) > number:
            handle = [*self.living][number]
            user = await process.find(handle)
            await process.close(user.key)
            self.end(lambda each, *_: each == handle)

    async def logout(self, process, subject, sid):
        if subject is None and sid is None:
            return
        token = LogoutToken(
            subject=subject,
            session_id=sid,
            token_id=f"{len(self.posted)}",
            expires_at=self.clock.wall + 120,
        )
        assert await process.mark_ended(token)
        self.posted.append(token)
        self.end(
            lambda _handle, whose, which: (
                whose == subject
                if sid is None
                else which == sid or (not which and whose == subject)
            )
        )

    async def replay(self, process, number):
        if len(self.posted) > number and self.posted[number].expires_at > self.clock.wall:
            assert not await process.mark_ended(self.posted[number])

    async def wait(self, _process, seconds):
        self.clock.advance(seconds)

    def end(self, is_meant):
        for handle, (subject, sid, _) in [*self.living.items()]:
            if is_meant(handle, subject, sid):
                del self.living[handle]
                self.dead.append(handle)

    def expire(self):
        for handle, (_, _, ends_at) in [*self.living.items()]:
            if ends_at <= self.clock.wall:
                del self.living[handle]
                self.dead.append(handle)

    async def compare(self):
        for process in self.processes:
            for handle, (subject, _, _) in self.living.items():
                user = await process.find(handle)
                assert user is not None
                assert user.subject == subject
                assert (await user.tokens.get_token()).access_token.startswith("token")
            for handle in self.dead:
                assert await process.find(handle) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(ACTIONS, min_size=6, max_size=16))
def test_every_process_agrees_about_which_sessions_live(actions):
    """After each step of any history both processes find the living sessions, and no other."""
    asyncio.run(History().play(actions))

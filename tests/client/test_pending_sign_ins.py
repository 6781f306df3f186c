"""Sign-ins between the way out and the way back."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import aritma_auth as aa

CLIENT = aa.OAuthClient("web", environment=aa.Environment.at("https://idp.example"))
LIFETIME = 600


async def start(clock):
    client = aa.OAuthClient("web", environment=CLIENT.environment, clock=clock)
    return await client.begin_sign_in("https://app.example/callback", lifetime=LIFETIME)


@pytest.fixture
def pending(clock):
    return aa.PendingSignIns(limit=3, clock=clock)


async def test_a_request_is_given_back_to_its_browser_once(pending, clock):
    """The second time it is gone."""
    request = await start(clock)
    handle = pending.add(request)

    assert pending.take(handle) is request
    with pytest.raises(aa.StateMismatchError, match="no sign-in under way"):
        pending.take(handle)


@pytest.mark.parametrize("handle", [None, "", "guessed"])
async def test_another_browser_gets_nothing(pending, clock, handle):
    """Neither without a cookie nor with one of its own."""
    pending.add(await start(clock))
    with pytest.raises(aa.StateMismatchError):
        pending.take(handle)


async def test_handles_cannot_be_guessed(pending, clock):
    """256 random bits, and never the state that the address bar shows."""
    request = await start(clock)
    handles = {pending.add(request) for _ in range(3)}

    assert len(handles) == 3
    assert all(len(handle) >= 43 and handle not in request.url for handle in handles)


async def test_whoever_comes_too_late_starts_anew(pending, clock):
    """The last second still counts."""
    first, second = pending.add(await start(clock)), pending.add(await start(clock))
    clock.advance(LIFETIME)
    pending.take(first)
    clock.advance(1)
    with pytest.raises(aa.StateMismatchError):
        pending.take(second)


async def test_the_oldest_is_forgotten_beyond_the_limit(pending, clock):
    """Strangers who start sign-ins and never come back fill no memory."""
    handles = [pending.add(await start(clock)) for _ in range(5)]
    for handle in handles[:2]:
        with pytest.raises(aa.StateMismatchError):
            pending.take(handle)

    assert [pending.take(handle).client_id for handle in handles[2:]] == ["web"] * 3


async def test_one_browser_in_many_threads_signs_in_once(clock):
    """Of fifty answers at once, one is taken."""
    pending = aa.PendingSignIns(clock=clock)
    handle = pending.add(await start(clock))

    def take(_):
        try:
            return pending.take(handle)
        except aa.StateMismatchError:
            return None

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(take, range(50)))

    assert len([request for request in taken if request]) == 1


async def test_it_shows_no_secret(pending, clock):
    """Neither handle nor state nor verifier."""
    pending.add(await start(clock))

    assert repr(pending) == "<PendingSignIns: 1 under way>"


def test_a_limit_is_at_least_one():
    """Else no sign-in could ever end."""
    with pytest.raises(aa.ConfigurationError, match="1 or more"):
        aa.PendingSignIns(limit=0)

"""Tests of the sign-ins that wait for their authorization response."""

from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

import aritma_auth as aa

CLIENT = aa.OAuthClient("web", environment=aa.Environment.at("https://idp.example"))
LIFETIME = 600


async def begin(clock):
    client = aa.OAuthClient("web", environment=CLIENT.environment, clock=clock)
    return await client.begin_sign_in("https://app.example/callback", lifetime=LIFETIME)


class Browser:
    """A browser's cookies, and the states of the sign-ins that it has begun."""

    def __init__(self, pending, clock):
        self.pending = pending
        self.clock = clock
        self.cookies = {}

    async def begin(self, return_to="/"):
        """Begin a sign-in in a tab, and return its request."""
        added = self.pending.add(await begin(self.clock), return_to)
        self.cookies[added.cookie] = added.handle
        return added.request

    def finish(self, request, **changes):
        """Bring the authorization response of a request."""
        return self.pending.take(self.cookies, **{"state": request.state.text} | changes)


@pytest.fixture
def pending(clock):
    return aa.PendingSignIns(limit=3, clock=clock)


@pytest.fixture
def browser(pending, clock):
    return Browser(pending, clock)


async def test_a_sign_in_is_returned_to_its_browser_once(browser):
    """The second response of the same sign-in finds nothing pending."""
    request = await browser.begin("/accounts")
    taken = browser.finish(request)

    assert taken.request is request
    assert taken.return_to == "/accounts"
    with pytest.raises(aa.StateMismatchError, match="no such sign-in pending"):
        browser.finish(request)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]], ids=str)
async def test_tabs_of_one_browser_sign_in_at_the_same_time(browser, order):
    """Each tab finishes the sign-in that it has begun, in whatever order."""
    requests = [await browser.begin(f"/{number}") for number in range(3)]

    for number in order:
        taken = browser.finish(requests[number])
        assert (taken.request, taken.return_to) == (requests[number], f"/{number}")


@pytest.mark.parametrize(
    "state", [None, 5, "", "wrong", "Ålesund", "\udcff", "x" * 100_000], ids=ascii
)
async def test_a_wrong_state_takes_nothing_away(browser, state):
    """A response with another state, or none, leaves the pending sign-in to the right one."""
    request = await browser.begin()
    with pytest.raises(aa.StateMismatchError):
        browser.finish(request, state=state)

    assert browser.finish(request).request is request


async def test_a_handle_under_another_name_takes_nothing_away(browser):
    """A cookie that was renamed for a chosen state does not open the sign-in of its handle."""
    request, other = await browser.begin(), await browser.begin()
    first, second = browser.cookies
    browser.cookies = {first: browser.cookies[second], second: browser.cookies[first]}
    for each in (request, other):
        with pytest.raises(aa.StateMismatchError):
            browser.finish(each)

    browser.cookies = {first: browser.cookies[second], second: browser.cookies[first]}
    assert browser.finish(request).request is request


@pytest.mark.parametrize("handle", [None, "", "guessed"])
async def test_another_browser_gets_nothing(browser, pending, handle):
    """The right state does not count without the cookie, or with a guessed one."""
    request = await browser.begin()
    (name,) = browser.cookies
    with pytest.raises(aa.StateMismatchError):
        pending.take({} if handle is None else {name: handle}, request.state.text)

    assert browser.finish(request).request is request


async def test_handles_cannot_be_guessed(pending, clock):
    """A handle has 128 random bits, and is not the state that the address bar shows."""
    request = await begin(clock)
    handles = {pending.add(request).handle for _ in range(3)}

    assert len(handles) == 3
    assert all(len(handle) >= 22 and handle not in request.url for handle in handles)


async def test_the_cookies_of_many_tabs_fit_into_a_header(browser):
    """The 180 cookies that a browser keeps of a host are less than servers read of a header."""
    for _ in range(180):
        await browser.begin()
    header = "; ".join(f"{name}={handle}" for name, handle in browser.cookies.items())

    assert len(browser.cookies) == 180
    assert len(header) < 8000


async def test_a_response_that_is_late_does_not_count(browser, clock):
    """A response in the last second of the lifetime counts, and a later one does not."""
    first, second = await browser.begin(), await browser.begin()
    clock.advance(LIFETIME)
    assert browser.finish(first).request is first
    clock.advance(1)
    with pytest.raises(aa.StateMismatchError):
        browser.finish(second)


async def test_the_oldest_is_dropped_beyond_the_limit(browser):
    """Sign-ins that are begun and never finished do not fill the memory."""
    requests = [await browser.begin() for _ in range(5)]
    for request in requests[:2]:
        with pytest.raises(aa.StateMismatchError):
            browser.finish(request)

    assert [browser.finish(request).request for request in requests[2:]] == requests[2:]


async def test_a_response_in_many_threads_counts_once(browser):
    """Of fifty responses at once, one takes the sign-in."""
    request = await browser.begin()

    def take(_):
        try:
            return browser.finish(request)
        except aa.StateMismatchError:
            return None

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(take, range(50)))

    assert len([each for each in taken if each]) == 1


async def test_it_shows_no_secret(browser, pending):
    """Neither repr has the handle, the state or the verifier."""
    request = await browser.begin()
    added = browser.finish(request)
    shown = repr(added)
    await browser.begin()

    assert repr(pending) == "<PendingSignIns: 1 pending>"
    for secret in (added.handle, request.state.text, request.code_verifier.text):
        assert secret not in shown
    assert attrs.fields(aa.PendingSignIn).handle.repr is False


@pytest.mark.parametrize("limit", [0, -1, None, "10", True, 1.5], ids=repr)
def test_a_limit_is_a_number_of_one_or_more(limit):
    """A limit that would keep no sign-in, or is no number, is refused at construction."""
    with pytest.raises(aa.ConfigurationError, match="1 or more"):
        aa.PendingSignIns(limit=limit)


@pytest.mark.parametrize("request_", ["request", None], ids=repr)
def test_a_request_is_an_authorization_request(pending, request_):
    """A URL in the place of the request is refused."""
    with pytest.raises(aa.ConfigurationError, match="request must be an AuthorizationRequest"):
        pending.add(request_)


@pytest.mark.parametrize("cookies", [None, "sign-in-1=2", ["sign-in-1"]], ids=repr)
def test_cookies_are_a_mapping(pending, cookies):
    """A header field in the place of the cookies is refused."""
    with pytest.raises(aa.ConfigurationError, match="cookies must be a mapping"):
        pending.take(cookies, "state")


def test_a_clock_is_a_clock():
    """A function in the place of the clock is refused at construction."""
    with pytest.raises(aa.ConfigurationError, match="clock must be a Clock"):
        aa.PendingSignIns(clock=lambda: 0.0)

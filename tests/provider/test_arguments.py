"""Wrong arguments are refused when they are given, in words that name them."""

import pytest

import aritma_auth as aa
from aritma_auth.events.listeners import require_listener
from aritma_auth.runtime.clock import SystemClock
from support.fakes import FakeClient
from support.rig import GRANT, Rig

CLIENT = aa.OAuthClient("id", "secret")


async def listen(event):
    """Listen to an event, in vain."""


class AsyncListener:
    async def __call__(self, event):
        """Listen to an event, in vain."""


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"client": "id"}, "client must be a TokenSource, .*; it is of type str"),
        ({"client": None}, "client must be a TokenSource, .*; it is None"),
        ({"client": aa.OAuthClient}, "client must be a TokenSource"),
        ({"client": aa.Environment.at("https://idp.example")}, "client must be a TokenSource"),
        ({"grant": "bankservice"}, "grant must be a grant, .*; it is of type str"),
        ({"store": "/tmp/x"}, "store must be a TokenStore"),
        ({"store": aa.MemoryTokenStore}, "store must be a TokenStore"),
        ({"policy": {"refresh_timeout": 5}}, "policy must be a RefreshPolicy; it is of type dict"),
        ({"policy": None}, "policy must be a RefreshPolicy; it is None"),
        ({"policy": aa.SharingPolicy()}, "policy must be a RefreshPolicy"),
        ({"sharing": aa.RefreshPolicy()}, "sharing must be a SharingPolicy"),
        (
            {"refresh_tokens": "reusable"},
            "refresh_tokens must be a RefreshTokenUsage; it is of type",
        ),
        ({"clock": __import__("time").time}, "clock must be a Clock, such as SYSTEM_CLOCK"),
        ({"clock": SystemClock}, "clock must be a Clock"),
        ({"on_event": "log"}, "on_event must be a function that takes one event, or None"),
        ({"on_event": listen}, "on_event must be a plain function"),
        (
            {"on_event": lambda: None},
            "on_event must be a function that takes one event.* must take 1 argument$",
        ),
        ({"on_event": AsyncListener()}, "on_event must be a plain function"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_provider_refuses_what_it_cannot_use(wrong, problem):
    """The error is raised at construction; it names the argument and what was given."""
    arguments = {"client": CLIENT, "grant": GRANT} | wrong
    with pytest.raises(aa.ConfigurationError, match=problem):
        aa.TokenProvider(**arguments)


@pytest.mark.parametrize("given", [{"access_token": "x"}, "x", None])
async def test_only_a_token_is_put_in_place_or_reported(clock, given):
    """A dictionary of a token response is no Token."""
    rig = Rig(clock)
    with pytest.raises(
        aa.ConfigurationError, match=r"token must be a Token, such as sign_in\.token"
    ):
        await rig.provider.set_token(given)
    with pytest.raises(aa.ConfigurationError, match="token must be the Token that the request"):
        rig.provider.report_rejected(given)


@pytest.mark.parametrize("timeout", ["10", -1, float("nan"), True])
async def test_a_callers_timeout_is_a_number_of_seconds(clock, timeout):
    """The error names the argument and what it must be."""
    with pytest.raises(aa.ConfigurationError, match="timeout must be a number of seconds"):
        await Rig(clock).get(timeout=timeout)


@pytest.mark.parametrize("min_ttl", ["10", -1, float("nan")])
async def test_a_wished_lifetime_is_a_number_of_seconds(clock, min_ttl):
    """The error names the argument, whether or not a token is cached."""
    rig = Rig(clock)
    for _ in range(2):
        with pytest.raises(aa.ConfigurationError, match="min_ttl must be a number of seconds"):
            await rig.get(min_ttl=min_ttl)
        await rig.get()


@pytest.mark.parametrize(
    "number",
    [
        {"refresh_timeout": "30"},
        {"refresh_timeout": float("inf")},
        {"max_attempts": 1.5},
        {"max_attempts": True},
        {"backoff_cap": None},
        {"retry_after_jitter": "0.1"},
    ],
)
def test_a_policys_numbers_are_numbers(number):
    """The error names the number, not Python's comparison."""
    with pytest.raises(aa.ConfigurationError, match=f"RefreshPolicy: {next(iter(number))} must be"):
        aa.RefreshPolicy(**number)


def test_a_yes_or_no_of_sharing_is_one():
    """A text that says no would count as yes."""
    with pytest.raises(aa.ConfigurationError, match="refresh_without_store must be True or False"):
        aa.SharingPolicy(refresh_without_store="no")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"grace": -1}, "grace must be a number of seconds, 0 or more; it is -1"),
        ({"grace": "30"}, "grace must be a number of seconds, 0 or more; it is of type str"),
        ({"reusable": "no"}, "reusable must be True or False"),
        (
            {"reusable": True, "grace": 30},
            "grace must be 0 for a reusable refresh token; it is 30",
        ),
    ],
    ids=str,
)
def test_a_servers_usage_of_refresh_tokens_makes_sense(arguments, problem):
    """A refresh token that is never spent has no grace."""
    with pytest.raises(aa.ConfigurationError, match=f"RefreshTokenUsage: {problem}"):
        aa.RefreshTokenUsage(**arguments)


def test_a_middleware_refuses_what_it_cannot_use():
    """Source and listener are checked when it is made."""
    with pytest.raises(aa.ConfigurationError, match="source must be a TokenProvider"):
        aa.BearerMiddleware(CLIENT, ["https://api.example"])
    provider = aa.TokenProvider(CLIENT, GRANT)
    with pytest.raises(aa.ConfigurationError, match="on_event must be a plain function"):
        aa.BearerMiddleware(provider, ["https://api.example"], on_event=listen)


def test_a_plain_function_listens(clock):
    """So does None, and a callable object."""
    # Of some builtins it is not known what they take.
    for listener in (None, print, Rig(clock).events.append, vars, aa.events.log_event):
        require_listener(listener)


def test_a_source_of_ones_own_is_accepted(clock):
    """What a provider needs of a client is public, and small."""
    assert aa.TokenProvider(FakeClient(clock), GRANT, clock=clock).peek() is None

"""Tests of what is closed at the end: clients, providers, pools and stores."""

import copy
import pickle

import pytest

import aritma_auth as aa

MAKE = {
    "OAuthClient": lambda: aa.OAuthClient("id"),
    "TokenProvider": lambda: aa.TokenProvider.client_credentials("id", "secret"),
    "TokenProviderPool": lambda: aa.TokenProviderPool(lambda _key: MAKE["TokenProvider"]()),
    "RedisTokenStore": lambda: aa.RedisTokenStore(
        "redis://[::1]", keys=aa.EncryptionKeys({"1": "A" * 43})
    ),
}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_what_owns_connections_is_neither_copied_nor_pickled(name, duplicate):
    """A second one with the locks of the first would refresh beside it; the error says what to do."""
    with pytest.raises(TypeError, match=f"a {name} is neither pickled nor copied: make it anew"):
        duplicate(MAKE[name]())

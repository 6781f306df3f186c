"""
Secrets in the hands of the wrong method, and of the right one while the network fails.

Error reporters show the local variables of each frame. Of a mistake they see the caller's frame
alone; of a failure they see ours, in which nothing stands in clear.
"""

import pytest

import aritma_auth as aa
from aritma_auth.testing import FakeClient
from support.sign_ins import make_request

pytestmark = pytest.mark.usefixtures("no_leftovers")

API = "https://api.example"
NOWHERE = aa.Environment.at("http://127.0.0.1:1")
KEYS = aa.EncryptionKeys.generate()


def client(**settings):
    return aa.OAuthClient("id", "secret", environment=NOWHERE, timeout=1.0, **settings)


def provider():
    return aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant())


def registrar():
    return aa.ClientRegistrar(NOWHERE, timeout=1.0)


MISTAKES = {
    "a token response for a Token": lambda s: provider().set_token({"access_token": s}),
    "a text for a Token": lambda s: provider().set_token(s),
    "a rejected text": lambda s: provider().report_rejected(s),
    "a token's text for its claims": lambda s: client().fetch_userinfo(s),
    "a response to revoke": lambda s: client().revoke({"refresh_token": s}),
    "bytes to introspect": lambda s: client().introspect(s.encode()),
    "a list of ID tokens": lambda s: client().verify_id_token([s], nonce=None),
    "an access token in bytes": lambda s: client().verify_id_token(
        "a.b.c", nonce=None, access_token=s.encode()
    ),
    "a logout form": lambda s: client().verify_logout_token({"logout_token": s}),
    "an ID token in a list": lambda s: client().end_session_url(id_token_hint=[s]),
    "a refresh token for its grant": lambda s: client().fetch_token(s),
    "a code for its response": lambda s: client().exchange_code(s),
    "a stored request": lambda s: client().complete_sign_in({"code_verifier": s}, "code=a"),
    "a device code": lambda s: client().complete_device_sign_in({"device_code": s}),
    "an auth_req_id": lambda s: client().complete_backchannel_sign_in(s),
    "a hint in bytes": lambda s: client().begin_backchannel_sign_in(
        "openid", login_hint_token=s.encode()
    ),
    "a misspelt argument": lambda s: client().revoke(tokn=s),
    "an initial access token": lambda s: registrar().register(
        {"jwks": 5}, initial_access_token=[s]
    ),
    "a registration": lambda s: registrar().fetch({"registration_access_token": s}),
    "a registration to change": lambda s: registrar().update({"client_secret": s}, {}),
    "a registration to delete": lambda s: registrar().delete(s),
    "a callback in bytes": lambda s: aa.validate_logout_callback([s.encode()], state="s"),
    "a state in bytes": lambda s: aa.validate_logout_callback("state=s", state=s.encode()),
    "a session": lambda s: aa.validate_front_channel_logout("a=b", issuers="i", session_id=[s]),
    "a notification": lambda s: aa.validate_backchannel_notification(
        [s], authorization=f"Bearer {s}", body=s
    ),
    "claims of bytes": lambda s: aa.parse_unverified_claims(s.encode()),
    "challenges": lambda s: aa.parse_challenges(5, sent=[s]),
    "a plain text to encrypt": lambda s: KEYS.encrypt(s, place="p"),
    "a place that is none": lambda s: KEYS.encrypt(s.encode(), place=5),
    "a request to keep": lambda s: aa.PendingSignIns().add({"state": s}),
    "cookies in one text": lambda s: aa.PendingSignIns().take(f"aa={s}", "state"),
    "a key that proves": lambda s: aa.DPoP({"kty": "EC", "d": s}),
    "a certificate with its key": lambda s: aa.TlsClientAuth([s]),
    "the secret for its function": lambda s: aa.Secret.from_callable(s),
    "the secret for its variable": lambda s: aa.Secret.from_env(f"{s}=="),
    "the secret for its command": lambda s: aa.Secret.from_command(s),
    "a key for its file": lambda s: aa.Secret.from_file(f"-----BEGIN KEY-----\n{s}"),
    "a JWK for its file": lambda s: aa.Secret.from_file(f'{{"d": "{s}"}}'),
    "a certificate for its file": lambda s: aa.ClientCertificate(f"-----BEGIN X-----\n{s}"),
    "a key that signs elsewhere": lambda s: aa.RemoteSigner("ES256", {"d": s}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_secret_of_the_wrong_kind_shows_nowhere(mistake, canary):
    """Neither the message nor a frame of ours holds what was given."""
    with pytest.raises((aa.ConfigurationError, TypeError)) as caught:
        await MISTAKES[mistake](canary.text)

    canary.assert_hidden(caught.value)


FAILURES = {
    "introspection": lambda s: client().introspect(s),
    "revocation": lambda s: client().revoke(s),
    "nonce": lambda s: client().verify_id_token("a.b.c", nonce=s),
    "device": lambda s: client().fetch_token(aa.DeviceCodeGrant(s)),
    "user code": lambda s: client().begin_backchannel_sign_in(
        "openid", login_hint="alice", user_code=s, extra={"pin": s}
    ),
    "hint": lambda s: client().begin_backchannel_sign_in("openid", id_token_hint=s),
    "hint token": lambda s: client().begin_backchannel_sign_in("openid", login_hint_token=s),
    "pushed request": lambda s: client().begin_sign_in(
        f"{API}/back", "api", push=True, extra={"id_token_hint": s}
    ),
    "registration": lambda s: registrar().register(
        {"software_statement": s}, initial_access_token=s
    ),
    "UserInfo": lambda s: client().fetch_userinfo(aa.Token(s), subject="alice"),
    "code": lambda s: client().complete_sign_in(
        make_request(client_id="id", issuers=[NOWHERE.issuer], code_verifier=s),
        f"code={s}&state=the-state&iss={NOWHERE.issuer}",
    ),
}


@pytest.mark.parametrize("method", FAILURES)
async def test_a_secret_shows_in_no_frame_of_a_failure(method, canary):
    """Nobody listens at the server's address."""
    # Long enough for a code verifier.
    canary.text *= 2
    with pytest.raises(aa.AritmaAuthError) as caught:
        await FAILURES[method](canary.text)

    assert not isinstance(caught.value, aa.ConfigurationError)
    canary.assert_hidden(caught.value)


async def test_what_is_refused_stands_in_the_frames_of_its_caller_alone():
    """A reader of the traceback sees at once which of his lines is wrong."""
    with pytest.raises(aa.ConfigurationError, match=r"^token must be") as caught:
        await client().revoke(5)

    assert [entry.path.name for entry in caught.traceback] == [
        "test_wrong_secrets.py",
        "hidden_arguments.py",
    ]

"""The OpenID Foundation's client module about watching a session from a browser's frame."""

import base64
import hashlib

import pytest

import aritma_auth as aa
from support.flows import ONE_OF_EACH
from support.journeys import client_of, sign_in

pytestmark = pytest.mark.usefixtures("no_leftovers")


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.mark.parametrize("module", ["oidcc-client-test-session-management"])
async def test_a_session_can_be_watched(sandbox, overrides, module):
    """Every flow brings a session state, and the metadata has the frame's address."""
    environment = aa.Environment.at(sandbox.identity_url, discover=True)
    metadata = await client_of(sandbox, environment=environment).fetch_metadata()
    frame = metadata.endpoint("check_session_iframe")
    for flow in ONE_OF_EACH:
        done = await flow.sign_in(sandbox, "openid")
        page = aa.build_session_page(
            frame, client_id=flow.client_id, session_state=done.session_state
        )
        said, _, salt = done.session_state.partition(".")

        assert said == digest(f"{flow.client_id}http://127.0.0.1{done.claims['sid']}{salt}")
        assert f'"{flow.client_id} {done.session_state}"' in page.html
        assert f'"{frame}"' in page.html
    overrides.metadata = {"check_session_iframe": "https://another.example/checksession"}
    with pytest.raises(aa.ConfigurationError, match="check_session_iframe"):
        (await client_of(sandbox, environment=environment).fetch_metadata()).endpoint(
            "check_session_iframe"
        )


@pytest.mark.parametrize("scope", ["openid", "bankservice"])
async def test_the_session_state_is_kept_as_it_came(sandbox, overrides, scope):
    """The session state is kept with and without an ID token, and is None if the server sent none."""
    client = client_of(sandbox)
    for said in ("what the server makes of it", None):
        overrides.authorization_response = {"session_state": said}

        assert (await sign_in(client, scope)).session_state == said

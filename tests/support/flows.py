"""The flows of a sign-in, for tests that must hold in each."""

from typing import NamedTuple

import aritma_auth as aa
from support.journeys import client_of, sign_in


class Flow(NamedTuple):
    """
    One way to sign in.

    Attributes:
        response_type: What is asked for.

        response_mode: How it comes back; empty is the usual way.

        client_id: The sandbox's client for it.
    """

    response_type: str
    response_mode: str
    client_id: str

    async def sign_in(self, sandbox, scope="openid profile bankservice", **settings):
        """Sign an end-user in by this flow, with a client that has fetched nothing yet."""
        client = client_of(sandbox, self.client_id, **settings)
        return await sign_in(
            client, scope, response_type=self.response_type, response_mode=self.response_mode
        )


CODE = [Flow("code", "", "sandbox-web"), Flow("code", "form_post", "sandbox-web")]
IMPLICIT = [
    Flow("id_token", "", "sandbox-implicit"),
    Flow("id_token token", "form_post", "sandbox-implicit"),
]
HYBRID = [
    Flow("code id_token", "form_post", "sandbox-hybrid"),
    Flow("code token", "", "sandbox-hybrid"),
    Flow("code id_token token", "", "sandbox-hybrid"),
]
EVERY = CODE + IMPLICIT + HYBRID
"""The suite runs its basic, implicit and hybrid plans by form_post again: each has one here."""

ONE_OF_EACH = [CODE[0], IMPLICIT[1], HYBRID[0]]


async def failures(sandbox, flows, **settings):
    """Sign in by each flow; give the flows and their errors, None for a success."""
    found = {}
    for flow in flows:
        try:
            await flow.sign_in(sandbox, **settings)
        except aa.AritmaAuthError as error:
            found[flow] = error
        else:
            found[flow] = None
    return found

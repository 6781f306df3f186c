"""
A fleet of real processes on one rotating refresh token, killed and restarted while it works.

The parent runs the authorization server and the API; each worker is a process that calls the API
without a pause. The server rotates refresh tokens and ends the family when a spent one is presented
whose successor has been used: a lost answer may be asked for again, a second use may not.
"""

import asyncio
import json
import secrets
import sys
import time

import attrs
from aiohttp import web

from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.proofs import ProofValidator
from aritma_auth.stores import load_signing_key

RATE = 0.02


@attrs.define
class Handle:
    """
    A refresh token at the server.

    Attributes:
        successors: What it was exchanged for.

        is_used: It or its access token was used, so that its predecessor is spent for good.

        key: Thumbprint of the key that it and its access token are bound to, or None.
    """

    successors: list["Handle"] = attrs.field(factory=list)
    is_used: bool = False
    key: str | None = None


class RotatingServer:
    """
    An authorization server and an API that trusts it.

    Attributes:
        rotations: Refresh tokens exchanged for the first time.

        repeats: Exchanges asked for again, before the successor was used.

        reuse_events: Spent refresh tokens presented: the end of a family.

        requests: Token requests.

        refused: API calls answered with 401.

        served: API calls answered with 200.

        stale: Proofs refused for their nonce.

        unproved: Requests without a proof where one is demanded, or with a wrong one.

    With `nonce_uses` tokens are bound to the key of a DPoP proof, and a nonce is replaced after so
    many proofs; the one before it counts until then.
    """

    def __init__(self, lifetime, latency=0.0, nonce_uses=None):
        self.lifetime = lifetime
        self.proofs = None if nonce_uses is None else ProofValidator(SYSTEM_CLOCK)
        if self.proofs is not None:
            self.proofs.api.is_required, self.proofs.api.uses = True, nonce_uses
        self.stale = self.unproved = 0
        self.latency = latency
        self.first = secrets.token_hex(16)
        self._refresh = {self.first: Handle()}
        self._access = {}
        self.rotations = self.repeats = self.reuse_events = 0
        self.requests = self.refused = self.served = 0
        self.url = None
        self._runner = None

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/connect/token", self.token)
        app.router.add_get("/api", self.api)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    def prove(self, request, access_token=None):
        """Validate a request's proof; return the thumbprint of its key, and the refusal."""
        if self.proofs is None:
            return None, None
        try:
            thumbprint = self.proofs.validate(request, self.proofs.api, access_token)
        except ErrorResponse as refused:
            self.stale += refused.error == "use_dpop_nonce"
            self.unproved += refused.error != "use_dpop_nonce"
            return None, refused.error
        self.unproved += thumbprint is None
        return thumbprint, None if thumbprint else "invalid_dpop_proof"

    def nonce(self):
        """Return the header that every response carries."""
        return {} if self.proofs is None else {"DPoP-Nonce": self.proofs.api.current}

    async def token(self, request):
        form = await request.post()
        thumbprint, refusal = self.prove(request)
        if refusal is not None:
            return web.json_response({"error": refusal}, status=400, headers=self.nonce())
        self.requests += 1
        if form["grant_type"] == "client_credentials":
            await asyncio.sleep(self.latency)
            return self._answer(Handle(key=thumbprint), None)
        handle = self._refresh.get(form["refresh_token"])
        if handle is None or any(successor.is_used for successor in handle.successors):
            self.reuse_events += 1
            self._refresh.clear()
            return web.json_response({"error": "invalid_grant"}, status=400, headers=self.nonce())
        if handle.key not in {None, thumbprint}:
            self.unproved += 1
            return web.json_response({"error": "invalid_dpop_proof"}, status=400)
        if handle.successors:
            self.repeats += 1
        else:
            self.rotations += 1
        handle.is_used = True
        successor = Handle(key=thumbprint)
        handle.successors.append(successor)
        text = secrets.token_hex(16)
        self._refresh[text] = successor
        await asyncio.sleep(self.latency)
        return self._answer(successor, text)

    def _answer(self, handle, refresh_token):
        access_token = secrets.token_hex(16)
        self._access[access_token] = (time.monotonic() + self.lifetime, handle)
        return web.json_response(
            {
                "access_token": access_token,
                "token_type": "Bearer" if self.proofs is None else "DPoP",
                "expires_in": self.lifetime,
                **({} if refresh_token is None else {"refresh_token": refresh_token}),
            },
            headers=self.nonce(),
        )

    async def api(self, request):
        access_token = request.headers["Authorization"].partition(" ")[2]
        thumbprint, refusal = self.prove(request, access_token)
        if refusal is not None:
            challenge = {"WWW-Authenticate": f'DPoP error="{refusal}"', **self.nonce()}
            return web.Response(status=401, headers=challenge)
        expires_at, handle = self._access.get(access_token, (0, Handle()))
        if time.monotonic() >= expires_at or handle.key != thumbprint:
            self.refused += 1
            return web.Response(status=401, headers=self.nonce())
        handle.is_used = True
        self.served += 1
        return web.Response(headers=self.nonce())


WORKER = """
import asyncio, json, sys
sys.path[:0] = json.loads(sys.argv[1])["path"]
from support.fleet import work
asyncio.run(work(json.loads(sys.argv[1])))
"""


def open_store(spec):
    """Open the store that a worker's specification names."""
    if spec["kind"] == "redis":
        from aritma_auth.stores.encryption import EncryptionKeys
        from aritma_auth.stores.redis import RedisTokenStore

        keys = EncryptionKeys({"1": "A" * 43})
        return RedisTokenStore(spec["url"], keys=keys)
    from aritma_auth.stores.file import FileTokenStore

    return FileTokenStore(spec["path"])


async def close_store(store):
    """Let go of a store's connections, if it has any."""
    if hasattr(store, "aclose"):
        await store.aclose()


async def plant(spec, refresh_token):
    """Put the sign-in into the store that the fleet lives on."""
    from aritma_auth.protocol.tokens import Token

    ended = Token("ended", refresh_token=refresh_token, issued_at=1, expires_at=2)
    store = open_store(spec["store"])
    if await dpop_of(spec, store) is not None:
        ended = attrs.evolve(ended, token_type="DPoP")
    async with await make_provider(spec, store) as provider:
        await provider.set_token(ended)
    await close_store(store)


async def dpop_of(spec, store):
    """Load the key that the whole fleet has from the store, if its tokens are bound to one."""
    import aritma_auth as aa

    if not spec.get("dpop"):
        return None
    return aa.DPoP(await load_signing_key(store, "fleet"))


async def make_provider(spec, store):
    """Make a worker's provider, its numbers scaled down with the lifetime."""
    import aritma_auth as aa
    from aritma_auth.provider.policy import RefreshPolicy, SharingPolicy

    life = spec["lifetime"]
    policy = RefreshPolicy(
        background_window_fraction=0.5,
        backoff_base=life / 100,
        backoff_cap=life / 20,
        refresh_timeout=20.0,
        forced_refresh_interval_base=life / 100,
    )
    # Whoever dies in mid-exchange costs lease and mark: less than the soft window's second half.
    sharing = SharingPolicy(
        lease=life / 10,
        recheck_interval=life / 100,
        store_retry_interval=life / 50,
        shared_backoff_cap=life / 20,
        redemption_timeout=life / 10,
        store_loss_grace=life / 100,
    )
    environment = aa.Environment.at(spec["server"], api_origins=[spec["server"]])
    client = aa.OAuthClient(
        "worker", environment=environment, timeout=life / 12, dpop=await dpop_of(spec, store)
    )
    grant = (
        aa.ClientCredentialsGrant()
        if spec["grant"] == "client_credentials"
        else aa.SignedInGrant("fleet")
    )
    return aa.TokenProvider(
        client,
        grant,
        store=store,
        policy=policy,
        sharing=sharing,
        on_event=(lambda event: say(event=str(event))) if spec.get("verbose") else None,
    )


def say(**what):
    """Tell the parent, at once."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def work(spec):
    """Call the API until the parent lets go of our standard input."""
    import aiohttp

    store = open_store(spec["store"])
    provider = await make_provider(spec, store)
    stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    async with (
        provider,
        aiohttp.ClientSession(spec["server"], middlewares=[provider.middleware()]) as api,
    ):
        say(ready=True)
        while not stop.done():
            try:
                async with api.get("/api") as response:
                    if response.status != 200:
                        say(failed=response.status)
            except Exception as error:  # noqa: BLE001 - whatever a call fails with is told
                say(failed=f"{type(error).__name__}: {error}")
            await asyncio.sleep(RATE)
    await close_store(store)


class Fleet:
    """
    The worker processes.

    Attributes:
        failures: What workers said of calls that failed.
    """

    def __init__(self, spec, size):
        self._spec = spec
        self._size = size
        self._workers = []
        self._readers = []
        self._ready = asyncio.Semaphore(0)
        self.failures = []

    async def __aenter__(self):
        for _ in range(self._size):
            await self.hire()
        for _ in range(self._size):
            await self._ready.acquire()
        return self

    async def hire(self):
        """Start one more worker process of the fleet."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            WORKER,
            json.dumps(self._spec),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._workers.append(process)
        self._readers.append(asyncio.create_task(self._listen(process)))

    async def _listen(self, process):
        async for line in process.stdout:
            said = json.loads(line)
            if "ready" in said:
                self._ready.release()
            elif "failed" in said:
                self.failures.append(said["failed"])
            else:
                print(f"{time.monotonic():.2f}", process.pid, said["event"])

    async def kill_one(self):
        """End a worker without warning, and hire another."""
        worker = self._workers.pop(secrets.randbelow(len(self._workers)))
        worker.kill()
        await worker.wait()
        await self.hire()

    async def __aexit__(self, *_):
        for worker in self._workers:
            worker.stdin.close()
        for worker in self._workers:
            await worker.wait()
        await asyncio.gather(*self._readers)

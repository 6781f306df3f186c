"""What becomes of an API's refusal whose body has no declared length."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

import aritma_auth as aa
from support.loopback import serving

pytestmark = pytest.mark.usefixtures("no_leftovers")


class Tokens:
    """Has one token, and no other after a refusal."""

    def peek(self):
        return aa.Token("only")

    async def get_token(self, *, min_ttl=0.0, timeout=None):
        return self.peek()

    def report_rejected(self, token):
        return True


async def test_an_endless_refusal_is_not_read():
    """Its connection holds a few buffers, and is closed."""
    written, ended = [], asyncio.Event()

    async def flood(request):
        response = web.StreamResponse(status=401)
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            while sum(written) < 64 << 20:
                await response.write(bytes(1 << 18))
                written.append(1 << 18)
        except ConnectionError:
            pass
        finally:
            ended.set()
        return response

    async with serving(flood) as url:
        middleware = aa.BearerMiddleware(Tokens(), [url])
        async with aiohttp.ClientSession(middlewares=[middleware]) as session:
            async with session.get(url) as response:
                assert response.status == 401
                response.close()
            await asyncio.wait_for(ended.wait(), 30)

    assert sum(written) < 64 << 20


async def test_a_small_refusal_without_a_length_remains_readable():
    """The caller reads it although its connection was freed."""

    async def refuse(request):
        response = web.StreamResponse(status=401)
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"the reason")
        return response

    async with serving(refuse) as url:
        middleware = aa.BearerMiddleware(Tokens(), [url])
        async with aiohttp.ClientSession(middlewares=[middleware]) as session:
            async with session.get(url) as response:
                assert await response.text() == "the reason"

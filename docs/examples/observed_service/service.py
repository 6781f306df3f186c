"""
A service that an operator can see: probes, a status, and metrics for Prometheus without a collector.

It needs ``aritma-auth[otel]`` and ``opentelemetry-exporter-prometheus``, and reads ``ARITMA_CLIENT_ID``
and ``ARITMA_CLIENT_SECRET_FILE``. The addresses:

    /accounts/42   what the service is for
    /health/live   the process responds
    /health/ready  a token is there, or can be had: a failing probe takes the pod out of the rotation
    /status        the provider's status as JSON
    /metrics       for Prometheus
"""

import os
from collections.abc import AsyncIterator

import aiohttp
import aritma_auth as aa
import prometheus_client
from aiohttp import web
from aritma_auth.integrations.opentelemetry import Telemetry
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider

TOKENS = web.AppKey("tokens", aa.TokenProvider)
BANK = web.AppKey("bank", aiohttp.ClientSession)


async def account(request: web.Request) -> web.Response:
    try:
        path = f"api/v3/accounts/{request.match_info['number']}"
        async with request.app[BANK].get(path) as response:
            return web.json_response(await response.json(), status=response.status)
    except aa.AritmaAuthError as error:
        retry_after = str(round(error.retry_after or 1) or 1)
        return web.Response(status=503, headers={"Retry-After": retry_after})


async def live(_request: web.Request) -> web.Response:
    # Not the token: a restart repairs no identity server, and drops a token that may be valid.
    return web.Response(text="live")


async def ready(request: web.Request) -> web.Response:
    is_ready = await request.app[TOKENS].is_ready(timeout=1.0)
    return web.Response(status=200 if is_ready else 503, text=str(is_ready))


async def status(request: web.Request) -> web.Response:
    return web.json_response(request.app[TOKENS].status().as_dict())


async def metrics(_request: web.Request) -> web.Response:
    return web.Response(
        body=prometheus_client.generate_latest(),
        headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
    )


async def connect(app: web.Application) -> AsyncIterator[None]:
    meters = MeterProvider([PrometheusMetricReader()])
    telemetry = Telemetry(meter_provider=meters)
    async with aa.TokenProvider.from_env(on_event=telemetry) as tokens:
        app[TOKENS] = tokens
        bank_url = os.environ.get("BANK_URL") or aa.PRODUCTION.base_url("bankservice")
        signing = tokens.middleware([bank_url])
        async with aiohttp.ClientSession(bank_url, middlewares=[signing]) as app[BANK]:
            yield
    meters.shutdown()


def make_app() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(connect)
    app.add_routes(
        [
            web.get("/accounts/{number}", account),
            web.get("/health/live", live),
            web.get("/health/ready", ready),
            web.get("/status", status),
            web.get("/metrics", metrics),
        ]
    )
    return app


if __name__ == "__main__":
    web.run_app(make_app(), port=8080)

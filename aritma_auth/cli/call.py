"""``aritma-auth call``: one signed request to an API, and its response."""

import asyncio
import base64
import http
import sys
from pathlib import Path
from typing import Annotated

import aiohttp
import attrs
from cyclopts import Parameter
from yarl import URL

from aritma_auth.apis import APIS
from aritma_auth.banking.problems import parse_problem
from aritma_auth.cli.exit_codes import (
    ApiUnreachableError,
    ExitCode,
    UsageError,
    exit_code_of_status,
)
from aritma_auth.cli.json_text import format_json, parse_json
from aritma_auth.cli.open_tokens import Opened, open_tokens
from aritma_auth.cli.options import EndUser, Json, RegistrationName, Seconds
from aritma_auth.cli.settings import open_session
from aritma_auth.cli.terminal import show, show_error, waiting
from aritma_auth.environment import Environment
from aritma_auth.errors import AritmaAuthError, TransportError
from aritma_auth.protocol.redaction import JsonValue
from aritma_auth.protocol.urls import origin_of, require_secure_url

_LIMIT = 32 << 20


def call_api(
    method: Annotated[str, Parameter("METHOD")],
    target: Annotated[str, Parameter("URL")],
    /,
    *,
    api: str | None = None,
    base_url: str | None = None,
    data: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    content_type: str = "application/json",
    header: list[str] | None = None,
    scope: str | None = None,
    registration: RegistrationName | None = None,
    end_user: EndUser | None = None,
    trust_origin: bool = False,
    include: bool = False,
    output: Path | None = None,
    timeout: Seconds = 30.0,
    json: Json = False,
) -> int:
    """
    Send one signed request to an API, and print its response: JSON is indented.

    A status of 400 or more ends the command with code 4; 408, 429, 500 and more with code 6.
    Redirects are not followed. The token goes to the environment's APIs only, unless
    --trust-origin is given.

    Parameters
    ----------
    method:
        HTTP method, such as GET.
    target:
        Address of the resource: an https URL, or a path below the API's base URL.
    api:
        Which of Aritma's APIs: bankservice (default), banking, psd2, events, iam or erphub. It sets
        the base URL and the scope.
    base_url:
        Base URL of another API.
    data:
        Body of the request; @FILE reads a file, - reads standard input.
    content_type:
        Media type of the body.
    header:
        A further header, such as "Idempotency-Key: 42"; may be repeated.
    scope:
        Scope to request; by default the API's if --api is given, else that of the settings.
    registration:
        Read the settings from this registration of a TOML file.
    end_user:
        Sign with the token of this sign-in of aritma-auth login.
    trust_origin:
        Send the token although the environment does not list the URL's origin.
    include:
        Print status and headers to standard error.
    output:
        Write the body to this file as it is.
    timeout:
        Seconds for the whole request.
    json:
        Print status, headers and body as one JSON object.
    """
    if api is not None and api not in APIS:
        raise UsageError(f"--api must be one of {', '.join(APIS)}, not {api!r}")
    if api is not None and base_url is not None:
        raise UsageError("--api and --base-url exclude each other: give one of them")
    headers = _parse_headers(header or [])
    method = _parse_method(method)
    # Here, where no loop runs: while it is read, Ctrl-C ends the command at once.
    body = _read_body(data)
    if body is not None:
        headers.setdefault("Content-Type", content_type)
    headers.setdefault("Accept", "application/json, */*;q=0.5")

    async def call() -> _Response:
        opening = open_tokens(
            end_user,
            registration=registration,
            scope=scope or (None if api is None else _scope_of(api)),
        )
        async with opening as signed_in:
            environment = signed_in.client.environment
            chosen_url = base_url or (signed_in.base_url if api is None else None)
            url = _address(environment, target, api, chosen_url)
            if not trust_origin:
                _require_listed(environment, url, chosen_url)
            with waiting(f"{method} {url.host}"):
                return await _send(signed_in, method, url, headers, body, timeout)

    return _show(asyncio.run(call()), include=include, output=output, as_json=json)


@attrs.frozen
class _Response:
    status: int
    reason: str
    headers: list[tuple[str, str]]
    content_type: str
    body: bytes

    @property
    def json(self) -> JsonValue | None:
        """The body as JSON with its numbers as they are written, or None if it is none."""
        is_json = self.content_type == "application/json" or self.content_type.endswith("+json")
        return parse_json(self.body) if is_json else None

    @property
    def text(self) -> str | None:
        """The body as text, or None if it is binary."""
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            return None


def _parse_method(method: str) -> str:
    if not method.isascii() or not method.replace("-", "").isalpha():
        raise UsageError(f"METHOD must be an HTTP method, such as GET, not {method!r}")
    return method.upper()


def _scope_of(api: str) -> str | None:
    scope = APIS[api].scope
    return None if scope is None else " ".join(scope)


def _parse_headers(lines: list[str]) -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not name.isascii() or not name.replace("-", "").isalnum():
            raise UsageError(f"--header must be a name, a colon and a value, not {name!r}")
        if name.lower() in {"authorization", "cookie", "proxy-authorization"}:
            raise UsageError(
                f"--header must not be {name}: other users of this machine can read a command line"
            )
        if not value.isprintable():
            raise UsageError(f"--header {name} must have a printable value")
        # One spelling of each name, so that a default does not join it.
        headers[name.title()] = value
    return headers


def _read_body(data: str | None) -> bytes | None:
    if data is None:
        return None
    if data in {"-", "@-"}:
        return sys.stdin.buffer.read()
    return Path(data[1:]).read_bytes() if data.startswith("@") else data.encode()


def _address(environment: Environment, target: str, api: str | None, base_url: str | None) -> URL:
    scheme, separator, _ = target.partition("://")
    # A path may have an address in its query.
    if separator and scheme.isalnum():
        return require_secure_url(target, "the URL")
    base = base_url
    if api is not None or not base:
        if api is None and environment.name not in {"production", "development"}:
            raise UsageError(
                f"{environment.issuer} has no API of Aritma: give the whole URL, --base-url or "
                "ARITMA_BASE_URL"
            )
        base = environment.base_url(api or "bankservice")
    base = f"{base.rstrip('/')}/"
    url = require_secure_url(base + target.lstrip("/"), "--base-url")
    # Dot segments could leave the API's part of the host.
    if not str(url).startswith(str(URL(base))):
        raise UsageError(f"the path must stay below {base}: remove its dot segments")
    return url


def _require_listed(environment: Environment, url: URL, base_url: str | None) -> None:
    listed = environment.api_origins
    if not listed and base_url:
        # An issuer of one's own lists no API: its base URL names one.
        listed = frozenset({origin_of(URL(base_url))})
    if origin_of(url) not in listed:
        names = ", ".join(sorted(origin.url for origin in listed))
        raise UsageError(
            f"{origin_of(url).url} must be one of the environment's APIs ({names or 'none is'} "
            "listed): add --trust-origin to send the token there, or set ARITMA_API_ORIGINS"
        )


async def _send(
    signed_in: Opened,
    method: str,
    url: URL,
    headers: dict[str, str],
    body: bytes | None,
    timeout: float,
) -> _Response:
    middleware = signed_in.tokens.middleware(origins=[origin_of(url).url], strict=True)
    # A token that is bound to the client's certificate is refused without it (RFC 8705 §3).
    context = signed_in.client.ssl_context
    try:
        async with (
            open_session() as session,
            session.request(
                method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                middlewares=[middleware],
                ssl=True if context is None else context,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response,
        ):
            return _Response(
                response.status,
                response.reason or "",
                [*response.headers.items()],
                response.content_type,
                await _read(response),
            )
    except AritmaAuthError:
        raise
    except (aiohttp.ClientError, OSError, ValueError) as error:
        problem = _describe(error, url, timeout)
    raise problem


def _describe(error: Exception, url: URL, timeout: float) -> AritmaAuthError:
    # A new error, raised outside of the handler: aiohttp's holds the request and its token.
    place = f"{url.host}:{url.port}"
    if isinstance(error, TimeoutError):
        return ApiUnreachableError(f"no response from {place} within {timeout:g} seconds")
    return ApiUnreachableError(f"the request to {place} failed ({type(error).__name__})")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LIMIT:
            raise TransportError(f"the response is longer than {_LIMIT} bytes")
    return bytes(body)


def _show(response: _Response, *, include: bool, output: Path | None, as_json: bool) -> int:
    if include:
        show_error(f"{response.status} {response.reason}")
        for name, value in response.headers:
            show_error(f"{name}: {value}")
    if output is not None:
        output.write_bytes(response.body)
    if as_json:
        _show_lines(format_json(_as_json(response)))
    elif output is None:
        _show_body(response)
    if response.status < http.HTTPStatus.MULTIPLE_CHOICES:
        return ExitCode.DONE
    if response.status < http.HTTPStatus.BAD_REQUEST:
        places = [value for name, value in response.headers if name.lower() == "location"]
        place = places[0] if places else "nowhere"
        if not as_json:
            show_error(f"error: {response.status} redirects to {place}; it was not followed")
        return ExitCode.FAILED
    if not as_json:
        problem = parse_problem(response.status, response.body, response.content_type)
        reason = "" if problem.title else f" {response.reason}"
        show_error(f"error: {problem}{reason}")
    return exit_code_of_status(response.status)


def _as_json(response: _Response) -> dict[str, JsonValue]:
    body: JsonValue = response.json
    encoded = None
    if body is None:
        body = response.text
        encoded = None if body is not None else base64.b64encode(response.body).decode()
    # A name may come twice, in two spellings; the values of Set-Cookie must not be joined.
    values: dict[str, list[JsonValue]] = {}
    for name, value in response.headers:
        values.setdefault(name.lower(), []).append(value)
    return {
        "status": response.status,
        "headers": {**values},
        "body": body,
        "body_base64": encoded,
    }


def _show_body(response: _Response) -> None:
    body, text = response.json, response.text
    if body is not None:
        _show_lines(format_json(body))
    elif text is None:
        show_error(f"The body is binary ({len(response.body)} bytes): write it with --output FILE")
    elif text:
        _show_lines(text)


def _show_lines(text: str) -> None:
    for line in text.splitlines():
        show(line)

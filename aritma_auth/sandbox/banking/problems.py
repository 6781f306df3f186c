"""How the Banking APIs say no (RFC 9457), and the headers of their versions."""

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

_SUPPORTED = "1.0"
_DEPRECATED = "0.9"


class Problem(Exception):  # noqa: N818 - an answer, not an error of ours
    """
    An answer with problem details.

    Args:
        status: HTTP status.

        detail: What is wrong.

        headers: Header fields.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self._status = status
        self._detail = detail
        self._headers = headers

    def response(self, request: web.Request) -> web.Response:
        """
        Make the answer.

        Args:
            request: What it answers.
        """
        return web.json_response(
            {
                "type": "about:blank",
                "title": HTTPStatus(self._status).phrase,
                "status": self._status,
                "detail": self._detail,
                "instance": request.path,
            },
            status=self._status,
            headers=self._headers,
            content_type="application/problem+json",
        )


@web.middleware
async def show_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with the problem that a handler met."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response(request)


@web.middleware
async def show_versions(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say which versions of v4 there are, and refuse the others."""
    if not request.path.startswith("/api/") or request.path.startswith("/api/v3/"):
        return await handler(request)
    version = request.headers.get("api-version", _SUPPORTED)
    if version in {_SUPPORTED, _DEPRECATED}:
        response = await handler(request)
    else:
        response = Problem(400, f"There is no version {version}.").response(request)
    response.headers["api-supported-versions"] = _SUPPORTED
    response.headers["api-deprecated-versions"] = _DEPRECATED
    return response

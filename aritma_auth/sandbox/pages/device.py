"""The pages on which an end-user approves a device."""

from aiohttp import web

from aritma_auth.sandbox.pages import form_security, templates
from aritma_auth.sandbox.state import SandboxState

_UNKNOWN = "This code is unknown or has expired."


class DevicePages:
    """The routes of the device page (RFC 8628 §3.3)."""

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/device", self.show)
        app.router.add_post("/device", self.decide)

    async def show(self, request: web.Request) -> web.Response:
        """Show the page for the user code, then the consent page."""
        if self._subject(request) is None:
            return _redirect_to_sign_in(request.path_qs)
        user_code = request.query.get("user_code", "").strip()
        if not user_code:
            return templates.device_code_page()
        device = self._sandbox.device_codes.find(user_code)
        if device is None:
            return templates.device_code_page(_UNKNOWN)
        return form_security.show(
            request,
            lambda token: templates.device_consent_page(
                token, user_code, device.client_id, device.scope
            ),
        )

    async def decide(self, request: web.Request) -> web.Response:
        """Take the end-user's decision."""
        form = await form_security.read_form(request)
        user_code = form.get("user_code", "")
        user = self._subject(request)
        if user is None:
            return _redirect_to_sign_in(form_security.address("/device", {"user_code": user_code}))
        agreed = form.get("decision") == "yes"
        if not self._sandbox.device_codes.decide(user_code, user if agreed else None):
            return templates.device_code_page(_UNKNOWN)
        said = "Your device is signed in." if agreed else "Your device is not signed in."
        return templates.done_page("Done", f"{said} You can close this page.")

    def _subject(self, request: web.Request) -> str | None:
        session = form_security.session_of(request, self._sandbox.sessions)
        return None if session is None else session.subject


def _redirect_to_sign_in(return_url: str) -> web.Response:
    return form_security.redirect(
        form_security.address("/account/login", {"return_url": return_url})
    )

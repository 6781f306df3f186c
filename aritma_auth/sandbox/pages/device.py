"""Where a person signs in for another device (RFC 8628 §3.3)."""

from aiohttp import web

from aritma_auth.sandbox.pages import form_security, templates
from aritma_auth.sandbox.state import SandboxState

_UNKNOWN = "There is no such code, or it is too old."


class DevicePages:
    """
    The routes for people with a device.

    Args:
        sandbox: Who knows the devices.
    """

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def add_routes(self, app: web.Application) -> None:
        """
        Add the routes.

        Args:
            app: The identity server's application.
        """
        app.router.add_get("/device", self.show)
        app.router.add_post("/device", self.answer)

    async def show(self, request: web.Request) -> web.Response:
        """Ask for the device's code, and then whether the person agrees."""
        if self._subject(request) is None:
            return _sign_in(request.path_qs)
        user_code = request.query.get("user_code", "").strip()
        if not user_code:
            return templates.device_code_page()
        device = self._sandbox.devices.find(user_code)
        if device is None:
            return templates.device_code_page(_UNKNOWN)
        return form_security.show(
            request,
            lambda token: templates.device_consent_page(
                token, user_code, device.client_id, device.scope
            ),
        )

    async def answer(self, request: web.Request) -> web.Response:
        """Take the person's word."""
        form = await form_security.read_form(request)
        user_code = form.get("user_code", "")
        person = self._subject(request)
        if person is None:
            return _sign_in(form_security.address("/device", {"user_code": user_code}))
        agreed = form.get("answer") == "yes"
        if not self._sandbox.devices.decide(user_code, person if agreed else None):
            return templates.device_code_page(_UNKNOWN)
        said = "Your device is signed in." if agreed else "Your device is not signed in."
        return templates.done_page("Done", f"{said} You can close this page.")

    def _subject(self, request: web.Request) -> str | None:
        session = self._sandbox.sign_ins.session(request.cookies.get(form_security.SESSION_COOKIE))
        return None if session is None else session.subject


def _sign_in(return_url: str) -> web.Response:
    return form_security.redirect(
        form_security.address("/account/login", {"return_url": return_url})
    )

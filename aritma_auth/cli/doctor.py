"""``aritma-auth doctor``: what a server offers, what this client needs, and what is in between."""

import os
from collections.abc import Awaitable, Callable
from typing import Annotated

import aiohttp
import attrs
from cyclopts import Parameter
from yarl import URL

from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.cli.findings import Finding, examine, examine_keys, name_server
from aritma_auth.cli.network_checks import examine_network
from aritma_auth.cli.options import Json, RegistrationName
from aritma_auth.cli.settings import make_client, open_session, read_registration
from aritma_auth.cli.terminal import as_line, show, show_json, show_styled, waiting
from aritma_auth.client.client import OAuthClient
from aritma_auth.environment import Environment
from aritma_auth.errors import AritmaAuthError, ConfigurationError, TransportError, printable
from aritma_auth.network.transport import Transport
from aritma_auth.protocol.client_auth import ClientSecretPost
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.protocol.http_messages import HttpRequest, HttpResponse
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.protocol.metadata import build_metadata_urls
from aritma_auth.protocol.profiles import FAPI2, Profile
from aritma_auth.protocol.redaction import Members
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.secret import Secret

_TOLERATED_SKEW = 30.0
_MARKS = {"ok": ("ok", "green"), "note": ("--", "yellow"), "problem": ("NO", "bold red")}


async def examine_server(
    issuer: Annotated[str | None, Parameter("ISSUER")] = None,
    /,
    *,
    request_token: bool = False,
    fapi: bool = False,
    registration: RegistrationName | None = None,
    json: Json = False,
) -> int:
    """
    Check a server, the way to it and this client's settings; each finding says what to do.

    Every check is made, whatever the others found: proxy, TLS, metadata and the issuer's spelling,
    the server's generation, grants, client authentication, PKCE, PAR, bound tokens, keys and clock.
    The client is the one in ARITMA_CLIENT_ID; without one only the server is checked. A problem
    ends the command with code 1.

    Parameters
    ----------
    issuer:
        The server: production, development or an issuer's URL; by default that of the settings.
    request_token:
        Request a token, too; otherwise no secret is sent.
    fapi:
        Require the server and the client to be ready for FAPI 2.0, and name each lack.
    registration:
        Read the settings from this registration of a TOML file.
    json:
        Print the findings as one JSON object.
    """
    async with open_session() as session:
        examination = Examination(issuer, registration, session)
        with waiting("examining the server"):
            await examination.run(request_token=request_token, fapi=fapi)
    findings = examination.findings
    problems = sum(finding.status == "problem" for finding in findings)
    if json:
        show_json(
            {
                "issuer": examination.environment.issuer,
                "problems": problems,
                "findings": [finding.as_json() for finding in findings],
            }
        )
    else:
        _show(findings, problems)
    return ExitCode.DONE if problems == 0 else ExitCode.FAILED


class Examination:
    """
    One run of all checks.

    Args:
        issuer: The server, or None for that of the settings.

        registration: Name of a registration in a TOML file; None reads variables.

        session: The session whose connections are used.

    Attributes:
        findings: What was found so far.

        environment: The server.

    Raises:
        ConfigurationError: The server is no URL.
    """

    def __init__(
        self, issuer: str | None, registration: str | None, session: aiohttp.ClientSession
    ) -> None:
        self.findings: list[Finding] = []
        self.environment = Environment.named(issuer or _server_of_variables())
        self._session = session
        self._proxy: str | None = None
        self._profile: Profile | None = None
        self._registered: OAuthClient | None = None
        self._grant = ClientCredentialsGrant()
        try:
            settings = read_registration(registration, requires_credential=False)
            registered = make_client(settings, session)
            self._grant = settings.make_grant()
            self._proxy = settings.plain_settings.get("proxy")
            self._profile = registered.profile
        except ConfigurationError as error:
            if registration is not None or os.environ.get("ARITMA_CLIENT_ID"):
                self.findings.append(Finding("settings", "not usable", str(error)))
        else:
            self._registered = registered
            if issuer is None:
                # Tenants and everything else that the variables say.
                self.environment = registered.environment
        self._transport = Transport(session, proxy=self._proxy)

    async def run(self, *, request_token: bool, fapi: bool) -> None:
        """
        Make every check.

        Args:
            request_token: Request a token, too.

            fapi: What FAPI 2.0 lacks is a problem, as it is for a client that has its profile.
        """
        self._examine_settings()
        self.findings += await examine_network(URL(self.environment.issuer), proxy=self._proxy)
        document = await self._find_document()
        client = self._client()
        if document is not None:
            await self._try("metadata", lambda: self._examine_metadata(client, document))
        await self._try("keys", lambda: self._examine_keys(client))
        if document is not None:
            await self._try("FAPI 2.0", lambda: self._examine_readiness(client, fapi=fapi))
        self._examine_clock(None if document is None else client.clock_skew)
        if request_token:
            await self._try("token", lambda: self._examine_token(client))

    async def _try(self, what: str, check: Callable[[], Awaitable[None]]) -> None:
        try:
            await check()
        except AritmaAuthError as error:
            self.findings.append(Finding(what, "none", str(error)))

    def _client(self) -> OAuthClient:
        """Make the client: with the credentials of the settings, if there are any."""
        registered = self._registered
        if registered is None:
            return OAuthClient("none", environment=self.environment, session=self._session)
        if registered.environment is self.environment:
            return registered
        auth = registered.client_auth
        secret = auth.secret if isinstance(auth, ClientSecretPost) else None
        return OAuthClient(
            registered.client_id,
            # A secret alone leaves the method to what the server's metadata offers.
            secret if isinstance(secret, Secret) else auth,
            environment=self.environment,
            session=self._session,
            proxy=self._proxy,
        )

    def _examine_settings(self) -> None:
        registered = self._registered
        if registered is None:
            note = "set ARITMA_CLIENT_ID to check what your client needs"
            self.findings.append(Finding("client", "none: only the server is checked", note=note))
        else:
            found = f"{registered.client_id}, authenticates by {registered.client_auth.method}"
            self.findings.append(Finding("client", found))

    async def _find_document(self) -> Members | None:
        """Find the metadata, and go on with the issuer that it names."""
        problems = []
        for url in build_metadata_urls(self.environment.issuer):
            try:
                document = await self._get_json(url)
            except AritmaAuthError as error:
                problems.append(f"{URL(url).path}: {error}")
                if isinstance(error, TransportError):
                    # The other addresses are on the same host.
                    break
            else:
                self.findings.append(Finding("metadata", url))
                self._examine_issuer(document)
                return document
        advice = "check the issuer, or give the endpoints in Environment.at"
        self.findings.append(Finding("metadata", "none", f"{'; '.join(problems)}: {advice}"))
        return None

    async def _get_json(self, url: str) -> Members:
        response: HttpResponse = await self._transport.send(
            HttpRequest("GET", url, {"Accept": "application/json"})
        )
        return parse_json_response(response, now=SYSTEM_CLOCK.time(), what="the metadata's address")

    def _examine_issuer(self, document: Members) -> None:
        named, environment = document.get("issuer"), self.environment
        if named in environment.issuers:
            self.findings.append(Finding("issuer", str(named)))
            return
        if not isinstance(named, str):
            self.findings.append(Finding("issuer", "none", "the metadata must name its issuer"))
            return
        ours = environment.issuer
        how = "names another server"
        if named.rstrip("/") == ours.rstrip("/"):
            how = "differs by a slash at the end"
        elif named.casefold() == ours.casefold():
            how = "differs in capital letters"
        advice = f"{how}: spell it like this, since it is compared exactly, or list it as an alias"
        self.findings.append(Finding("issuer", printable(named), advice))
        self.environment = attrs.evolve(
            environment,
            issuer_aliases=environment.issuer_aliases | {named},
            api_origins=environment.api_urls,
            endpoint_origins=[origin.url for origin in environment.endpoint_origins],
        )

    async def _examine_metadata(self, client: OAuthClient, document: Members) -> None:
        metadata = await client.fetch_metadata()
        has_oauth_metadata = False
        if str(document.get("token_endpoint", "")).endswith("/connect/token"):
            has_oauth_metadata = await self._has_oauth_metadata()
        named = name_server(document, has_oauth_metadata=has_oauth_metadata)
        self.findings.append(Finding("server", named))
        self.findings += examine(client, metadata)

    async def _has_oauth_metadata(self) -> bool:
        try:
            await self._get_json(build_metadata_urls(self.environment.issuer)[1])
        except AritmaAuthError:
            return False
        return True

    async def _examine_keys(self, client: OAuthClient) -> None:
        try:
            self.findings.append(examine_keys(await client.fetch_keys()))
        except AritmaAuthError as error:
            self.findings.append(Finding("keys", "none", f"{error}; no ID token can be verified"))

    async def _examine_readiness(self, client: OAuthClient, *, fapi: bool) -> None:
        report = await client.assess_profile(self._profile or FAPI2)
        ours = report.client_problems if self._registered is not None else ()
        lacks = [*report.server_problems, *ours]
        if not lacks:
            self.findings.append(Finding("FAPI 2.0", "ready"))
        elif fapi or self._profile is not None:
            self.findings += [Finding("FAPI 2.0", "not ready", lack) for lack in lacks]
        else:
            counts = (
                f"the server lacks {len(report.server_problems)} things, this client {len(ours)}"
            )
            note = "if you need this profile, --fapi names what is missing"
            self.findings.append(Finding("FAPI 2.0", f"not ready: {counts}", note=note))

    def _examine_clock(self, ahead: float | None) -> None:
        if ahead is None:
            note = "compare this machine's time with another's: the server has not told its own"
            self.findings.append(Finding("clock", "unknown: not compared", note=note))
            return
        is_close = abs(ahead) <= _TOLERATED_SKEW
        problem = None if is_close else "set this machine's clock, or tell the server's owner"
        self.findings.append(Finding("clock", f"{round(ahead):+d} s from ours", problem))

    async def _examine_token(self, client: OAuthClient) -> None:
        problems = [finding for finding in self.findings if finding.what == "issuer"]
        registered = self._registered
        note = None
        if registered is None or any(finding.problem for finding in problems):
            note = "set ARITMA_CLIENT_ID, and the issuer exactly: no secret was sent"
        elif registered.environment.issuer != self.environment.issuer:
            note = (
                f"the client's secret belongs to {registered.environment.issuer}: it was not sent"
            )
        if note is not None:
            self.findings.append(Finding("token", "not requested", note=note))
            return
        token = await client.fetch_token(self._grant)
        granted = self._grant.scope if token.scope is None else token.scope
        self.findings.append(
            Finding("token", f"{token.token_type} for {' '.join(granted or ['any scope'])}")
        )


def _server_of_variables() -> str:
    variables = (os.environ.get(f"ARITMA_{name}") for name in ("ISSUER", "ENVIRONMENT"))
    return next(filter(None, variables), "production")


def _show(findings: list[Finding], problems: int) -> None:
    from rich.table import Table  # JSON needs none

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(max_width=21)
    table.add_column(overflow="fold")
    for finding in findings:
        mark, style = _MARKS[finding.status]
        table.add_row(as_line(mark, style), as_line(finding.what), as_line(finding.found))
        advice = finding.problem or finding.note
        if advice is not None:
            table.add_row("", "", as_line(f"> {advice}", style))
    show_styled(table)
    show("")
    if problems:
        show(f"Problems: {problems}.")
    elif any(finding.what == "token" for finding in findings):
        show("No problem found.")
    else:
        show("No problem found. The secret was not tried: add --request-token.")

"""``aritma-auth config``: which settings are in effect, and which there are."""

import os
from collections.abc import Iterator
from pathlib import Path

import attrs
import cyclopts

from aritma_auth.cli.exit_codes import ExitCode, UsageError
from aritma_auth.cli.options import Json
from aritma_auth.cli.terminal import show, show_json
from aritma_auth.client.client import OAuthClient
from aritma_auth.configuration.registration import Registration
from aritma_auth.configuration.settings import SETTINGS, Found
from aritma_auth.configuration.sources import Given, read_file, read_variables
from aritma_auth.errors import AritmaAuthError
from aritma_auth.secret import Secret

_DECIDED = "follows from these"

app = cyclopts.App(name="config", help="Explain the settings of a client.")


@attrs.frozen
class Effective:
    """
    What holds for one setting.

    Attributes:
        name: The setting.

        value: Its value, for a reader; a secret is hidden.

        source: The variable or the file that has given it, or what has decided it.
    """

    name: str
    value: str
    source: str


@app.command(name="check")
def check_settings(
    registration: str | None = None, *, file: Path | None = None, json: Json = False
) -> int:
    """
    Show which settings are in effect and where each came from; nothing is sent.

    Without a registration the settings are those of the environment's variables. Secrets are
    hidden. A setting that is missing, unknown or contradictory ends the command with code 3.

    Parameters
    ----------
    registration:
        Read this registration of a TOML file instead.
    file:
        The file, instead of the one in ARITMA_CONFIG or aritma.toml.
    json:
        Print settings and problems as one JSON object.
    """
    if registration is None and file is not None:
        raise UsageError("--file needs --registration beside it: name one that the file has")
    settings = (
        read_variables(os.environ)
        if registration is None
        else read_file(registration, file, os.environ)
    )
    known = Registration(settings)
    problems = known.problems()
    given = [*_as_given(known)]
    decided = [] if problems else _decide(known, problems)
    if json:
        show_json(
            {
                "from": settings.place,
                "given": [attrs.asdict(each) for each in given],
                "effective": {each.name: each.value for each in decided},
                "problems": [*problems],
            }
        )
    else:
        show(f"from {settings.place}")
        for each in (*given, *decided):
            show(f"{each.name:<24} {each.value}  ({each.source})")
        for problem in problems:
            show(f"NO  {problem}")
    return ExitCode.CONFIGURATION if problems else ExitCode.DONE


@app.command(name="list")
def list_settings(*, json: Json = False) -> int:
    """
    List every setting: its variable, its key in the file, and what it means.

    Parameters
    ----------
    json:
        Print them as one JSON object.
    """
    if json:
        show_json(
            {
                setting.name: {
                    "variable": setting.variable if setting.is_variable else None,
                    "in_file": setting.is_in_file,
                    "kind": setting.kind,
                    "meaning": setting.summary,
                    "default": setting.default or None,
                }
                for setting in SETTINGS.values()
            }
        )
        return ExitCode.DONE
    for setting in SETTINGS.values():
        places = [setting.variable] * setting.is_variable + [setting.name] * setting.is_in_file
        default = f" (default: {setting.default})" if setting.default else ""
        show(f"{', '.join(places)}: {setting.summary}{default}")
    return ExitCode.DONE


def _as_given(known: Registration) -> Iterator[Effective]:
    given = known.settings.given
    for name in SETTINGS:
        if name in given:
            # In the file a setting is called by its name, in the environment by its variable.
            source = given[name].name
            yield Effective(name, _display(given[name]), "the file" if source == name else source)


def _display(given: Given) -> str:
    text = _as_text(given.value)
    # A URL may hold a password where none is allowed.
    if given.setting.is_hidden or ("://" in text and "@" in text):
        return "***"
    if given.setting.kind == "command":
        # Its arguments may be secret.
        return f"{text.split()[0]} ..."
    return text


def _as_text(value: Found) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return " ".join(value)
    return value if isinstance(value, str) else " ".join(f"{k}={v}" for k, v in value.items())


def _decide(known: Registration, problems: list[str]) -> list[Effective]:
    """Return what follows from the settings; what cannot is added to the problems."""
    try:
        environment, grant = known.make_environment(), known.make_grant()
        client_auth = known.make_client_auth()
        # Its constructor refuses what is out of range.
        OAuthClient(known.client_id, environment=environment, **known.plain_settings)
    except AritmaAuthError as error:
        problems.append(str(error))
        return []
    if isinstance(client_auth, Secret):
        # A secret alone goes where the server wants it.
        method = "as the server's metadata says" if environment.discovers else "client_secret_post"
    else:
        method = "none" if client_auth is None else client_auth.method
    endpoints = "the server's metadata" if environment.discovers else environment.token_endpoint
    return [
        Effective("issuer", environment.issuer, _DECIDED),
        Effective("endpoints", endpoints, _DECIDED),
        Effective("client authentication", method, _DECIDED),
        Effective("scope", " ".join(grant.scope or ()) or "none", _DECIDED),
        Effective("tokens may go to", " ".join(environment.api_urls) or "no API", _DECIDED),
    ]

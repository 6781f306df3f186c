"""
What ``--json`` writes, as JSON Schema: the one place from which the reference is made.

A member is added, never renamed or removed: programs read these. ``aritma-auth schema`` prints
them.

Source: JSON Schema 2020-12.
"""

from collections.abc import Mapping

from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.protocol.redaction import JsonValue

Schema = dict[str, JsonValue]

_NUMBER: JsonValue = ["number", "null"]
_TEXT: JsonValue = ["string", "null"]
_OUTCOMES: list[JsonValue] = [code.name.lower() for code in ExitCode if code]
_CODES: list[JsonValue] = [*(int(code) for code in ExitCode if code), 126, 127]
"""Those of the command, and a shell's of a program that `exec` cannot run."""


def _object(description: str, **members: Schema) -> Schema:
    """Describe an object that has these members and no other."""
    return {
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "required": [*members],
        "properties": dict(members),
    }


def _is(kind: JsonValue, description: str, **more: JsonValue) -> Schema:
    return {"type": kind, "description": description, **more}


def _always(description: str, *, value: JsonValue) -> Schema:
    return {"const": value, "description": description}


def _count(description: str) -> Schema:
    return _is("integer", description, minimum=0)


def _list(description: str, items: Schema) -> Schema:
    return _is("array", description, items=items)


def _map(description: str, kind: str) -> Schema:
    return _is("object", description, additionalProperties={"type": kind})


def _claims(description: str) -> Schema:
    return _is("object", description)


def _event() -> Schema:
    texts = ("issuer", "client_id", "tenant", "key", "grant", "scope", "fingerprint")
    own: Schema = {
        "time": _is("string", "In this machine's zone (ISO 8601)."),
        "event": {**_is("string", "The event's name."), "not": {"const": "Summary"}},
    }
    whose: Schema = {name: _is("string", "Whose token it is; left out if empty.") for name in texts}
    return {
        "description": "What happened to the token; further members are the event's own.",
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
        "required": [*own],
        "properties": own | whose,
    }


def _summary() -> Schema:
    return _object(
        "What happened in all.",
        event=_always("Tells it from the events.", value="Summary"),
        seconds=_is("number", "How long it was watched."),
        state={
            "enum": ["none", "fresh", "stale", "expiring", "expired", None],
            "description": "State of the token.",
        },
        expires_in=_is(_NUMBER, "Seconds to the token's end."),
        retry_in=_is(_NUMBER, "Seconds of backoff that are left."),
        refreshes=_count("Refreshes that succeeded."),
        refresh_seconds_median=_is(_NUMBER, "Seconds that half of them took at most."),
        failures=_count("Refreshes that failed."),
        most_waiters=_count("Callers that waited for one refresh, at most."),
        calls=_count("Calls for the token."),
        refused_calls=_count("Calls that got none."),
        call_seconds_median=_is(_NUMBER, "Seconds that half of the calls took at most."),
        call_seconds_max=_is(_NUMBER, "Seconds that the longest took."),
    )


def _wave(description: str) -> Schema:
    return _object(
        description,
        calls=_count("Calls at the same time."),
        served=_count("Those with status 200."),
        token_requests=_count("Token requests that they caused."),
        seconds=_is("number", "Seconds that they took together.", minimum=0),
    )


SCHEMAS: Mapping[str, Schema] = {
    "call": _object(
        "The API's response.",
        status=_is("integer", "HTTP status.", minimum=100, maximum=599),
        headers=_is(
            "object",
            "The values of each header, by its name in small letters.",
            additionalProperties={"type": "array", "items": {"type": "string"}},
        ),
        body={"description": "Body as JSON, else as text; null if it is binary."},
        body_base64=_is(_TEXT, "A binary body; null for any other."),
    ),
    "completion": _object(  # noqa: S604 - the name of a member
        "A shell's completion.",
        shell={"enum": ["bash", "fish", "zsh"], "description": "The shell."},
        script=_is("string", "What the shell reads."),
    ),
    "config check": _object(
        "The settings in effect.",
        **{"from": _is("string", "The variables, or the file and its registration.")},
        given=_list(
            "Settings that are given; a secret's value is ***.",
            _object(
                "One setting.",
                name=_is("string", "Its name."),
                value=_is("string", "Its value."),
                source=_is("string", "Where it is given."),
            ),
        ),
        effective=_map("What follows from them, by name.", "string"),
        problems=_list("What must be changed.", {"type": "string"}),
    ),
    "config list": {
        "description": "Every setting, by its name.",
        "type": "object",
        "additionalProperties": _object(
            "One setting.",
            variable=_is(_TEXT, "Its variable, or null if it has none."),
            in_file=_is("boolean", "A registration in a TOML file may have it."),
            kind=_is("string", "How its value is written."),
            meaning=_is("string", "What it means."),
            default=_is(_TEXT, "What holds without it."),
        ),
    },
    "demo": _object(
        "The measurements.",
        is_as_promised=_is("boolean", "One token request served each wave."),
        cold=_wave("Calls before any token is cached."),
        during_refresh=_wave("Calls while a refresh waits for its response."),
        refreshes=_count("Refreshes that ended."),
        claims=_claims("Claims of the token."),
    ),
    "doctor": _object(
        "What was found.",
        issuer=_is("string", "The issuer that was asked for."),
        problems=_count("Findings whose status is problem."),
        findings=_list(
            "In the order in which they were found.",
            _object(
                "One finding.",
                what=_is("string", "What was looked at."),
                status={"enum": ["ok", "note", "problem"], "description": "How it is."},
                found=_is("string", "What is there."),
                advice=_is(_TEXT, "What to do; null if all is well."),
            ),
        ),
    ),
    "inspect": _object(
        "What a token says of itself, not verified.",
        is_jwt=_is("boolean", "It can be read: otherwise it is opaque."),
        is_expired=_is("boolean", "Its exp has passed."),
        expires_in=_is(_NUMBER, "Seconds to its end, negative after it; null without one."),
        times=_map("Its times in this machine's zone (ISO 8601), by claim.", "string"),
        header=_is(["object", "null"], "Its header."),
        claims=_is(["object", "null"], "Its claims."),
    ),
    "login": _object(
        "The end-user who signed in.",
        end_user=_is("string", "The name that the sign-in is stored under."),
        claims=_claims("Claims of the ID token, verified."),
    ),
    "logout": _object(
        "What was ended.",
        was_signed_in=_is("boolean", "There was a sign-in to end."),
        was_revoked=_is("boolean", "The server has revoked it; not every server offers that."),
        end_session_url=_is(
            _TEXT, "Where the browser's own session ends; null if the server does not say."
        ),
    ),
    "rotate-secret": {
        "description": "What was done.",
        "oneOf": [
            _object(
                "The secret in use does not end soon.",
                rotated=_always("Nothing was done.", value=False),
            ),
            _object(
                "The secret was replaced.",
                rotated=_always("A new secret is in use.", value=True),
                secret_id=_is(_TEXT, "IAM's identifier of the new one, if IAM tells it."),
                expires_at=_is(_NUMBER, "Its end in POSIX seconds; null for none."),
                deleted=_is(_TEXT, "Identifier of the old one; null if it was left."),
                left=_list("Others that are still valid.", {"type": "string"}),
            ),
        ],
    },
    "sandbox": _object(
        "Where the stand-in is, once it responds.",
        identity_url=_is("string", "Its identity server."),
        banking_url=_is("string", "Its APIs."),
        clients=_list(
            "Registered clients.",
            _object(
                "One client.",
                client_id=_is("string", "Its identifier."),
                client_secret=_is(_TEXT, "Its secret; null for a public client."),
                scopes=_list("What it may ask for.", {"type": "string"}),
            ),
        ),
        users=_list(
            "End-users.",
            _object(
                "One end-user.",
                username=_is("string", "The name to sign in with."),
                password=_is("string", "The password."),
                one_time_code=_is("string", "The second factor."),
            ),
        ),
    ),
    "schema": _is("object", "A schema in JSON Schema 2020-12."),
    "token": _object(
        "A token.",
        access_token=_is("string", "The token: a secret."),
        token_type=_is("string", "Its type, such as Bearer."),
        scope=_is(_TEXT, "What it is good for; null if the server did not say."),
        expires_at=_is(_NUMBER, "Its end in POSIX seconds; null if the server did not say."),
    ),
    "token --inspect": _claims("Claims of the token, not verified; empty if it is opaque."),
    "watch": {
        "description": "One object a line: an event, and at the end the summary.",
        "oneOf": [_event(), _summary()],
    },
    "whoami": _claims("Claims of the end-user."),
    "error": _object(
        "What any command writes to standard error when it fails.",
        error=_is("string", "The class of the error."),
        message=_is("string", "What must hold, what was found, what to do."),
        outcome={"enum": _OUTCOMES, "description": "Who must act."},
        exit_code={"enum": _CODES, "description": "The exit code."},
        retry_after=_is(_NUMBER, "Seconds that the server asked to wait; null if unknown."),
    ),
}
"""The schema of each command's ``--json``, by the command's name; ``error`` is of all."""

DOCUMENT: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "aritma-auth --json",
    "$defs": dict(SCHEMAS),
}
"""One schema that has those of all commands as its definitions."""

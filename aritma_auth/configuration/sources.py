"""Where settings come from: the environment's variables, or one registration of a TOML file."""

import difflib
import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import attrs

from aritma_auth.configuration.settings import OTHER_NAMES, PREFIX, SETTINGS, Found, Setting
from aritma_auth.errors import ConfigurationError, printable, wrong_kind
from aritma_auth.files import FileProblemError, read_content, require_path, show_path
from aritma_auth.runtime.values import Value

T = TypeVar("T", str, float, bool, tuple[str, ...], dict[str, str])

DEFAULT_FILE = "aritma.toml"
_REGISTRATIONS = f"{PREFIX}REGISTRATIONS_"
_FILE_LIMIT = 1 << 20
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@attrs.frozen(eq=False, repr=False)
class Given(Value):
    """
    A setting that was given.

    Attributes:
        setting: Which.

        value: Its value; never shown here, since it may be a secret.

        name: What it is called where it stands: its variable or its key.
    """

    setting: Setting
    value: Found = attrs.field(repr=False, hash=False)
    name: str


@attrs.frozen(eq=False, repr=False)
class Settings(Value):
    """
    What one source has given.

    Attributes:
        place: Where it stands, for messages.

        given: The settings by name.

        problems: What is wrong with it, a sentence each.

        are_variables: They are environment variables.
    """

    place: str
    given: Mapping[str, Given] = attrs.field(hash=False)
    problems: tuple[str, ...] = ()
    are_variables: bool = False

    def has(self, name: str) -> bool:
        """Tell whether a setting was given."""
        return name in self.given

    def value(self, name: str, kind: type[T]) -> T | None:
        """Return what was given for a setting of this kind, or None."""
        given = self.given.get(name)
        return given.value if given is not None and isinstance(given.value, kind) else None

    def call(self, name: str) -> str:
        """Return what a setting is called in this source."""
        return SETTINGS[name].variable if self.are_variables else name


def read_variables(variables: Mapping[str, str]) -> Settings:
    """
    Read the settings among environment variables; an empty one counts as absent.

    Args:
        variables: The environment.
    """
    given, unknown, problems = _read_prefixed(variables, PREFIX)
    for name in unknown:
        # Of a registration in a file, or an application's own such as ARITMA_CLIENT_SECRET_OLD.
        key = name.removeprefix(PREFIX).lower()
        is_own = name.startswith(_REGISTRATIONS) or key.startswith(_LONGER_NAMES)
        nearest = _find_nearest(key, _VARIABLES, 1.0 if is_own else 0.8)
        if nearest is not None and nearest not in given:
            problems.append(f"{name} is no setting: write {PREFIX}{nearest.upper()}")
    return Settings("the environment", given, tuple(problems), are_variables=True)


_VARIABLES = [setting.name for setting in SETTINGS.values() if setting.is_variable]
_LONGER_NAMES = tuple(f"{name}_" for name in _VARIABLES)


def _read_prefixed(
    variables: Mapping[str, str], prefix: str
) -> tuple[dict[str, Given], list[str], list[str]]:
    """Return the settings with a prefix, the variables that are none, and what is wrong."""
    given: dict[str, Given] = {}
    unknown: list[str] = []
    problems: list[str] = []
    known = {f"{prefix}{name.upper()}": SETTINGS[name] for name in _VARIABLES}
    for name, written in variables.items():
        # A line of a file of variables often ends in white space.
        text = written.strip()
        if not name.startswith(prefix) or not text:
            continue
        setting = known.get(name)
        if setting is None:
            unknown.append(name)
            continue
        value = _parse_text(setting, text)
        if value is None:
            problems.append(f"{name} must be {_KINDS[setting.kind]}")
        else:
            given[setting.name] = Given(setting, value, name)
    return given, unknown, problems


def _parse_text(setting: Setting, text: str) -> Found | None:
    match setting.kind:
        case "text":
            return text
        case "list":
            return tuple(text.replace(",", " ").split()) or None
        case "command":
            return _split(text)
        case "flag":
            return _FLAGS.get(text.lower())
        case "seconds":
            return _parse_seconds(text)
    pairs = [pair.partition("=") for pair in text.split()]
    return {name: url for name, _, url in pairs} if all(pair[1] for pair in pairs) else None


def _split(text: str) -> tuple[str, ...] | None:
    try:
        return _as_command(shlex.split(text))
    except ValueError:
        return None


def _as_command(words: Iterable[str]) -> tuple[str, ...] | None:
    command = tuple(words)
    return command if command and command[0].strip() else None


def _parse_seconds(given: str | float) -> float | None:
    try:
        return float(given)
    except (ValueError, OverflowError):
        return None


_KINDS = {
    "text": "a text",
    "list": "a list of texts",
    "command": "a command: its program and arguments",
    "flag": "true or false",
    "seconds": "a number of seconds",
    "pairs": "endpoints by name, such as token_endpoint=https://idp.example/token",
}


def read_file(
    name: str, path: str | os.PathLike[str] | None, variables: Mapping[str, str]
) -> Settings:
    """
    Read one registration of a TOML file.

    A variable named after the registration takes the place of what the file says of the same:
    ``ARITMA_REGISTRATIONS_PAYMENTS_SCOPE`` that of ``scope`` in ``[registrations.payments]``.

    Args:
        name: The registration's name, as in ``[registrations.payments]``.

        path: The file; None takes ``ARITMA_CONFIG``, else ``aritma.toml`` in the current folder.

        variables: The environment.

    Raises:
        ConfigurationError: The file cannot be read, or has no such registration.
    """
    if not isinstance(name, str):
        raise wrong_kind("name", "the name of a registration", name)
    file = find_file(path, variables)
    document = _load(file)
    unknown = [key for key in document if key != "registrations"]
    if unknown:
        raise ConfigurationError(
            f"{show_path(file)} must hold [registrations.NAME] alone, not "
            f"{printable(unknown[0], 40)!r}"
        )
    registrations = document.get("registrations")
    tables = registrations if isinstance(registrations, dict) else {}
    table = tables.get(name)
    if not isinstance(table, dict):
        names = ", ".join(printable(str(each), 40) for each in tables) or "none"
        raise ConfigurationError(
            f"{show_path(file)} must have [registrations.{printable(name, 40)}]; it has {names}"
        )
    place = f"{show_path(file)} [registrations.{printable(name, 40)}]"
    given: dict[str, Given] = {}
    problems: list[str] = []
    for key, value in table.items():
        setting = SETTINGS.get(key)
        if setting is None or not setting.is_in_file:
            problems.append(_describe_unknown(key, place))
            continue
        found = _parse_toml(setting, value)
        if found is None:
            problems.append(f"{key} in {place} must be {_KINDS[setting.kind]}")
        else:
            given[key] = Given(setting, found, key)
    overriding, mistaken = _read_overriding(name, tables, variables)
    topics = {each.setting.topic for each in overriding.values()}
    kept = {key: each for key, each in given.items() if each.setting.topic not in topics}
    return Settings(place, {**kept, **overriding}, (*problems, *mistaken))


def _read_overriding(
    name: str, tables: Iterable[str], variables: Mapping[str, str]
) -> tuple[dict[str, Given], list[str]]:
    """Return what variables say of a registration, and what is wrong with them."""
    prefix = _prefix_of(name)
    given, unknown, problems = _read_prefixed(variables, prefix)
    others = [_prefix_of(each) for each in tables if each != name]
    if prefix in others and (given or unknown):
        problems.append(f"{prefix}* stands for more registrations than {name}: rename the others")
    longer = tuple(each for each in others if each.startswith(prefix))
    for variable in unknown:
        if not variable.startswith(longer):
            nearest = _find_nearest(variable.removeprefix(prefix).lower(), _VARIABLES, 0.6)
            advice = f"write {prefix}{nearest.upper()}" if nearest else _SEE_LIST
            problems.append(f"{printable(variable, 80)} is no setting: {advice}")
    return given, problems


def _prefix_of(registration: str) -> str:
    return f"{_REGISTRATIONS}{re.sub('[^A-Z0-9]', '_', registration.upper())}_"


def _describe_unknown(key: str, place: str) -> str:
    if key in SETTINGS:
        return (
            f"{key} must not stand in {place}, where others may read it: give {key}_file, "
            f"{key}_variable or {key}_command"
        )
    allowed = [name for name, setting in SETTINGS.items() if setting.is_in_file]
    nearest = _find_nearest(key, allowed, 0.6)
    advice = f"write {nearest}" if nearest else _SEE_LIST
    return f"{printable(key, 40)} in {place} is no setting: {advice}"


_SEE_LIST = "aritma-auth config list has them all"


def _find_nearest(name: str, known: Iterable[str], likeness: float) -> str | None:
    """Find the setting that a name stands for elsewhere, or that it is nearly spelled like."""
    if name.lower() in OTHER_NAMES:
        return OTHER_NAMES[name.lower()]
    return next(iter(difflib.get_close_matches(name, known, 1, likeness)), None)


def _parse_toml(setting: Setting, value: object) -> Found | None:
    found: Found | None = None
    match setting.kind, value:
        case "text", str():
            found = value.strip()
        case "list", str():
            found = tuple(value.split())
        case "list" | "command", list():
            words = tuple(word for word in value if isinstance(word, str))
            found = words if len(words) == len(value) else None
            if setting.kind == "command":
                found = _as_command(found or ())
        case "flag", bool():
            return value
        case "seconds", int() | float() if not isinstance(value, bool):
            return _parse_seconds(value)
        case "pairs", dict():
            urls = {name: url for name, url in value.items() if isinstance(url, str)}
            found = urls if len(urls) == len(value) else None
    return found or None


def find_file(path: str | os.PathLike[str] | None, variables: Mapping[str, str]) -> Path:
    """
    Find the file of the registrations.

    Args:
        path: As for `read_file`.

        variables: The environment.

    Raises:
        ConfigurationError: The path is not a path.
    """
    if path is not None:
        return require_path("path", "the path of a TOML file", path)
    return Path(variables.get("ARITMA_CONFIG") or DEFAULT_FILE)


def _load(file: Path) -> dict[str, object]:
    try:
        # Some editors begin a file with a byte order mark.
        return tomllib.loads(read_content(file, _FILE_LIMIT, bytes).decode("utf-8-sig"))
    except FileProblemError as error:
        problem = f"{error}: name the file with path= or ARITMA_CONFIG"
    except (ValueError, RecursionError) as error:
        # Its text may quote a line; the place of the mistake is enough.
        place = str(error).rpartition("(at ")[2].rstrip(")")
        problem = f"no TOML{f', at {place}' if place.startswith('line') else ''}"
    raise ConfigurationError(f"{show_path(file)} cannot be read: {problem}")

"""Options that several commands have; a value that is out of range is an error of the usage."""

import math
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number


def _require_seconds(_type: object, value: float | None) -> None:
    if value is None:
        return
    if not math.isfinite(value) or value <= 0:
        raise ValueError("must be a number of seconds, more than 0.")


def _require_name(_type: object, value: str | None) -> None:
    if value == "":
        raise ValueError("must be a name, not an empty text.")


Json = Annotated[bool, Parameter("--json", negative="")]
"""The option of every command: it has something to tell a program."""

Seconds = Annotated[float, Parameter(validator=_require_seconds)]
"""A time to wait."""

Count = Annotated[int, Parameter(validator=Number(gte=1))]
"""A number of things, 1 or more."""

Port = Annotated[int, Parameter(validator=Number(gte=0, lte=65535))]
"""A TCP port, or 0 for a free one."""

RegistrationName = Annotated[str, Parameter("--registration", validator=_require_name)]
"""The name of a registration in a TOML file, which then has the settings."""

EndUser = Annotated[str, Parameter("--end-user", validator=_require_name)]
"""The name that a sign-in is stored under."""

"""``aritma-auth schema``: what the commands write with ``--json``."""

from typing import Annotated

from cyclopts import Parameter

from aritma_auth.cli.exit_codes import ExitCode, UsageError
from aritma_auth.cli.options import Json
from aritma_auth.cli.schemas import DOCUMENT, SCHEMAS
from aritma_auth.cli.terminal import show_json


def show_schema(
    *command: Annotated[str, Parameter("COMMAND")],
    json: Json = False,
) -> int:
    """
    Print the JSON Schema of what a command writes with --json.

    Parameters
    ----------
    command:
        The command, such as call or config check; error is what any of them writes when it fails.
        Without one, all of them are printed, as definitions of one schema.
    json:
        Changes nothing: a schema is JSON in any case.
    """
    del json  # a schema is JSON in any case
    name = " ".join(command)
    if not name:
        show_json(DOCUMENT)
    elif name in SCHEMAS:
        show_json({"$schema": DOCUMENT["$schema"], **SCHEMAS[name]})
    else:
        raise UsageError(f"COMMAND must be one of {', '.join(SCHEMAS)}, not {name!r}")
    return ExitCode.DONE

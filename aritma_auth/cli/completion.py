"""``aritma-auth completion``: what a shell needs to complete the command."""

from typing import Annotated, Literal

from cyclopts import Parameter

from aritma_auth.cli import build_app
from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.cli.options import Json
from aritma_auth.cli.terminal import show, show_json


def show_completion(
    shell: Annotated[Literal["bash", "fish", "zsh"], Parameter("SHELL")],
    /,
    *,
    json: Json = False,
) -> int:
    """
    Print a script with which a shell completes subcommands and options.

    Write it where the shell looks for completions: for bash that is
    ~/.local/share/bash-completion/completions/aritma-auth, for fish
    ~/.config/fish/completions/aritma-auth.fish, and for zsh _aritma-auth in a folder of fpath.
    PowerShell has none.

    Parameters
    ----------
    shell:
        bash, fish or zsh.
    json:
        Print the script as the member of one JSON object.
    """
    script = build_app().generate_completion(shell=shell)
    if json:
        show_json({"shell": shell, "script": script})
    else:
        for line in script.splitlines():
            show(line)
    return ExitCode.DONE

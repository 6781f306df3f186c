"""The ``aritma-auth`` command; what it does is in `aritma_auth.cli`."""

import os
import shutil
import sys
from importlib.util import find_spec

_INTERRUPTED = 130
_CONFIGURATION = 3
_NARROWEST = 20


def main() -> int:
    """
    Run the command.

    Returns:
        The exit code: 0 for success, 3 without the extra ``cli``, 130 after Ctrl-C, and else as
        `aritma_auth.cli.exit_codes` lists them.
    """
    _open_missing_streams()
    _keep_to_a_width()
    missing = [name for name in ("cyclopts", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f'error: {" and ".join(missing)} missing: pip install "aritma-auth[cli]"\n'
        )
        return _CONFIGURATION
    try:
        from aritma_auth.cli import run  # needs the extra "cli"

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return _INTERRUPTED


def _open_missing_streams() -> None:
    """Give Python the streams that the shell has closed (``>&-``), where it has None instead."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - until the exit


def _keep_to_a_width() -> None:
    """Let text be wrapped where a terminal has, or is said to have, too few columns for a word."""
    columns = shutil.get_terminal_size().columns
    if "COLUMNS" in os.environ or columns < _NARROWEST:
        os.environ["COLUMNS"] = str(max(columns, _NARROWEST))


if __name__ == "__main__":
    sys.exit(main())

"""The ``aritma-auth`` command; what it does is in `aritma_auth.cli`."""

import sys
from importlib.util import find_spec

_INTERRUPTED = 130


def main() -> int:
    """
    Run the command.

    Returns:
        The exit code: 0 for success, 1 for an error, 2 for a command line that is not usable, 130
        after Ctrl-C.
    """
    missing = [name for name in ("cyclopts", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f'error: {" and ".join(missing)} missing: pip install "aritma-auth[cli,sandbox]"\n'
        )
        return 1
    try:
        from aritma_auth.cli import run  # noqa: PLC0415 - needs the extra "cli"

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

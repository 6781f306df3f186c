"""One way to say which extra is missing: ``pip install "aritma-auth[extra]"``."""

from importlib import import_module

from aritma_auth.errors import ConfigurationError


def require(extras: str, *modules: str) -> None:
    """
    Require modules of an extra to be installed.

    Args:
        extras: The extra that installs them; several with ``or`` between them if each of them does.

        modules: Names of the modules.

    Raises:
        ConfigurationError: One is not installed; the message names the extra.
    """
    missing = [module for module in modules if not _is_installed(module)]
    if missing:
        ways = " or ".join(f'"aritma-auth[{extra}]"' for extra in extras.split(" or "))
        raise ConfigurationError(f"{' and '.join(missing)} must be installed: pip install {ways}")


def _is_installed(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True

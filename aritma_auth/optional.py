"""What a store needs beyond the core's dependencies."""

from importlib import import_module

from aritma_auth.errors import ConfigurationError


def require(extras: str, *modules: str) -> None:
    """
    Load modules of an extra.

    Args:
        extras: The extra that installs them; several with ``or`` between if any of them does.

        modules: Their names.

    Raises:
        ConfigurationError: One is not installed; the message names the extra.
    """
    missing = [module for module in modules if not _is_there(module)]
    if missing:
        ways = " or ".join(f'"aritma-auth[{extra}]"' for extra in extras.split(" or "))
        raise ConfigurationError(f"{' and '.join(missing)} missing: pip install {ways}")


def _is_there(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True

"""What a store needs beyond the core's dependencies."""

from importlib import import_module

from aritma_auth.errors import ConfigurationError


def require(extra: str, *modules: str) -> None:
    """
    Load modules of an extra.

    Args:
        extra: The extra that installs them.

        modules: Their names.

    Raises:
        ConfigurationError: One is not installed; the message names the extra.
    """
    missing = [module for module in modules if not _is_there(module)]
    if missing:
        raise ConfigurationError(
            f'{" and ".join(missing)} missing: pip install "aritma-auth[{extra}]"'
        )


def _is_there(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True

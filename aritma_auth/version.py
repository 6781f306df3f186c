"""The package's version, which requests name in their User-Agent."""

__version__ = "0.1.0"

"""A server's metadata and keys as they were fetched, to be exported and given back."""

from collections.abc import Mapping

import attrs

from aritma_auth.protocol.redaction import JsonValue, Members
from aritma_auth.runtime.values import Value


@attrs.frozen(eq=False, repr=False)
class Published(Value):
    """
    What a server had published at one moment.

    Attributes:
        fetched_at: POSIX seconds.

        metadata: Its metadata, whole; what of it is believed is decided anew each time it is used.

        keys: Its JSON Web Keys, or None if it publishes none.

    Spec: RFC 8414 §2; RFC 7517 §5.
    """

    fetched_at: float
    metadata: Members = attrs.field(repr=False)
    keys: tuple[Mapping[str, JsonValue], ...] | None = attrs.field(default=None, repr=False)

    def as_members(self) -> dict[str, object]:
        """Return it as members for JSON."""
        return {
            "fetched_at": self.fetched_at,
            "metadata": dict(self.metadata.items()),
            "keys": None if self.keys is None else [dict(key) for key in self.keys],
        }


def parse_published(value: JsonValue) -> Published | None:
    """
    Parse what `Published.as_members` returned.

    Args:
        value: The members, or None.

    Raises:
        ValueError: It is something else.
    """
    if value is None:
        return None
    if isinstance(value, dict):
        fetched_at, metadata, keys = map(value.get, ("fetched_at", "metadata", "keys"))
        is_time = isinstance(fetched_at, int | float) and not isinstance(fetched_at, bool)
        if is_time and isinstance(metadata, dict) and isinstance(keys, list | None):
            known = None if keys is None else tuple(key for key in keys if isinstance(key, dict))
            return Published(float(fetched_at), Members(metadata), known)  # type: ignore[arg-type] # tested above
    raise ValueError("published must have fetched_at, metadata and keys")

"""Moments and durations as people read them, in this machine's zone."""

from datetime import UTC, datetime

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def format_duration(seconds: float) -> str:
    """
    Write a duration in its two largest units, such as ``3 h 5 min``.

    Args:
        seconds: The duration; its sign is dropped.
    """
    left, parts = round(abs(seconds)), list[str]()
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        if number or parts:
            parts.append(f"{number} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def format_moment(posix: float, *, now: float) -> str:
    """
    Write a moment in the local zone, with its distance from now.

    Args:
        posix: POSIX seconds.

        now: POSIX seconds.
    """
    local = to_local(posix)
    if local is None:
        return "no date that this machine can show"
    distance = format_duration(posix - now)
    relative = f"in {distance}" if posix > now else f"{distance} ago"
    return f"{local.isoformat(' ', 'seconds')} ({relative})"


def to_local(posix: float) -> datetime | None:
    """
    Give a moment in the local zone, or None if there is no such date.

    Args:
        posix: POSIX seconds.
    """
    try:
        return datetime.fromtimestamp(posix, UTC).astimezone()
    except (OverflowError, OSError, ValueError):
        return None

"""
What a store's methods must return, looked at before anything is decided by it.

A store of somebody's own may return anything. What the contract does not have counts as a failure
of the store, like an exception: the refresh goes on without it where that does no harm.
"""

from collections.abc import Callable, Mapping

from aritma_auth.caller_code import Promise, describe_returned
from aritma_auth.errors import AritmaAuthError
from aritma_auth.protocol.tokens import Token
from aritma_auth.stores import Entry, Record, SharedBackoff

Check = Callable[[object], bool]


def _is_count(found: object) -> bool:
    return isinstance(found, int) and not isinstance(found, bool)


def _is_number(found: object) -> bool:
    # nan would be neither later nor earlier than anything.
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return is_number and found == found  # noqa: PLR0124


def _is(kind: type) -> Check:
    return lambda found: isinstance(found, kind)


def _or_none(check: Check) -> Check:
    return lambda found: found is None or check(found)


_BACKOFF: Mapping[str, Check] = {
    "error": _is(AritmaAuthError),
    "count": _is_count,
    "seconds": _is_number,
    "credential": _is(str),
}
_RECORD: Mapping[str, Check] = {
    "token": _or_none(_is(Token)),
    "serial": _is_count,
    "redeeming_since": _or_none(_is_number),
    "backoff": _or_none(lambda found: _has(found, SharedBackoff, _BACKOFF)),
}
_ENTRY: Mapping[str, Check] = {
    "record": lambda found: _has(found, Record, _RECORD),
    "generation": _is_count,
    "token_age": _or_none(_is_number),
    "problem": _or_none(_is(str)),
}


def _has(found: object, kind: type, checks: Mapping[str, Check]) -> bool:
    return isinstance(found, kind) and not _find_wrong(found, checks)


def _find_wrong(found: object, checks: Mapping[str, Check]) -> str:
    """Return the name of the first attribute that is of another kind, or an empty text."""
    return next((name for name, check in checks.items() if not check(getattr(found, name))), "")


def _find_entry_problem(returned: object) -> str | None:
    if returned is None:
        return None
    if not isinstance(returned, Entry):
        return describe_returned(returned)
    wrong = _find_wrong(returned, _ENTRY)
    if wrong == "record" and isinstance(returned.record, Record):
        wrong = f"record.{_find_wrong(returned.record, _RECORD)}"
    return f"an Entry whose {wrong} is of the wrong kind" if wrong else None


def _find_lease_problem(returned: object) -> str | None:
    is_lease = returned is None or (
        not isinstance(returned, type)
        and _is_count(getattr(returned, "fence", None))
        and callable(getattr(returned, "keep", None))
        and callable(getattr(returned, "release", None))
    )
    return None if is_lease else describe_returned(returned)


def _find_pair_problem(returned: object) -> str | None:
    if returned is None:
        return None
    if not isinstance(returned, tuple) or len(returned) != 2:
        return describe_returned(returned)
    lease, entry = returned
    if lease is None:
        return "a pair without a Lease"
    return _find_lease_problem(lease) or _find_entry_problem(entry)


AN_ENTRY = Promise("an Entry or None", _find_entry_problem)
A_LEASE = Promise("a Lease, with fence, keep() and release(), or None", _find_lease_problem)
BOTH = Promise("a Lease and an Entry or None, as a pair, or None", _find_pair_problem)

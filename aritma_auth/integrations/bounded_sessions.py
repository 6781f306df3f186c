"""A session store of somebody's own: it may hang, raise anything, and return anything."""

import json
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from aritma_auth.caller_code import WHETHER, Promise, describe_returned
from aritma_auth.errors import AritmaAuthError, StoreError, type_name
from aritma_auth.integrations.session_store import SessionStore
from aritma_auth.runtime.raised import describe_raised
from aritma_auth.runtime.tasks import WorkBrokenOffError, run_within

P = ParamSpec("P")
T = TypeVar("T")


def _find_text_problem(returned: object) -> str | None:
    return None if returned is None or isinstance(returned, str) else describe_returned(returned)


_A_TEXT = Promise("a text or None", _find_text_problem)
_NOTHING = Promise("nothing, and what it returns is not looked at", lambda _returned: None)


class BoundedSessionStore:
    """
    A session store whose operations end in time, and fail by a StoreError alone.

    Args:
        store: The store.

        timeout: Seconds that an operation may take.
    """

    def __init__(self, store: SessionStore, timeout: float = 5.0) -> None:
        self._store = store
        self._timeout = timeout

    async def put(self, key: str, text: str, *, seconds: float) -> None:
        """Write a text."""
        await self._run(_NOTHING, self._store.put, key, text, seconds=seconds)

    async def add(self, key: str, text: str, *, seconds: float) -> bool:
        """Write a text unless there is one."""
        return await self._run(WHETHER, self._store.add, key, text, seconds=seconds)

    async def get(self, key: str) -> str | None:
        """Return a text, or None."""
        return await self._run(_A_TEXT, self._store.get, key)

    async def take(self, key: str) -> str | None:
        """Return a text and delete it."""
        return await self._run(_A_TEXT, self._store.take, key)

    async def _run(
        self,
        promise: Promise,
        method: Callable[Concatenate[str, P], Awaitable[T]],
        key: str,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        try:
            work = _call(method, key, *args, **kwargs)
            returned = await run_within(self._timeout, work, "aritma-auth sessions")
            promise.require(method, returned)
        except AritmaAuthError:
            raise
        except WorkBrokenOffError as broken:
            problem = broken.raised
        except Exception as error:  # noqa: BLE001 - whatever a store raises
            problem = describe_raised(error)
        else:
            return returned
        # Outside of the except block: the store's own error may hold what it was given.
        store, name = type_name(self._store), getattr(method, "__name__", "a method")
        raise StoreError(f"{store}.{name} must read or write the sessions, and failed: {problem}")


async def _call(
    method: Callable[Concatenate[str, P], Awaitable[T]], key: str, *args: P.args, **kwargs: P.kwargs
) -> T:
    return await method(key, *args, **kwargs)


def parse_kept(text: str) -> object:
    """
    Parse the JSON that was put into a session store.

    Args:
        text: What the store returned.

    Raises:
        StoreError: It is not whole, such as one that a database has cut off. To take it for no
            session would let the browser go from sign-in to sign-in.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        length = len(text)
    raise StoreError(
        f"the session store must return what was put there; it returned {length} characters that "
        "are no JSON"
    )

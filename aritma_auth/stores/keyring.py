"""A store in the operating system's keyring: for people's own machines."""

import os
from typing import final

from aritma_auth.errors import ConfigurationError
from aritma_auth.optional import require
from aritma_auth.stores import keyring_entries
from aritma_auth.stores.keyring_entries import Keyring, KeyringShelf
from aritma_auth.stores.local import LocalTokenStore, local_folder


@final
class KeyringTokenStore(LocalTokenStore):
    """
    Keeps tokens in the keyring of the person who is signed in to the machine.

    That is macOS Keychain, Windows Credential Locker, Secret Service or KWallet, through
    python-keyring. Processes take turns by lock files, which hold no secrets. A keyring may ask the
    person to unlock it; until then the store counts as away.

    Looking for the keyring takes a moment: make the store before the event loop runs, or in a
    thread.

    Args:
        service: Under which name the keyring shows the entries.

        keyring: A backend of python-keyring; by default the one that it finds or that its
            configuration names.

        lock_folder: Where the lock files are, by default ``aritma-auth`` in the user's state
            folder.

    Raises:
        ConfigurationError: The extra ``keyring`` is not installed, or the machine has no keyring.
    """

    def __init__(
        self,
        service: str = "aritma-auth",
        *,
        keyring: Keyring | None = None,
        lock_folder: str | os.PathLike[str] | None = None,
    ) -> None:
        require("keyring", "keyring")
        shelf = KeyringShelf(keyring or _find_keyring(), service, keyring_entries.PART_SIZE)
        folder = local_folder(lock_folder, "keyring")
        super().__init__(shelf, folder, realm=f"keyring {service}")
        self._service = service

    def __repr__(self) -> str:
        return f"<KeyringTokenStore {self._service!r}>"


def _find_keyring() -> Keyring:
    import keyring  # noqa: PLC0415 - extra "keyring"
    from keyring.backends import fail, null  # noqa: PLC0415 - extra "keyring"

    found = keyring.get_keyring()
    if isinstance(found, fail.Keyring | null.Keyring):
        raise ConfigurationError(
            "this machine has no keyring that can be used: keep tokens in files"
        )
    return found

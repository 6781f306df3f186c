"""Keyrings that need no desktop."""

from keyring.errors import PasswordDeleteError


class DictKeyring:
    """Keeps texts in a dict, and refuses what real keyrings refuse."""

    def __init__(self, limit=None):
        self.texts = {}
        self.limit = limit

    def get_password(self, service, username):
        return self.texts.get((service, username))

    def set_password(self, service, username, password):
        if self.limit is not None and len(password) > self.limit:
            raise ValueError(password)
        self.texts[service, username] = str(password)

    def delete_password(self, service, username):
        if (service, username) not in self.texts:
            raise PasswordDeleteError("nothing to delete")
        del self.texts[service, username]

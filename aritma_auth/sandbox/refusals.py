"""How the identity server says no."""


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """
    A 400 with an OAuth error.

    Args:
        error: Its code.

        description: Its text, or None, which is the rule.
    """

    def __init__(self, error: str, description: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.description = description

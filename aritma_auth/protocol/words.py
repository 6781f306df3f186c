"""Lists of words that travel as one text: prompt, acr_values, ui_locales."""

from collections.abc import Iterable

from aritma_auth.errors import ConfigurationError

_PROMPTS = frozenset({"consent", "create", "login", "none", "select_account"})


def make_words(value: str | Iterable[str]) -> tuple[str, ...]:
    """
    Read a list of words as a caller writes it.

    Args:
        value: Words with spaces between them, or an iterable of words.

    Returns:
        The words in their order, each once.

    Raises:
        ConfigurationError: One is empty, or holds a space or what does not print.
    """
    words = tuple(dict.fromkeys(value.split() if isinstance(value, str) else value))
    if not all(map(is_word, words)):
        raise ConfigurationError("prompt, acr_values and ui_locales are lists of single words")
    return words


def is_word(value: object) -> bool:
    """Tell whether a value can stand in such a list."""
    return isinstance(value, str) and bool(value) and value.isprintable() and " " not in value


def make_prompts(value: str | Iterable[str]) -> tuple[str, ...]:
    """
    Read ``prompt`` as a caller writes it.

    Args:
        value: ``none``, or some of ``login``, ``consent``, ``select_account`` and ``create``.

    Raises:
        ConfigurationError: Another word (IdentityServer 7 refuses it), or ``none`` beside others.

    Spec: OpenID Connect Core 1.0 §3.1.2.1; Initiating User Registration 1.0 §4.
    """
    prompts = make_words(value)
    if not _PROMPTS.issuperset(prompts) or ("none" in prompts and len(prompts) > 1):
        raise ConfigurationError(f"prompt is none alone, or some of {', '.join(sorted(_PROMPTS))}")
    return prompts

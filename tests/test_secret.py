"""Secrets and where they come from."""

import copy
import pickle

import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.secret import Secret


async def test_a_value_is_given_back():
    """The plain form."""
    assert (await Secret("s3cr3t").load()).text == "s3cr3t"


async def test_an_environment_variable_is_read_each_time(monkeypatch):
    """A changed variable counts at the next load."""
    secret = Secret.from_env("MY_SECRET")
    monkeypatch.setenv("MY_SECRET", "one")
    first = await secret.load()
    monkeypatch.setenv("MY_SECRET", "two")

    assert first.text == "one"
    assert (await secret.load()).text == "two"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
async def test_a_file_is_read_without_its_last_newline(tmp_path, ending):
    """Mounted secrets often end in one."""
    file = tmp_path / "secret"
    file.write_bytes(f" s3cr3t{ending}".encode())

    assert (await Secret.from_file(file).load()).text == " s3cr3t"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"", b"a\nb"])
async def test_a_bad_file_is_named(tmp_path, content):
    """Missing, unreadable, empty or with control characters."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigurationError, match="secret"):
        await Secret.from_file(file).load()


async def test_callables_may_be_plain_or_async():
    """Both are asked each time."""
    given = iter(["one", "two"])

    async def source():
        return next(given)

    plain, asynchronous = Secret.from_callable(lambda: "plain"), Secret.from_callable(source)

    assert (await plain.load()).text == "plain"
    assert (await asynchronous.load()).text == "one"
    assert (await asynchronous.load()).text == "two"


async def test_a_failing_callable_is_told_by_its_errors_name(canary):
    """What it raises may hold the secret: only the class is named."""

    def source():
        raise RuntimeError(canary.text)

    with pytest.raises(ConfigurationError, match="RuntimeError") as caught:
        await Secret.from_callable(source).load()

    canary.assert_hidden(caught.value)
    assert caught.value.__context__ is None


async def test_a_callables_own_configuration_error_passes():
    """It says better than we could what to do."""

    def source():
        raise ConfigurationError("log in to the vault first")

    with pytest.raises(ConfigurationError, match="log in to the vault"):
        await Secret.from_callable(source).load()


@pytest.mark.parametrize("value", [None, "", 5])
async def test_a_callable_that_gives_no_text_is_refused(value):
    """An empty secret is no secret."""
    with pytest.raises(ConfigurationError, match="holds no secret"):
        await Secret.from_callable(lambda: value).load()


async def test_an_unset_variable_is_named():
    """The name says what to set."""
    with pytest.raises(ConfigurationError, match="ARITMA_UNSET"):
        await Secret.from_env("ARITMA_UNSET").load()


@pytest.mark.parametrize("value", ["", "a\nb", "a\x00"])
def test_a_bad_value_is_refused_at_once(value):
    """Nothing waits for the first request."""
    with pytest.raises(ConfigurationError):
        Secret(value)


def test_a_secret_never_shows(canary):
    """Not in print, copies or pickles."""
    secret = Secret(canary.text)

    canary.assert_hidden(secret)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)

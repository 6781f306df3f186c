"""Tests of how settings are read from variables and from a file."""

import re

import pytest

import aritma_auth as aa
from aritma_auth.configuration.sources import read_file, read_variables


def values(settings):
    return {name: given.value for name, given in settings.given.items()}


def test_variables_are_read_by_the_kind_of_their_setting():
    """Each kind has one way to be written in a variable; an empty variable counts as absent."""
    settings = read_variables(
        {
            "ARITMA_CLIENT_ID": "id",
            "ARITMA_TENANT": "",
            "ARITMA_API_ORIGINS": "https://a.example, https://b.example",
            "ARITMA_CLIENT_SECRET_COMMAND": "pass show 'my bank'",
            "ARITMA_SHARES_ISSUER": "True",
            "ARITMA_ASSERTION_NAMES_ISSUER": "0",
            "ARITMA_TIMEOUT": "2.5",
            "ARITMA_ENDPOINTS": "token_endpoint=https://idp.example/t?a=b jwks_uri=https://idp.example/k",
            "ARITMA_CONFIG": "elsewhere.toml",
            "PATH": "/bin",
        }
    )

    assert settings.problems == ()
    assert values(settings) == {
        "client_id": "id",
        "api_origins": ("https://a.example", "https://b.example"),
        "client_secret_command": ("pass", "show", "my bank"),
        "shares_issuer": True,
        "assertion_names_issuer": False,
        "timeout": 2.5,
        "endpoints": {
            "token_endpoint": "https://idp.example/t?a=b",
            "jwks_uri": "https://idp.example/k",
        },
    }


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("SHARES_ISSUER", "perhaps", "must be true or false"),
        ("TIMEOUT", "soon", "must be a number of seconds"),
        ("CLIENT_SECRET_COMMAND", "pass 'show", "must be a command"),
        ("CLIENT_SECRET_COMMAND", "''", "must be a command"),
        ("API_ORIGINS", " , ", "must be a list of texts"),
        ("ENDPOINTS", "https://mine.example", "must be endpoints by name"),
    ],
)
def test_a_variable_of_the_wrong_kind_is_named(name, text, problem):
    """The sentence names the variable and never its value."""
    (sentence,) = read_variables({f"ARITMA_{name}": text}).problems

    assert sentence.startswith(f"ARITMA_{name} {problem}")
    assert text.strip() == "" or text not in sentence


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ARITMA_CLIENT_SECERT", "ARITMA_CLIENT_SECRET"),
        ("ARITMA_SCOPES", "ARITMA_SCOPE"),
        ("ARITMA_CLIENTID", "ARITMA_CLIENT_ID"),
        ("ARITMA_TENNANT", "ARITMA_TENANT"),
        ("ARITMA_ISSUER_URL", "ARITMA_ISSUER"),
        ("ARITMA_AUTHORITY", "ARITMA_ISSUER"),
        ("ARITMA_TOKEN_URL", "ARITMA_ENDPOINTS"),
        ("ARITMA_CLIENT_SCOPE", "ARITMA_SCOPE"),
        ("ARITMA_CLIENT_SECRET_OLD", None),
        ("ARITMA_HOME", None),
        ("ARITMA_CLIENT_SECRET_VARIABLE", None),
        ("MY_ARITMA_SCOPES", None),
    ],
)
def test_a_misspelt_variable_is_told_with_the_right_name(name, nearest):
    """An application's own variables with the prefix are left alone."""
    problems = read_variables({name: "x"}).problems

    assert problems == (() if nearest is None else (f"{name} is no setting: write {nearest}",))


def test_what_other_software_calls_a_setting_may_stand_beside_it():
    """The program has the setting, and the other variable is an application's own."""
    variables = {"ARITMA_TENANT": "acme", "ARITMA_TENANT_ID": "42"}

    assert read_variables(variables).problems == ()
    assert values(read_variables(variables)) == {"tenant": "acme"}


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_white_space_around_a_variable_is_not_read(text):
    """A line of a file of variables often ends in it; alone it counts as absent."""
    variables = {
        "ARITMA_CLIENT_ID": f"{text}id{text}",
        "ARITMA_SHARES_ISSUER": f"true{text}",
        "ARITMA_SCOPE": text,
        "ARITMA_CLIENT_SECRET": text,
    }
    settings = read_variables(variables)

    assert values(settings) == {"client_id": "id", "shares_issuer": True}
    assert settings.problems == ()


@pytest.fixture
def write(tmp_path):
    def write(text, name="aritma.toml"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return write


def test_a_file_has_registrations_by_name(write):
    """TOML's own types are taken, and a list may be one text."""
    file = write(
        """
        [registrations.payments]
        client_id = "id"
        client_secret_file = "/run/secrets/payments"
        issuer = "https://idp.example"
        resource = ["https://a.example", "https://b.example"]
        api_origins = "https://a.example https://b.example"
        client_secret_command = ["pass", "show"]
        shares_issuer = false
        timeout = 5
        leeway = 0.5
        [registrations.payments.endpoints]
        token_endpoint = "https://idp.example/token"
        [registrations.accounts]
        client_id = "other"
        """
    )
    settings = read_file("payments", file, {})

    assert settings.problems == ()
    assert settings.place == f"{file} [registrations.payments]"
    assert values(settings) == {
        "client_id": "id",
        "client_secret_file": "/run/secrets/payments",
        "issuer": "https://idp.example",
        "resource": ("https://a.example", "https://b.example"),
        "api_origins": ("https://a.example", "https://b.example"),
        "client_secret_command": ("pass", "show"),
        "shares_issuer": False,
        "timeout": 5.0,
        "leeway": 0.5,
        "endpoints": {"token_endpoint": "https://idp.example/token"},
    }
    assert values(read_file("accounts", file, {})) == {"client_id": "other"}


PAYMENTS = """
    [registrations.payments]
    client_id = "id"
    client_secret_file = "/run/secrets/payments"
    issuer = "https://idp.example"
    scope = "old"
    timeout = 5
    [registrations.payments-eu]
    client_id = "eu"
    [registrations."payments EU"]
    client_id = "twin"
    """


@pytest.mark.parametrize(
    ("variables", "changed"),
    [
        ({}, {}),
        ({"SCOPE": "new", "TIMEOUT": "2.5"}, {"scope": "new", "timeout": 2.5}),
        ({"SCOPE": ""}, {}),
        ({"PROXY": "http://proxy.example"}, {"proxy": "http://proxy.example"}),
        ({"CLIENT_SECRET": "s"}, {"client_secret_file": None, "client_secret": "s"}),
        ({"ENVIRONMENT": "development"}, {"issuer": None, "environment": "development"}),
        ({"EU_CLIENT_ID": "another's"}, {}),
    ],
    ids=lambda given: ",".join(given) if isinstance(given, dict) else None,
)
def test_a_variable_of_the_registration_replaces_what_the_file_says(write, variables, changed):
    """Of one topic, such as the secret or the server, the variable's setting alone remains."""
    environment = {f"ARITMA_REGISTRATIONS_PAYMENTS_{name}": v for name, v in variables.items()}
    settings = read_file("payments", write(PAYMENTS), environment)
    of_the_file = values(read_file("payments", write(PAYMENTS), {}))

    assert settings.problems == ()
    expected = of_the_file | changed
    assert values(settings) == {k: v for k, v in expected.items() if v is not None}


def test_plain_variables_are_those_of_from_env(write):
    """A program with two registrations must not have one identity in both."""
    variables = {"ARITMA_CLIENT_ID": "another", "ARITMA_SCOPE": "another"}

    assert values(read_file("payments", write(PAYMENTS), variables))["client_id"] == "id"
    assert values(read_variables({"ARITMA_REGISTRATIONS_PAYMENTS_SCOPE": "x"})) == {}
    assert read_variables({"ARITMA_REGISTRATIONS_PAYMENTS_SCOPE": "x"}).problems == ()


@pytest.mark.parametrize(
    ("registration", "name", "problem"),
    [
        ("payments", "PAYMENTS_SCOPES", "SCOPES is no setting: write .*PAYMENTS_SCOPE$"),
        ("payments", "PAYMENTS_XYZZY", "XYZZY is no setting: aritma-auth config list"),
        ("payments", "PAYMENTS_TIMEOUT", "TIMEOUT must be a number of seconds"),
        (
            "payments-eu",
            "PAYMENTS_EU_SCOPE",
            "EU_\\* stands for more registrations than payments-eu",
        ),
    ],
)
def test_a_mistaken_variable_of_a_registration_is_told(write, registration, name, problem):
    """Nothing that begins with the registration's name is an application's own."""
    variables = {f"ARITMA_REGISTRATIONS_{name}": "never shown"}
    (sentence,) = read_file(registration, write(PAYMENTS), variables).problems

    assert re.search(problem, sentence)
    assert "never shown" not in sentence


def test_the_file_is_the_one_given_or_configured_or_here(write, monkeypatch, tmp_path):
    """An argument comes before ARITMA_CONFIG, and that before aritma.toml in the folder."""
    entry = '[registrations.a]\nclient_id = "{}"'
    here = write(entry.format("here"))
    other = write(entry.format("other"), "other.toml")
    monkeypatch.chdir(tmp_path)

    assert values(read_file("a", None, {})) == {"client_id": "here"}
    assert values(read_file("a", None, {"ARITMA_CONFIG": str(other)})) == {"client_id": "other"}
    assert values(read_file("a", here, {"ARITMA_CONFIG": str(other)})) == {"client_id": "here"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "client_secert_file = 'x'",
            "client_secert_file in .* is no setting: write client_secret_file",
        ),
        ("xyzzy = 1", "xyzzy in .* is no setting: aritma-auth config list"),
        ("client_secret = 'x'", "client_secret must not stand in .*: give client_secret_file"),
        ("private_key = 'x'", "private_key must not stand in .*: give private_key_file"),
        ("client_id = 5", "client_id in .* must be a text"),
        ("client_id = ''", "client_id in .* must be a text"),
        ("timeout = true", "timeout in .* must be a number of seconds"),
        ("timeout = 'x'", "timeout in .* must be a number of seconds"),
        ("shares_issuer = 'true'", "shares_issuer in .* must be true or false"),
        ("resource = ['a', 5]", "resource in .* must be a list of texts"),
        ("resource = []", "resource in .* must be a list of texts"),
        ("client_secret_command = 'pass show'", "client_secret_command in .* must be a command"),
        ("client_secret_command = ['']", "client_secret_command in .* must be a command"),
        ("authority = 'https://idp.example'", "authority in .* is no setting: write issuer"),
        ("endpoints = {token_endpoint = 5}", "endpoints in .* must be endpoints by name"),
        ("endpoints = 'x'", "endpoints in .* must be endpoints by name"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(write, line, problem):
    """Unknown keys are told with the nearest right one, and secrets have no place in it."""
    import re

    (sentence,) = read_file("a", write(f"[registrations.a]\n{line}"), {}).problems

    assert re.search(problem, sentence)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[registrations.b]", r"must have \[registrations\.a\]; it has b"),
        ("", r"must have \[registrations\.a\]; it has none"),
        ("registrations = 5", r"must have \[registrations\.a\]; it has none"),
        ("[registrations]\na = 5", r"must have \[registrations\.a\]; it has a"),
        ("[registration.a]", "must hold .*registrations.NAME.* alone, not 'registration'"),
        ("[registrations.a]\nclient_id = \n", "no TOML, at line 2, column 13"),
        ("a = 1\na = 2\n", "no TOML, at line 2"),
        ("a = '", "no TOML"),
        ("#" * (1 << 20) + "#", "longer than 1048576 bytes"),
    ],
    ids=lambda value: value[:20],
)
def test_a_file_without_the_registration_is_refused(write, text, problem):
    """The error names the file, and what it has instead; of its text it quotes nothing."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        read_file("a", write(text), {})


@pytest.mark.parametrize("before", ["", "\r\n", "# a comment\r\n"], ids=repr)
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path, before):
    """Some editors write one; a text's white space is not read."""
    file = tmp_path / "aritma.toml"
    text = f'{before}[registrations.payments]\nclient_id = " id "\n'
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())

    assert values(read_file("payments", file, {})) == {"client_id": "id"}


@pytest.mark.parametrize("path", ["aritma\0.toml", "\ud800", "", 5, b"aritma.toml", object()])
def test_a_path_that_no_file_has_is_an_error(path):
    """It is named, whatever is wrong with it, and whichever reader has opened the file."""
    for read in (
        lambda: read_file("payments", path, {}),
        lambda: aa.OAuthClient.from_config("payments", path=path),
        lambda: aa.TokenProvider.from_config("payments", path=path),
    ):
        with pytest.raises(aa.ConfigurationError, match="path must be the path of a TOML file"):
            read()


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "timeout = " + "9" * 5_000, "a = 1\n" * 200_000]
)
def test_a_hostile_file_is_no_toml(tmp_path, text):
    """Whatever the parser makes of it, the error names the file."""
    file = tmp_path / "aritma.toml"
    file.write_text(text)

    with pytest.raises(aa.ConfigurationError, match=r"aritma\.toml cannot be read"):
        read_file("payments", file, {})


def test_a_number_too_large_for_seconds_is_told(tmp_path):
    """TOML knows integers that no float can hold."""
    file = tmp_path / "aritma.toml"
    file.write_text("[registrations.a]\ntimeout = 1" + "0" * 400)

    (problem,) = read_file("a", file, {}).problems
    assert "timeout in" in problem
    assert "must be a number of seconds" in problem


def test_a_file_that_is_not_there_is_named(tmp_path):
    """The operating system's own reason is told."""
    with pytest.raises(aa.ConfigurationError, match=r"No such file.*path= or ARITMA_CONFIG"):
        read_file("a", tmp_path / "none.toml", {})
    (tmp_path / "latin.toml").write_bytes(b"\xe5")
    with pytest.raises(aa.ConfigurationError, match=r"latin\.toml cannot be read: no TOML"):
        read_file("a", tmp_path / "latin.toml", {})


@pytest.mark.parametrize(
    ("name", "path", "problem"),
    [(None, None, "name must be the name of a registration"), ("a", 5, "path must be the path")],
)
def test_the_arguments_are_texts(name, path, problem):
    """The wrong kind of argument is named."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        read_file(name, path, {})

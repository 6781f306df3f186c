"""A secret is replaced without an outage, wherever the rotation is interrupted."""

import asyncio
import json
import os
import stat
import sys
import threading
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.banking import iam as iam_requests
from aritma_auth.protocol.redaction import HiddenBytes, SecretText
from aritma_auth.sandbox import Sandbox
from support.clock import FakeClock
from support.keyrings import DictKeyring
from support.loopback import serving
from support.mortal import KilledError, Mortal

CLIENT = "sandbox-service"


@pytest.fixture
async def sandbox(no_leftovers):
    async with Sandbox() as sandbox:
        yield sandbox


class Service:
    """A service with a secret in a file, and the rotation of that secret."""

    def __init__(self, sandbox, iam, folder):
        self.sandbox = sandbox
        self.iam = iam
        self.place = banking.FileSecretPlace(folder / "secret")
        self.journal = banking.FileSecretPlace(folder / "secret.rotation")
        self.place.path.write_text("sandbox-secret\n")
        self.clock = FakeClock(wall=sandbox.clock.time())

    @property
    def secret(self):
        return self.place.path.read_text().strip()

    @property
    def valid(self):
        """The secrets that the server accepts."""
        return set(self.sandbox.clients[CLIENT].secrets)

    async def rotate(self, **settings):
        arguments = {
            "iam": self.iam,
            "iam_url": f"{self.sandbox.banking_url}core/iam/",
            "environment": self.sandbox.environment,
            "clock": self.clock,
        }
        return await banking.rotate_secret(
            CLIENT, self.place, self.journal, **(arguments | settings)
        )

    async def assert_serves(self):
        """The secret that the service reads gets a token, at any time."""
        client = aa.OAuthClient(
            CLIENT, aa.Secret.from_file(self.place.path), environment=self.sandbox.environment
        )
        async with client:
            await client.fetch_token(aa.ClientCredentialsGrant())


@pytest.fixture
async def iam(sandbox):
    """Open a session with a token for IAM, without counting its requests."""
    tokens = aa.TokenProvider.client_credentials(
        "sandbox-admin", "admin-secret", scope="services.iam", environment=sandbox.environment
    )
    async with tokens, aiohttp.ClientSession(middlewares=[tokens.middleware()]) as iam:
        await tokens.get_token()
        yield iam


@pytest.fixture
def service(sandbox, iam, tmp_path):
    return Service(sandbox, iam, tmp_path)


async def test_a_secret_is_replaced_and_the_old_one_deleted(service):
    """The service reads the new one, the server accepts it alone, and its end is remembered."""
    done = await service.rotate(lifetime=90 * 24 * 3600)

    assert service.valid == {service.secret}
    assert len(service.secret) == 32
    assert done.deleted is not None
    assert done.left == ()
    assert done.expires_at == service.clock.time() + 90 * 24 * 3600
    assert await banking.read_expiration(service.journal) == done.expires_at
    assert service.secret not in service.journal.path.read_text()
    assert service.secret not in repr(done)
    await service.assert_serves()
    # The second rotation knows from the journal which one is old.
    service.sandbox.add_client(service.sandbox.clients[CLIENT])
    again = await service.rotate()
    assert again.deleted == done.secret_id
    assert service.valid == {service.secret}
    assert again.expires_at is None


async def test_a_rotation_that_is_killed_at_every_await_is_finished_by_the_next(
    sandbox, iam, tmp_path
):
    """At every moment the service's secret is valid; in the end it is the only one."""
    registered, last, deaths = sandbox.clients[CLIENT], 0, 0
    while True:
        folder = tmp_path / str(last)
        folder.mkdir()
        sandbox.add_client(registered)
        service = Service(sandbox, iam, folder)
        lived = False
        # Twice at the same place, then to its end.
        for steps in (last, last, -1):
            try:
                await Mortal(service.rotate(), steps)
            except KilledError:
                deaths += 1
            else:
                lived = True
            await service.assert_serves()
            if lived:
                break
        assert service.valid == {service.secret}
        assert service.secret != "sandbox-secret"
        if steps == last:
            break
        last += 1
    assert deaths > 20


async def test_two_rotations_at_once_take_no_secret_away(service):
    """One may fail, and a secret may be left; what the service reads is valid all the time."""
    for _ in range(5):
        done = await asyncio.gather(service.rotate(), service.rotate(), return_exceptions=True)

        await service.assert_serves()
        failures = [each for each in done if isinstance(each, Exception)]
        assert all(isinstance(each, aa.AritmaAuthError) for each in failures), failures


async def test_two_writers_at_once_leave_a_whole_text(tmp_path):
    """Neither moves what the other has half written; a reader finds one of the texts at any time."""
    place = banking.FileSecretPlace(tmp_path / "secret")
    texts = ["a" * 60_000, "b" * 60_000]
    await place.write(SecretText(texts[0]))
    for _ in range(20):
        written = [place.write(SecretText(text)) for text in texts]
        *_, found = await asyncio.gather(*written, place.read())

        assert found.text in texts
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize("lost", range(4))
async def test_a_lost_response_leaves_no_second_secret(service, lost):
    """IAM acts and its response never comes: the next run finds what was done."""
    for _ in range(lost):
        service.sandbox.faults.delay_next(0, where="api")
    service.sandbox.faults.lose_response_next(where="api")
    if lost == 1:
        # aiohttp repeats GET and DELETE itself, and POST never.
        with pytest.raises(aa.TransportError, match="IAM did not respond"):
            await service.rotate()
        await service.assert_serves()
    await service.rotate()

    assert service.valid == {service.secret}


@pytest.mark.parametrize("lost", [False, True])
async def test_without_a_list_the_old_secret_is_left(service, lost):
    """Nothing is deleted that may be another client's; the rotation itself works."""
    faults = service.sandbox.faults
    faults.respond_next(b"", status=405, where="api")
    if lost:
        faults.lose_response_next(where="api")
        faults.respond_next(b"", status=405, where="api")
        with pytest.raises(aa.TransportError):
            await service.rotate()
    done = await service.rotate()

    assert (done.deleted, done.left) == (None, ())
    assert (done.secret_id is None) == lost
    assert service.valid == {service.secret, "sandbox-secret"}


async def test_a_secret_that_is_not_ours_is_left(service):
    """Of two secrets nobody can tell which one the service used; the caller can."""
    registered = service.sandbox.clients[CLIENT]
    service.sandbox.add_client(
        type(registered)(
            client_id=CLIENT, secrets=("sandbox-secret", "another-region"), scopes="bankservice"
        )
    )
    done = await service.rotate(keep_old=True)
    assert done.deleted is None
    assert len(done.left) == 2
    assert service.valid == {service.secret, "sandbox-secret", "another-region"}

    async with service.iam.get(
        f"{service.sandbox.banking_url}core/iam/v1/clients/{CLIENT}/secrets"
    ) as response:
        listed = await response.json()
    old = sorted((*registered.secrets, "another-region")).index("sandbox-secret")
    ids = [each["id"] for each in listed["items"] if each["description"] is None]
    done = await service.rotate(old_secret_id=ids[old])
    assert done.deleted == ids[old]
    assert service.valid == {service.secret, "another-region"}
    assert len(done.left) == 1


@pytest.mark.parametrize("found", [None, "never-valid"])
async def test_the_only_secret_may_be_another_services(service, found):
    """If this place has no valid secret, the one that IAM has is not deleted."""
    if found is None:
        service.place.path.unlink()
    else:
        service.place.path.write_text(found)
    done = await service.rotate()

    assert done.deleted is None
    assert service.valid == {service.secret, "sandbox-secret"}


async def test_the_old_secret_may_be_kept_for_a_while(service):
    """The same call without keep_old finishes the rotation and begins no other."""
    first = await service.rotate(keep_old=True)
    assert service.valid == {service.secret, "sandbox-secret"}
    secret = service.secret

    second = await service.rotate()

    assert service.secret == secret
    assert second.secret_id == first.secret_id
    assert service.valid == {secret}


async def test_a_daily_job_rotates_when_it_is_due(service):
    """A secret whose end is far is left alone, one that ends soon is replaced."""
    day = 24 * 3600
    assert await service.rotate(lifetime=90 * day, only_within=14 * day) is not None
    secret = service.secret
    assert await service.rotate(only_within=14 * day) is None
    assert service.secret == secret
    service.clock.advance(80 * day)
    service.sandbox.clock.advance(0)
    assert await service.rotate(only_within=14 * day) is not None
    assert service.secret != secret


async def test_a_daily_job_leaves_a_secret_without_an_end_alone(service):
    """Otherwise it would replace it every day."""
    assert await service.rotate(only_within=14) is not None
    secret = service.secret

    assert await service.rotate(only_within=14) is None
    assert service.secret == secret


async def test_a_new_secret_may_need_a_moment(service):
    """A refusal right after the creation is not the end."""
    wait = b'{"error":"invalid_client"}'
    await service.iam.get(service.sandbox.banking_url)
    # The old secret is proven first, then the new one twice in vain.
    service.sandbox.faults.delay_next(0)
    service.sandbox.faults.respond_next(wait, status=400, times=2)

    await service.rotate()

    assert service.clock.slept == [1.0, 2.0]
    assert service.valid == {service.secret}


async def test_a_secret_without_a_token_replaces_nothing(service):
    """The old secret stays where it is, and valid; the next run goes on."""
    service.sandbox.faults.delay_next(0)
    service.sandbox.faults.respond_next(b'{"error":"invalid_client"}', status=400, times=6)
    with pytest.raises(aa.OAuthError, match="the old one is still in use"):
        await service.rotate()
    assert service.secret == "sandbox-secret"
    await service.assert_serves()

    await service.rotate()
    assert service.valid == {service.secret}


async def test_the_new_secret_is_never_deleted(service):
    """An identifier that is the new secret's own is refused, since it would delete that one."""
    done = await service.rotate(keep_old=True)
    with pytest.raises(aa.ConfigurationError, match="must not be the new secret's"):
        await service.rotate(old_secret_id=done.secret_id)

    assert service.valid == {service.secret, "sandbox-secret"}


async def test_iam_leads_nowhere_else(service):
    """A redirect is not followed with the secret in its body."""
    asked = []

    async def respond(request):
        asked.append(await request.text())
        return web.json_response({"id": "1"}, status=201)

    async with serving(respond) as elsewhere:
        service.sandbox.faults.delay_next(0, where="api")
        service.sandbox.faults.redirect_next(elsewhere, where="api")
        with pytest.raises(aa.InvalidResponseError, match="IAM responded 307"):
            await service.rotate()

    assert asked == []
    assert service.valid == {"sandbox-secret"}


class Forgetful:
    """A place that says it wrote."""

    def __init__(self, text):
        self.text = text

    async def read(self):
        return self.text

    async def write(self, text):
        """Keep nothing."""


@pytest.mark.parametrize("text", [None, SecretText("sandbox-secret")])
async def test_a_place_that_keeps_nothing_deletes_nothing(service, text):
    """What was written is read back before the old secret is deleted."""
    service.place = Forgetful(text)
    with pytest.raises(aa.ConfigurationError, match="nothing was deleted"):
        await service.rotate()

    assert "sandbox-secret" in service.valid


@pytest.mark.parametrize("text", ["plain", "[]", '{"value": 5}'])
async def test_a_journal_of_something_else_is_refused(service, text, canary):
    """A file that is no journal is not written over, and does not show."""
    service.journal.path.write_text(text.replace("plain", canary.text))
    with pytest.raises(aa.ConfigurationError, match="the journal must hold") as caught:
        await service.rotate()

    canary.assert_hidden(caught.value)


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_iam_may_refuse(service, status, canary):
    """The error has IAM's title, and not what a detail may repeat."""
    body = json.dumps({"title": "Forbidden", "detail": canary.text}).encode()
    service.sandbox.faults.respond_next(body, status=status, where="api", times=2)
    with pytest.raises(aa.InvalidResponseError, match=f"IAM responded {status}") as caught:
        await service.rotate()

    canary.assert_hidden(caught.value)
    assert service.valid == {"sandbox-secret"}


async def test_a_new_secret_that_iam_refuses_shows_in_no_frame(service, canary, monkeypatch):
    """An error reporter shows the locals of every frame between the caller and the refusal."""
    monkeypatch.setattr("secrets.token_urlsafe", lambda _length: canary.text)
    service.sandbox.faults.delay_next(0, where="api")
    service.sandbox.faults.respond_next(b"{}", status=403, where="api")
    with pytest.raises(aa.InvalidResponseError, match="IAM responded 403") as caught:
        await service.rotate()

    assert canary.text in service.journal.path.read_text()
    canary.assert_hidden(caught.value)


async def test_a_list_that_comes_in_pieces_is_read_whole(service):
    """A list that was read in part would be unreadable: the old secret would stay valid."""
    body = json.dumps([{"id": "1"}, {"id": "2"}]).encode()

    async def respond(request):
        response = web.StreamResponse()
        if request.method == "POST":
            return web.json_response({}, status=403)
        await response.prepare(request)
        await response.write(body[:12])
        # A request of its own: the first piece has arrived by its end.
        async with service.iam.get(service.sandbox.banking_url):
            await response.write(body[12:])
        return response

    async with serving(respond) as iam_url:
        async with aiohttp.ClientSession() as iam:
            with pytest.raises(aa.InvalidResponseError, match="IAM responded 403"):
                await service.rotate(iam=iam, iam_url=iam_url)

    assert json.loads(service.journal.path.read_text())["before"] == ["1", "2"]


async def test_an_endless_list_is_refused(service, canary):
    """No response takes more memory than a mebibyte, and none of it shows."""
    content = canary.text.encode().ljust(1 << 16) * 17
    service.sandbox.faults.respond_next(content, status=200, where="api")
    with pytest.raises(aa.InvalidResponseError, match="IAM must send 1048576 bytes") as caught:
        await service.rotate()

    canary.assert_hidden(caught.value)


async def test_what_is_a_guess_about_iam_can_be_put_right(service):
    """Another place, other methods and other members: the old secret is found and deleted."""
    place = f"{service.sandbox.banking_url}core/iam/v1/clients/{CLIENT}/secrets"
    methods = {"SEARCH": "GET", "POST": "POST", "PUT": "DELETE"}
    called = []

    async def respond(request):
        called.append((request.method, request.raw_path))
        end = "" if request.path == "/of/sandbox-service" else f"/{request.path[-36:]}"
        body = await request.read() or None
        async with service.iam.request(methods[request.method], place + end, data=body) as response:
            text = (await response.text()).replace('"items"', '"found"').replace('"id"', '"key"')
            return web.Response(text=text, status=response.status)

    api = banking.IamApi(
        secrets_path="of/{client_id}",
        secret_path="one/{secret_id}",
        list_method="SEARCH",
        delete_method="PUT",
        list_members="found",
        id_members=["key"],
    )
    async with serving(respond) as iam_url, aiohttp.ClientSession() as iam:
        done = await service.rotate(iam=iam, iam_url=iam_url, iam_api=api)

    assert called == [
        ("SEARCH", "/of/sandbox-service"),
        ("POST", "/of/sandbox-service"),
        ("PUT", f"/one/{done.deleted}"),
    ]
    assert service.valid == {service.secret}


@pytest.mark.parametrize(
    ("guess", "problem"),
    [
        (
            {"secrets_path": "v1/{clientId}"},
            r"secrets_path must have no placeholders but {client_id}, not",
        ),
        ({"secret_path": "v1/{"}, "secret_path must have no placeholders but {client_id} and"),
        ({"secret_path": "v1/{client_id.x}"}, "secret_path must have no placeholders"),
        ({"secrets_path": None}, "secrets_path must be a path"),
        ({"list_method": "GET /"}, "list_method must be a method, such as GET, not 'GET /'"),
        ({"delete_method": None}, "delete_method must be a method"),
    ],
)
def test_a_guess_is_checked_before_anything_is_sent(guess, problem):
    """A misspelled placeholder or method is an error of ours, when the value is made."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        banking.IamApi(**guess)


async def test_a_closed_session_is_refused(service):
    """No RuntimeError of aiohttp leaves the package."""
    async with aiohttp.ClientSession() as closed:
        pass
    with pytest.raises(aa.ConfigurationError, match="iam must be an open session"):
        await service.rotate(iam=closed)


async def test_iam_may_be_unreachable(service):
    """The journal has nothing to finish yet, and the error says what to do."""
    async with aiohttp.ClientSession() as iam:
        with pytest.raises(aa.TransportError, match=r"IAM did not respond .*: run this again"):
            await service.rotate(iam=iam, iam_url="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"iam_url": "http://iam.example"}, "iam_url must use https"),
        ({"iam_api": "v1/secrets"}, "iam_api must be an IamApi"),
        ({"lifetime": 0}, "lifetime must be"),
        ({"lifetime": 1e18}, "lifetime must end before the year 10000"),
        ({"timeout": "5"}, "timeout must be"),
        ({"iam": None}, "iam must be your aiohttp.ClientSession"),
        ({"clock": None}, "clock must be a Clock"),
        ({"make_client": 5}, "make_client must be"),
        ({"old_secret_id": 5}, "old_secret_id must be"),
        ({"description": None}, "description must be"),
        ({"only_within": -1}, "only_within must be"),
    ],
)
async def test_arguments_are_checked(service, settings, problem):
    """A wrong argument is named before anything is sent, or written where each run would find it."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        await service.rotate(**settings)
    assert not service.journal.path.exists()
    with pytest.raises(aa.ConfigurationError, match="journal must be a SecretPlace"):
        await banking.read_expiration(None)
    service.journal = "a path"
    with pytest.raises(aa.ConfigurationError, match="journal must be a SecretPlace"):
        await service.rotate()


# IAM's responses


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'[{"id": "1"}, {"secretId": 2}, 5]', ["1", "2"]),
        (b'{"data": [{"id": "1"}]}', ["1"]),
        (b'{"secrets": [{}]}', [None]),
        (b'{"other": []}', None),
        (b'"text"', None),
        (b"<html>", None),
    ],
)
def test_a_list_may_have_any_form(body, ids):
    """A list that cannot be read is no list, and no error."""
    listed = iam_requests.parse_secret_list(200, HiddenBytes(body), banking.IamApi())

    assert (listed and [each.secret_id for each in listed]) == ids


def test_a_secrets_end_is_read_if_it_can_be():
    """An end that is no time is unknown."""

    def end(text):
        body = HiddenBytes(json.dumps({"id": "1", "expiration": text}).encode())
        return iam_requests.parse_created_secret(201, body, banking.IamApi()).expires_at

    assert end("1970-01-01T00:01:00Z") == end("1970-01-01T00:01:00") == 60
    assert end("soon") is None
    assert end(5) is None
    assert (
        iam_requests.parse_created_secret(201, HiddenBytes(b"[]"), banking.IamApi()).secret_id
        is None
    )


# Places


async def test_a_file_keeps_its_mode(tmp_path):
    """The service that may read it still may; a new file is for its owner alone."""
    path = tmp_path / "secret"
    place = banking.FileSecretPlace(path)
    assert await place.read() is None
    await place.write(SecretText("one"))
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    left, at_work = tmp_path / ".secret.1.new", tmp_path / ".secret.2.new"
    for draft in (left, at_work):
        draft.write_text("another writer's")
    os.utime(left, (0, 0))
    await place.write(SecretText("two"))

    assert path.stat().st_mode & 0o777 == 0o640
    assert (await place.read()).text == "two"
    assert {each.name for each in tmp_path.iterdir()} == {"secret", at_work.name}
    assert repr(place) == f"<FileSecretPlace {path}>"


@pytest.mark.parametrize(
    ("mode", "owner", "may_give", "is_written"),
    [
        (0o640, 0, "group", True),
        (0o640, 0, "nothing", False),
        (0o640, 1001, "group", False),
        (0o600, 1001, "group", False),
        (0o604, 1001, "nothing", True),
        (0o600, 0, "nothing", True),
        (0o640, 1001, "both", True),
    ],
)
async def test_a_file_stays_readable_for_its_owner_and_group(
    tmp_path, monkeypatch, mode, owner, may_give, is_written
):
    """Otherwise nothing is replaced, and no draft is left: the service would fail at its start."""
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(mode)
    had = SimpleNamespace(st_uid=owner, st_gid=2000, st_mode=stat.S_IFREG | mode)
    now = SimpleNamespace(st_uid=1002, st_gid=1002)

    def give(_file, uid, gid):
        if may_give == "nothing" or (may_give == "group" and uid != -1):
            raise PermissionError
        now.st_uid, now.st_gid = (now.st_uid if uid == -1 else uid), gid

    with monkeypatch.context() as system:
        system.setattr(type(path), "stat", lambda *_args, **_settings: had)
        system.setattr(type(path), "exists", lambda _path: True)
        system.setattr(os, "fchown", give)
        system.setattr(os, "fstat", lambda _file: now)
        if is_written:
            await banking.FileSecretPlace(path).write(SecretText("new"))
        else:
            with pytest.raises(aa.StoreError, match="could no longer read it"):
                await banking.FileSecretPlace(path).write(SecretText("new"))

    assert path.read_text() == ("new" if is_written else "old")
    assert path.stat().st_mode & 0o777 == mode
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


async def test_a_link_to_the_file_stays(tmp_path):
    """A service that reads the file by another way reads the new secret too."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to("new")
    await banking.FileSecretPlace(tmp_path / "link").write(SecretText("new"))
    await banking.FileSecretPlace(tmp_path / "dangling").write(SecretText("first"))

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "dangling").is_symlink()
    assert (tmp_path / "new").read_text() == "first"


async def test_what_is_no_file_is_not_replaced(tmp_path):
    """Root could write a file in the place of a device or a pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(aa.StoreError, match="no file, but a folder, a pipe or a device"):
        await banking.FileSecretPlace(pipe).write(SecretText("new"))

    assert pipe.is_fifo()


async def test_a_file_that_does_not_respond_keeps_nobody_waiting(tmp_path, monkeypatch):
    """A pipe without a writer, or a dead disk, is an outage."""
    monkeypatch.setattr("aritma_auth.banking.secret_places._PATIENCE", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(aa.StoreError, match=r"pipe cannot be read \(it took longer than 0.05 s\)"):
        await banking.FileSecretPlace(pipe).read()
    # The thread goes on once there is a writer.
    pipe.open("wb").close()


@pytest.mark.parametrize("path", ["", ".", "/", "a\0b"])
def test_a_path_names_a_file(path):
    """No ValueError of pathlib leaves the package."""
    with pytest.raises(aa.ConfigurationError, match="path must be the path of a file"):
        banking.FileSecretPlace(path)


@pytest.mark.parametrize("text", ["plain", SecretText("\ud800")])
async def test_a_text_that_no_place_can_keep_is_refused(tmp_path, text):
    """It is no SecretText, or nothing that UTF-8 can hold."""
    command = banking.CommandSecretPlace(["cat"], ["cat"])
    for place in (banking.FileSecretPlace(tmp_path / "secret"), command):
        with pytest.raises(aa.ConfigurationError, match="text must be"):
            await place.write(text)
    assert not (tmp_path / "secret").exists()


async def test_a_long_file_is_no_secret(tmp_path):
    """It is not cut off: what is read would be another secret."""
    (tmp_path / "secret").write_bytes(b"x" * ((1 << 16) + 1))
    with pytest.raises(aa.StoreError, match="longer than 65536 bytes"):
        await banking.FileSecretPlace(tmp_path / "secret").read()


async def test_a_system_without_owners_has_none_to_keep(tmp_path, monkeypatch):
    """Windows has neither owners nor modes of this kind."""
    monkeypatch.delattr(os, "fchown")
    (tmp_path / "secret").write_text("old")
    await banking.FileSecretPlace(tmp_path / "secret").write(SecretText("new"))

    assert (tmp_path / "secret").read_text() == "new"


async def test_a_file_that_cannot_be_used_is_a_store_error(tmp_path):
    """No OSError leaves the package, and no content shows."""
    with pytest.raises(aa.StoreError, match="cannot be written"):
        await banking.FileSecretPlace(tmp_path / "no" / "secret").write(SecretText("one"))
    with pytest.raises(aa.StoreError, match="cannot be read"):
        await banking.FileSecretPlace(tmp_path).read()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(aa.StoreError, match="must be UTF-8"):
        await banking.FileSecretPlace(tmp_path / "bytes").read()
    with pytest.raises(aa.ConfigurationError, match="path must be"):
        banking.FileSecretPlace(5)


async def test_a_keyring_keeps_a_secret(monkeypatch):
    """An entry is read and replaced; a backend that fails is a StoreError."""
    backend = DictKeyring()
    place = banking.KeyringSecretPlace("erp", "aritma", keyring=backend)
    assert await place.read() is None
    await place.write(SecretText("one"))
    assert (await place.read()).text == "one"
    assert repr(place) == "<KeyringSecretPlace erp>"

    def locked(*_args):
        raise RuntimeError("locked")

    monkeypatch.setattr(backend, "get_password", locked)
    with pytest.raises(aa.StoreError, match="the keyring cannot be read"):
        await place.read()
    with pytest.raises(aa.ConfigurationError, match="username must be a name"):
        banking.KeyringSecretPlace("erp", None)


async def test_a_keyring_that_waits_for_its_user_is_an_outage(monkeypatch):
    """A locked keyring, whose dialog nobody answers, keeps no job waiting for ever."""
    monkeypatch.setattr("aritma_auth.banking.secret_places._PATIENCE", 0.05)
    backend, is_unlocked = DictKeyring(), threading.Event()
    monkeypatch.setattr(backend, "get_password", lambda *_names: is_unlocked.wait(30))
    with pytest.raises(aa.StoreError, match=r"keyring cannot be read \(it took longer than"):
        await banking.KeyringSecretPlace("erp", "aritma", keyring=backend).read()
    is_unlocked.set()


def test_the_machines_keyring_is_the_default():
    """Without a backend python-keyring chooses."""
    assert isinstance(banking.KeyringSecretPlace("erp", "aritma"), banking.SecretPlace)


WRITE = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
READ = (
    "import sys, pathlib; p = pathlib.Path(sys.argv[1]); print(p.read_text() if p.exists() else '')"
)


async def test_commands_take_a_secret_by_standard_input(tmp_path):
    """No argument has the secret."""
    file = str(tmp_path / "vault")
    place = banking.CommandSecretPlace(
        [sys.executable, "-c", READ, file], [sys.executable, "-c", WRITE, file]
    )
    assert await place.read() is None
    await place.write(SecretText("one"))

    assert (await place.read()).text == "one"
    assert repr(place) == f"<CommandSecretPlace {sys.executable}>"


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["/no/such/command"], "FileNotFoundError"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with status 3"),
        ([sys.executable, "\ud800"], "UnicodeEncodeError"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "killed, after 0.2 seconds"),
        (["sh", "-c", "sleep 60; echo"], "killed, after 0.2 seconds"),
        (["sh", "-c", "yes"], "printed more than 65536 bytes"),
    ],
)
async def test_a_command_that_fails_is_a_store_error(command, problem):
    """It is named with its problem, and what it wrote is not shown."""
    # Only the command that sleeps may meet the time-out, however busy the machine is.
    timeout = 0.2 if "killed" in problem else 30
    place = banking.CommandSecretPlace(command, command, timeout=timeout)
    with pytest.raises(aa.StoreError, match=problem):
        await place.read()


async def test_a_writer_that_does_not_read_fails_by_its_status(tmp_path):
    """A secret that nobody reads is no error of a pipe."""
    long = SecretText("x" * (1 << 17))
    with pytest.raises(aa.StoreError, match="ended with status 3"):
        await banking.CommandSecretPlace(["sh", "-c", "exit 3"], ["sh", "-c", "exit 3"]).write(long)
    await banking.CommandSecretPlace(["true"], ["true"]).write(long)


def test_a_command_has_no_nul():
    """The operating system takes no such word."""
    with pytest.raises(aa.ConfigurationError, match="read must have no NUL"):
        banking.CommandSecretPlace(["a\0b"], ["a"])


@pytest.mark.parametrize("wrong", ["vault read", [], [5]])
def test_a_command_is_a_list_of_words(wrong):
    """A text would need a shell."""
    with pytest.raises(aa.ConfigurationError, match="as a list of words"):
        banking.CommandSecretPlace(["a"], wrong)


async def test_the_proof_is_made_by_the_callers_client(service):
    """A client that needs more than a secret proves it with all that it needs."""
    made = []

    def make_client(secret):
        made.append(
            aa.OAuthClient(
                CLIENT, aa.ClientSecretBasic(secret), environment=service.sandbox.environment
            )
        )
        return made[-1]

    await service.rotate(make_client=make_client)

    await service.assert_serves()
    assert made


@pytest.mark.parametrize(
    ("make_client", "problem"),
    [
        (lambda _secret: None, "make_client's result must be an OAuthClient"),
        (lambda secret: aa.OAuthClient("another", secret), "make the client 'sandbox-service'"),
    ],
)
async def test_a_proof_by_another_client_proves_nothing(service, make_client, problem):
    """The old secret stays in use and valid."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        await service.rotate(make_client=make_client)

    await service.assert_serves()
    assert "sandbox-secret" in service.valid

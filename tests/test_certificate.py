"""Client certificates in files: loaded, replaced while the process runs, and never shown."""

import asyncio
import copy
import os
import pickle
import shutil
import ssl
import traceback
from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization

import aritma_auth as aa
from aritma_auth import certificate as module
from support.loopback import serving
from support.tls import Authority


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def thumbprint_of(cert_file):
    der = ssl.PEM_cert_to_DER_cert(cert_file.read_text())
    return urlsafe_b64encode(sha256(der).digest()).decode().rstrip("=")


def test_a_certificate_says_its_thumbprint_and_presents_itself(authority):
    """The thumbprint is ``x5t#S256``; the context verifies servers and speaks TLS 1.2 or newer."""
    cert_file, key_file = authority.issue()
    certificate = aa.ClientCertificate(cert_file, key_file, ca_file=authority.ca_file)
    context = certificate.ssl_context

    assert certificate.thumbprint == thumbprint_of(cert_file)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert repr(certificate) == f"<ClientCertificate {certificate.thumbprint}>"
    assert copy.copy(certificate) is certificate
    assert copy.deepcopy(certificate) is certificate
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(certificate)


def test_one_file_may_hold_both(authority, tmp_path):
    """The certificate comes first or last; the system's authorities are the default ones."""
    cert_file, key_file = authority.issue()
    both = tmp_path / "both.pem"
    both.write_text(key_file.read_text() + cert_file.read_text())

    assert aa.ClientCertificate(both).thumbprint == thumbprint_of(cert_file)


def encrypt(key_file, password):
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode()),
        )
    )


def test_a_private_key_may_have_a_password(authority):
    """Without it, or with another one, the error comes at once and no terminal asks for it."""
    cert_file, key_file = authority.issue()
    encrypt(key_file, "planted-password")

    assert aa.ClientCertificate(cert_file, key_file, password="planted-password").thumbprint
    for password in (None, "planted-wrong"):
        with pytest.raises(aa.ConfigurationError, match="check the files") as caught:
            aa.ClientCertificate(cert_file, key_file, password=password)
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        shown = "".join(line for line in frames.format() if "/tests/" not in line)
        assert "planted" not in shown
        assert caught.value.__context__ is None


def test_text_around_a_certificate_may_be_of_any_encoding(authority):
    """openssl writes the subject above it, and names have letters of their own."""
    cert_file, key_file = authority.issue()
    thumbprint = aa.ClientCertificate(cert_file, key_file).thumbprint
    for subject in ("subject=O = Sparebanken Sør\n".encode(), b"subject=O = S\xf8r\n"):
        cert_file.write_bytes(subject + cert_file.read_bytes())
        assert aa.ClientCertificate(cert_file, key_file).thumbprint == thumbprint


def test_files_that_cannot_be_used_are_named(authority, tmp_path):
    """A missing file, links in a circle, no PEM and a key that does not fit are the caller's to fix."""
    cert_file, key_file = authority.issue()
    _, other_key = authority.issue("other.example")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    circle = tmp_path / "circle.pem"
    circle.symlink_to(circle)
    for files in (
        (tmp_path / "missing.pem", key_file),
        (cert_file, tmp_path / "missing.pem"),
        (circle, key_file),
        (empty, key_file),
        (cert_file, empty),
        (cert_file, other_key),
        (cert_file,),
    ):
        with pytest.raises(aa.ConfigurationError, match=r"certificate in .* check the files"):
            aa.ClientCertificate(*files)
    with pytest.raises(aa.ConfigurationError, match=r"certificates in PEM, and .*missing"):
        aa.ClientCertificate(cert_file, key_file, ca_file=tmp_path / "missing.pem")


def test_pipes_devices_and_huge_files_are_not_waited_for(authority, tmp_path):
    """OpenSSL would read them for ever; the error names both files."""
    cert_file, key_file = authority.issue()
    pipe, huge = tmp_path / "pipe", tmp_path / "huge"
    os.mkfifo(pipe)
    with huge.open("wb") as file:
        file.truncate(1 << 25)
    for odd, says in (
        (pipe, "it is a pipe"),
        ("/dev/zero", "it is a pipe or a device"),
        (huge, "it is longer than"),
        (tmp_path, "it is a folder"),
    ):
        for files in ((odd, key_file), (cert_file, odd)):
            with pytest.raises(aa.ConfigurationError, match=rf"{files[0]}.*{files[1]}.*{says}"):
                aa.ClientCertificate(*files)
        with pytest.raises(aa.ConfigurationError, match=rf"ca_file must .*{odd} is none \({says}"):
            aa.ClientCertificate(cert_file, key_file, ca_file=odd)


def test_without_the_systems_authorities_it_is_told(authority, monkeypatch):
    """A machine's own file may be unreadable, too."""

    def fail(**_arguments):
        raise ssl.SSLError("broken")

    monkeypatch.setattr(ssl, "create_default_context", fail)
    with pytest.raises(aa.ConfigurationError, match="the system's file is none"):
        aa.ClientCertificate(*authority.issue())


def test_wrong_arguments_are_named(authority):
    """Paths must be paths, the password a text, and the interval seconds."""
    cert_file, key_file = authority.issue()
    for make, says in (
        (lambda: aa.ClientCertificate(5), "cert_file must be the path"),
        (lambda: aa.ClientCertificate(cert_file, 5), "key_file must be the path"),
        (lambda: aa.ClientCertificate(cert_file, key_file, ca_file=5), "ca_file must be the path"),
        (lambda: aa.ClientCertificate(cert_file, key_file, password=b"x"), "password must be"),
        (lambda: aa.ClientCertificate(cert_file, key_file, check_interval=-1), "check_interval"),
    ):
        with pytest.raises(aa.ConfigurationError, match=says):
            make()


async def test_replaced_files_are_loaded_without_a_restart(authority):
    """The context stays the same object; the thumbprint before it still counts as its own."""
    certificate = authority.certificate(check_interval=0)
    context, before = certificate.ssl_context, certificate.thumbprint
    await certificate.refresh()
    assert certificate.thumbprint == before
    cert_file, _ = authority.issue()
    await certificate.refresh()

    assert certificate.thumbprint == thumbprint_of(cert_file) != before
    assert certificate.ssl_context is context
    assert certificate.is_own(before)
    assert certificate.is_own(certificate.thumbprint)
    assert not certificate.is_own("another")
    authority.issue()
    await certificate.refresh()
    assert not certificate.is_own(before)


async def test_a_renewed_certificate_is_presented_without_a_restart(authority):
    """The server sees the certificate of the files as they are at each token request."""
    seen = []

    async def serve(request):
        certificate = request.transport.get_extra_info("peercert")
        seen.append(certificate["subjectAltName"][0][1])
        return web.json_response({"access_token": "a", "token_type": "Bearer"})

    cert_file, key_file = authority.issue("one.example", into="client")
    certificate = aa.ClientCertificate(cert_file, key_file, ca_file=authority.ca_file)
    async with serving(serve, ssl_context=authority.server()) as url:
        environment = aa.Environment.at(url)
        client = aa.OAuthClient("id", aa.TlsClientAuth(certificate), environment=environment)
        for name in ("one.example", "one.example", "two.example"):
            if name not in seen:
                authority.issue(name, into="client")
            await client.fetch_token(aa.ClientCredentialsGrant())

    assert seen == ["one.example", "one.example", "two.example"]


async def test_a_look_before_a_token_request_does_not_wait_for_the_interval(authority):
    """What it returns changes with the certificate and not otherwise."""
    certificate = authority.certificate()
    digests = [await certificate.load() for _ in range(2)]
    authority.issue()
    digests.append(await certificate.load())

    assert digests[0] == digests[1] != digests[2]


async def test_files_are_looked_at_now_and_then(authority):
    """Within the interval no file is read; `reload` reads them whenever it is asked to."""
    certificate = authority.certificate(check_interval=3600)
    before = certificate.thumbprint
    authority.issue()
    await certificate.refresh()
    assert certificate.thumbprint == before

    assert await certificate.reload()
    assert certificate.thumbprint != before
    assert not await certificate.reload()


async def test_a_replacement_that_cannot_be_used_is_reported_and_not_used(authority, caplog):
    """The certificate before stays in use; the log says so once, and it is over when files are good."""
    certificate = authority.certificate(check_interval=0)
    before = certificate.thumbprint
    _, key_file = authority.issue("other.example")
    shutil.copy(key_file, authority.folder / "payments.example.key")
    for _ in range(3):
        await certificate.refresh()

    assert certificate.thumbprint == before
    assert "check the files" in certificate.problem
    assert [r.levelname for r in caplog.records if "not used" in r.getMessage()] == ["WARNING"]
    with pytest.raises(aa.ConfigurationError, match="check the files"):
        await certificate.reload()
    (authority.folder / "payments.example.crt").unlink()
    await certificate.refresh()
    assert certificate.problem is not None
    authority.issue()
    await certificate.refresh()
    assert certificate.problem is None
    assert certificate.thumbprint != before


async def test_a_disk_that_hangs_holds_no_request(authority, monkeypatch):
    """The look for replaced files is given up, and the certificate in memory is used."""

    class Hanging:
        async def run(self, _function):
            await asyncio.Event().wait()

    certificate = authority.certificate(check_interval=0)
    monkeypatch.setattr(module, "_THREADS", Hanging())
    monkeypatch.setattr(module, "_READ_WITHIN", 0.01)
    await asyncio.wait_for(certificate.refresh(), 30)

    assert certificate.problem == "the files were not read within 0.01 seconds"


def test_nobody_is_asked_for_a_password(authority, monkeypatch):
    """OpenSSL asks at the terminal when it is given none, and a service would hang."""
    given = []
    load = ssl.SSLContext.load_cert_chain

    def record(context, certfile, keyfile, password):
        given.append(password)
        load(context, certfile, keyfile, password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", record)
    authority.certificate()

    assert given == ["", ""]

"""Tests of CertificateFiles: certificates that are renewed without a restart."""

import pickle
import ssl

import pytest
import trustme
from aiohttp import web

import aritma_auth as aa
from support.loopback import serving

GRANT = aa.ClientCredentialsGrant()


class Files:
    """A certificate and its key, which an authority renews in place."""

    def __init__(self, folder):
        self.authority = trustme.CA()
        self.certificate, self.key = folder / "client.pem", folder / "client-key.pem"
        self.trusted = folder / "authorities.pem"
        self.authority.cert_pem.write_to_path(self.trusted)
        self.renew("one.example")

    def renew(self, name):
        pair = self.authority.issue_cert(name)
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in pair.cert_chain_pems))
        self.key.write_bytes(pair.private_key_pem.bytes())

    def load(self):
        return aa.CertificateFiles(self.certificate, self.key, authorities=self.trusted)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


async def test_a_renewed_certificate_is_presented_without_a_restart(files):
    """The server sees the certificate of the files as they are at each token request."""
    seen = []

    async def serve(request):
        certificate = request.transport.get_extra_info("peercert")
        seen.append(certificate["subjectAltName"][0][1])
        return web.json_response({"access_token": "a", "token_type": "Bearer"})

    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.verify_mode = ssl.CERT_REQUIRED
    files.authority.configure_trust(server)
    files.authority.issue_cert("127.0.0.1").configure_cert(server)
    async with serving(serve, ssl_context=server) as url:
        environment = aa.Environment.at(url)
        client = aa.OAuthClient("id", aa.TlsClientAuth(files.load()), environment=environment)
        await client.fetch_token(GRANT)
        await client.fetch_token(GRANT)
        files.renew("two.example")
        await client.fetch_token(GRANT)

    assert seen == ["one.example", "one.example", "two.example"]


async def test_the_same_files_make_no_new_context(files):
    """Connections that are kept alive stay usable until the certificate changes."""
    certificate = files.load()
    first, digest = certificate.ssl_context, await certificate.load()

    assert certificate.ssl_context is first
    assert await certificate.load() == digest
    files.renew("two.example")
    assert await certificate.load() != digest
    assert certificate.ssl_context is not first


@pytest.mark.parametrize("damage", ["half", "gone"])
async def test_files_that_are_being_replaced_leave_the_old_one_in_use(files, damage):
    """A certificate without its key, or no file at all, is tried again at the next request."""
    certificate = files.load()
    first, digest = certificate.ssl_context, await certificate.load()
    old_key = files.key.read_bytes()
    files.renew("two.example")
    renewed = files.key.read_bytes()
    if damage == "half":
        files.key.write_bytes(old_key)
    else:
        files.key.unlink()

    assert await certificate.load() == digest
    assert certificate.ssl_context is first
    files.key.write_bytes(renewed)
    assert await certificate.load() != digest


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read: No such file"), ("nonsense", "cannot be used")]
)
def test_what_is_no_certificate_is_refused_at_once(files, content, problem):
    """The error names the files, and nothing of what is in them."""
    if content is None:
        files.certificate.unlink()
    else:
        files.certificate.write_text(content)
    with pytest.raises(aa.ConfigurationError, match=problem) as caught:
        files.load()

    assert "client.pem" in str(caught.value)


def test_a_key_with_a_password_is_refused_and_asks_nobody(files):
    """OpenSSL would ask at the terminal, and a service would hang."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    with pytest.raises(aa.ConfigurationError, match="cannot be used"):
        files.load()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((None,), "certificate"), ((5,), "certificate"), (("a", 5), "key")],
)
def test_the_arguments_are_paths(arguments, name):
    """The wrong kind of argument is named."""
    with pytest.raises(aa.ConfigurationError, match=f"{name} must be the path of a file in PEM"):
        aa.CertificateFiles(*arguments)


def test_files_are_not_pickled(files):
    """A context belongs to its process."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(files.load())

"""A throw-away certificate authority."""

import ssl

import trustme

import aritma_auth as aa


def certificates():
    """Give the TLS settings of a server on loopback, and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return server, trusting


def unverified():
    """Give a client's TLS settings that verify no certificate."""
    context = any_host()
    context.verify_mode = ssl.CERT_NONE
    return context


def any_host():
    """Give those that verify a certificate, whatever host it is for."""
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def throw_away_certificate(folder):
    """Write a client's certificate and its key into a folder; give both paths."""
    issued = trustme.CA().issue_cert("client@example.org")
    certificate, key = folder / "client.pem", folder / "client.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    return certificate, key


class Authority:
    """A certificate authority of a test, and the files that it makes in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca_file)

    def server(self):
        """Return the TLS settings of a server that asks its clients for a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def issue(self, name="payments.example", *, into=""):
        """Issue a client's certificate; return its two files."""
        issued = self.authority.issue_cert(name, common_name=name)
        cert_file, key_file = (self.folder / f"{into or name}.{part}" for part in ("crt", "key"))
        # Whole files appear at once, as a mounted secret's do.
        for file, blob in (
            (cert_file, issued.cert_chain_pems[0]),
            (key_file, issued.private_key_pem),
        ):
            new = file.with_suffix(".new")
            new.write_bytes(blob.bytes())
            new.replace(file)
        return cert_file, key_file

    def certificate(self, name="payments.example", **settings):
        """Issue a certificate, and load it as a client does."""
        return aa.ClientCertificate(*self.issue(name), ca_file=self.ca_file, **settings)

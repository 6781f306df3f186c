"""A throw-away certificate authority."""

import ssl

import trustme


def certificates():
    """Give the TLS settings of a server on loopback, and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return server, trusting


def throw_away_certificate(folder):
    """Write a client's certificate and its key into a folder; give both paths."""
    issued = trustme.CA().issue_cert("client@example.org")
    certificate, key = folder / "client.pem", folder / "client.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    return certificate, key

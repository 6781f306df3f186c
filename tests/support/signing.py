"""Tokens that an issuer has signed, good or odd as a test wants them."""

import base64
import functools
import json
import warnings

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from aritma_auth.sandbox.identity.keys import signing_key

RSA = RSAKey.import_key(signing_key(0).private)
OTHER_RSA = RSAKey.import_key(signing_key(1).private)


@functools.cache
def ec_key(curve="P-256"):
    """Make a key of a curve, once."""
    return ECKey.generate_key(curve, auto_kid=False)


@functools.cache
def okp_key(curve="Ed25519"):
    """Make a key of an Edwards curve, once."""
    return OKPKey.generate_key(curve, auto_kid=False)


@functools.cache
def small_rsa(bits):
    """Generate an RSA key of any size, in PEM and as a JSON Web Key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        web_key = RSAKey.import_key(text).as_dict(private=True)
    return text.decode(), json.dumps(web_key)


def jwk(key=RSA, drop=(), **members):
    """Give a key's public half as a JSON Web Key."""
    members = {"kid": "k1", "use": "sig", "alg": "RS256"} | members
    return {k: v for k, v in (key.as_dict(private=False) | members).items() if k not in drop}


def encode(data):
    """Encode bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def sign(claims, key=RSA, **header):
    """Sign claims; a header member that is None is left out."""
    header = {"alg": "RS256", "kid": "k1", "typ": "JWT"} | header
    header = {name: value for name, value in header.items() if value is not None}
    # joserfc refuses odd headers, so the parts are put together by hand.
    signing_input = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
    # The class attribute, since a lookup warns of what is deprecated.
    algorithm = jws.JWSRegistry.algorithms[header["alg"]]
    return f"{signing_input}.{encode(algorithm.sign(signing_input.encode(), key))}"

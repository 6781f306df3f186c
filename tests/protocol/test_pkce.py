"""Proof Key for Code Exchange (RFC 7636)."""

import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.pkce import build_code_challenge, generate_code_verifier


def test_the_vector_of_rfc_7636():
    """The challenge of Appendix B's verifier is Appendix B's."""
    assert (
        build_code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


@pytest.mark.parametrize("verifier", ["a" * 43, "a" * 128, "-._~" * 11, "aA0" * 20])
def test_verifiers_of_the_rfc_are_taken(verifier):
    """
    A verifier of 43 to 128 unreserved characters is accepted, and its challenge has no padding.
    """
    assert len(build_code_challenge(verifier)) == 43


@pytest.mark.parametrize(
    "verifier", ["", "a" * 42, "a" * 129, "a" * 43 + "=", "a" * 43 + " ", "å" * 43, "a" * 43 + "\n"]
)
def test_bad_verifiers_are_refused(verifier):
    """A verifier of another length or with other characters is refused before it is sent."""
    with pytest.raises(ConfigurationError, match="RFC 7636"):
        build_code_challenge(verifier)


def test_a_bad_verifier_is_not_shown(canary):
    """A refused verifier is not shown, since another server may accept it."""
    with pytest.raises(ConfigurationError) as caught:
        build_code_challenge(f"{canary.text}!")

    canary.assert_hidden(caught.value)


def test_verifiers_are_random():
    """Each verifier has 256 new random bits."""
    verifiers = {generate_code_verifier().text for _ in range(20)}

    assert len(verifiers) == 20
    assert all(build_code_challenge(verifier) for verifier in verifiers)

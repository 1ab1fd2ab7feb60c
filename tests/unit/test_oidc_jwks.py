"""Key sets: which keys are usable and for what; one that is not costs nobody the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from hypothesis import given
from hypothesis import strategies as st
from support.issuer import SigningKey, rsa_key

from tenantry_server.oidc import jwks

RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
EC = SigningKey("ES256", "ec")
RSA = SigningKey("RS256", "rsa")


def found(*members: Any) -> dict[str, set[str]]:
    """The usable keys of a key set, and what each may verify."""
    try:
        keys = jwks.parse(json.dumps({"keys": members}).encode())
    except ValueError:
        return {}
    return {kid: set(algorithms) for kid, algorithms in keys.items()}


def changed(key: SigningKey, **more: Any) -> dict[str, Any]:
    """A published key with other members; None leaves one out."""
    return SigningKey(key.algorithm, key.kid, key.private, more).jwk


@pytest.mark.parametrize(
    ("member", "algorithms"),
    [
        (RSA.jwk, {"RS256"}),
        (changed(RSA, alg=None), RSA_ALGORITHMS),
        (changed(RSA, alg="PS512"), {"PS512"}),
        (changed(RSA, use=None), {"RS256"}),
        (changed(RSA, key_ops=["verify"], x5t="x", more={}), {"RS256"}),
        (changed(EC, alg=None), {"ES256"}),
        (changed(SigningKey("ES384"), alg=None, kid="k"), {"ES384"}),
        (changed(SigningKey("ES512"), alg=None, kid="k"), {"ES512"}),
        (changed(SigningKey("EdDSA"), alg=None, kid="k"), {"EdDSA"}),
        (changed(SigningKey("EdDSA", private=ed448.Ed448PrivateKey.generate()), kid="k"), {"EdDSA"}),
    ],
)
def test_a_key_may_verify_what_fits_it(member: dict[str, Any], algorithms: set[str]) -> None:
    assert found(member) == {member["kid"]: algorithms}


UNUSABLE: dict[str, Any] = {
    "no object": 7,
    "nothing": {},
    "no id": changed(RSA, kid=None),
    "an empty id": changed(RSA, kid=""),
    "an id of another type": changed(RSA, kid=["rsa"]),
    "for encryption": changed(RSA, use="enc"),
    "for other operations": changed(RSA, key_ops=["wrapKey"]),
    "operations of another type": changed(RSA, key_ops="verify"),
    "for another kind's algorithm": changed(RSA, alg="ES256"),
    "for another curve's algorithm": changed(EC, alg="ES384"),
    "for a symmetric algorithm": changed(RSA, alg="HS256"),
    "for no algorithm": changed(RSA, alg="none"),
    "for an algorithm of encryption": changed(RSA, alg="RSA-OAEP"),
    "for an algorithm of another type": changed(RSA, alg=["RS256"]),
    "a secret": {"kty": "oct", "kid": "k", "k": "c2VjcmV0" * 10, "alg": "HS256"},
    "a secret that says otherwise": {"kty": "oct", "kid": "k", "k": "c2VjcmV0" * 10, "alg": "RS256"},
    "a private key": {**EC.jwk, **jwt.get_algorithm_by_name("ES256").to_jwk(EC.private, as_dict=True)},
    "a short key": changed(SigningKey("RS256", private=rsa_key(bits=1024)), kid="k"),
    "a curve that is not allowed": {**EC.jwk, "crv": "secp256k1", "alg": None},
    "a curve of another type": {**EC.jwk, "crv": ["P-256"]},
    "a kind of another type": {**RSA.jwk, "kty": ["RSA"]},
    "a point that is not on the curve": {**EC.jwk, "x": EC.jwk["y"]},
    "a point on another curve": {**SigningKey("ES384", private=ec.generate_private_key(ec.SECP384R1())).jwk, "crv": "P-256"},
    "a number of another type": {**RSA.jwk, "n": 7},
    "no number": {**RSA.jwk, "n": ""},
    "an even exponent": {**RSA.jwk, "e": "Ag"},
    "letters that are none": {**RSA.jwk, "n": "ä"},
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_key_is_left_out_and_the_others_stay(name: str) -> None:
    assert found(UNUSABLE[name]) == {}
    assert found(UNUSABLE[name], changed(EC, kid="other")) == {"other": {"ES256"}}


def test_keys_of_one_id_are_told_apart_by_algorithm_and_the_first_counts() -> None:
    again = SigningKey("ES256", "rsa")
    keys = jwks.parse(json.dumps({"keys": [RSA.jwk, again.jwk, SigningKey("ES256", "rsa").jwk]}).encode())
    assert set(keys["rsa"]) == {"RS256", "ES256"}
    assert keys["rsa"]["ES256"].key.public_numbers() == again.private.public_key().public_numbers()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
MEMBERS = st.sampled_from(["kty", "crv", "alg", "kid", "use", "key_ops", "n", "e", "x", "y"])


@given(
    st.sampled_from([RSA.jwk, EC.jwk, SigningKey("EdDSA").jwk]),
    st.dictionaries(MEMBERS, JSON | st.text("AQIDabc-_=", max_size=60), max_size=3),
)
def test_whatever_a_provider_publishes_is_usable_or_left_out(member: dict[str, Any], other: dict[str, Any]) -> None:
    assert "safe" in found({**member, **other}, changed(EC, kid="safe"))


@given(JSON | st.builds(lambda keys: {"keys": keys}, JSON))
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"no JSON Web Key Set|no usable key"):
        jwks.parse(json.dumps(document).encode())


def test_a_file_is_held_to_the_same_size(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    content = json.dumps({"keys": [EC.jwk]})
    path.write_text(content + " " * (jwks.LARGEST - len(content)))
    assert set(jwks.read(path)) == {"ec"}
    path.write_text(content + " " * (jwks.LARGEST - len(content) + 1))
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        jwks.read(path)


def test_a_file_that_is_not_there_is_refused_without_its_name(tmp_path: Path) -> None:
    for path in (tmp_path / "secret.json", tmp_path):
        with pytest.raises(ValueError, match="cannot be read") as refusal:
            jwks.read(path)
        assert str(path) not in str(refusal.value)

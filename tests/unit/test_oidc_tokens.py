"""Signed tokens: what one must be to be believed, each rule by tokens that break it alone, and why in the log alone."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from support.clock import MovableClock
from support.issuer import AUDIENCE, KEYS, IdentityProvider, SigningKey, forge, rsa_key, segment
from support.verifiers import keep_log, verifying

from tenantry_server.domain.clock import Clock
from tenantry_server.domain.errors import InvalidCredential
from tenantry_server.oidc.claims import Claims
from tenantry_server.oidc.issuers import Issuer
from tenantry_server.oidc.jwks import ALGORITHMS
from tenantry_server.oidc.verifier import Verifier

Make = Callable[[IdentityProvider], str]
MILLISECOND, MINUTE = timedelta(milliseconds=1), timedelta(minutes=1)


def signed(payload: bytes) -> Make:
    """A token that is genuine, but for what it says."""

    def make(provider: IdentityProvider) -> str:
        algorithm = jwt.get_algorithm_by_name(provider.key.algorithm)
        return forge(provider.header(), payload, lambda text: algorithm.sign(text, provider.key.private))

    return make


def saying(text: str) -> Make:
    """A genuine token whose `exp` is JSON that json.dumps would not write."""
    return lambda provider: signed(json.dumps(provider.claims(exp=0)).replace('"exp": 0', f'"exp": {text}').encode())(provider)


def claiming(**claims: Any) -> Make:
    return lambda provider: provider.sign(**claims)


def headed(**headers: Any) -> Make:
    return lambda provider: provider.sign(headers=headers)


def unsigned(algorithm: Any) -> Make:
    return lambda provider: forge(provider.header(alg=algorithm), provider.claims(), lambda text: b"")


def by_another_key(provider: IdentityProvider) -> str:
    """The right id, and a key that somebody else made."""
    return provider.sign(key=SigningKey("ES256", provider.current))


def with_other_claims(provider: IdentityProvider) -> str:
    """A genuine token, its payload replaced."""
    header, _, signature = provider.sign().split(".")
    return ".".join((header, segment(provider.claims(sub="admin")), signature))


def carrying_its_key(provider: IdentityProvider) -> str:
    """A key that the token itself brings (RFC 7515 section 4.1.3), and one it says where to find (4.1.2)."""
    mine = SigningKey("ES256", provider.current)
    return provider.sign(key=mine, headers={"jwk": mine.jwk, "jku": provider.url + "/jku", "x5u": provider.url + "/x5u"})


def now(provider: IdentityProvider, seconds: float) -> float:
    return provider.clock.now().timestamp() + seconds


NOT_TRUSTED, NOT_ALLOWED, NO_KEY = "its issuer is not trusted", "its algorithm is not allowed", "it names no key"
NO_TIME, OVER, NOT_BEGUN = "exp is no time", "it is over", "it has not begun"
NO_SUBJECT, NO_ADDRESS, OTHER_TYPE = "sub is no subject", "email is no address", "it is of another type"
UNFIT = "its algorithm does not fit the key"

# Tokens that are refused, by what is wrong with them: how they are made, and what the log says.
REFUSED: dict[str, tuple[Make, str]] = {
    "the signature of another key": (by_another_key, "InvalidSignatureError"),
    "a key that it brings along": (carrying_its_key, "InvalidSignatureError"),
    "claims put in afterwards": (with_other_claims, "InvalidSignatureError"),
    "no signature": (lambda p: p.sign().rpartition(".")[0] + ".", "InvalidSignatureError"),
    "algorithm none": (unsigned("none"), NOT_ALLOWED),
    "algorithm None": (unsigned("None"), NOT_ALLOWED),
    "algorithm empty": (unsigned(""), NOT_ALLOWED),
    "no algorithm": (unsigned(None), NOT_ALLOWED),
    "algorithm of another type": (unsigned(["ES256"]), NOT_ALLOWED),
    "algorithm ES256K": (unsigned("ES256K"), NOT_ALLOWED),
    "algorithm HS256": (unsigned("HS256"), NOT_ALLOWED),
    "algorithm of another curve": (unsigned("ES384"), UNFIT),
    "algorithm of another kind of key": (unsigned("RS256"), UNFIT),
    "another audience": (claiming(aud="https://other.example"), "InvalidAudienceError"),
    "an audience that begins like ours": (claiming(aud=AUDIENCE + ".evil"), "InvalidAudienceError"),
    "other audiences": (claiming(aud=["https://other.example", "x"]), "InvalidAudienceError"),
    "an audience that is no text": (claiming(aud=[AUDIENCE, 7]), "InvalidAudienceError"),
    "an audience that is an object": (claiming(aud={AUDIENCE: 1}), "InvalidAudienceError"),
    "no audience": (claiming(aud=None), "MissingRequiredClaimError"),
    "empty audience": (claiming(aud=[]), "MissingRequiredClaimError"),
    "another issuer": (claiming(iss="https://evil.example"), NOT_TRUSTED),
    "an issuer that is nearly ours": (lambda p: p.sign(iss=p.url + "/"), NOT_TRUSTED),
    "issuers": (lambda p: p.sign(iss=[p.url]), NOT_TRUSTED),
    "no issuer": (claiming(iss=None), NOT_TRUSTED),
    "no exp": (claiming(exp=None), "no exp"),
    "exp null": (saying("null"), NO_TIME),
    "exp a text": (claiming(exp="4102444800"), NO_TIME),
    "exp true": (claiming(exp=True), NO_TIME),
    "exp a list": (claiming(exp=[4102444800]), NO_TIME),
    "exp NaN": (saying("NaN"), NO_TIME),
    "exp Infinity": (saying("Infinity"), NO_TIME),
    "exp beyond all numbers": (saying("1e999"), NO_TIME),
    "exp of too many digits": (saying("9" * 5000), "DecodeError"),
    "exp of many digits": (saying("9" * 400), NO_TIME),
    "exp in milliseconds": (claiming(exp=4102444800000), NO_TIME),
    "exp in the last second of the last year": (claiming(exp=253402300799.9999999), NO_TIME),
    "exp below zero": (claiming(exp=-1), NO_TIME),
    "exp now": (lambda p: p.sign(exp=now(p, 0)), OVER),
    "exp a second ago": (lambda p: p.sign(exp=now(p, -1)), OVER),
    "exp this millisecond": (lambda p: p.sign(exp=now(p, 0.0005)), OVER),
    "nbf in a millisecond": (lambda p: p.sign(nbf=now(p, 0.001)), NOT_BEGUN),
    "nbf in an hour": (lambda p: p.sign(nbf=now(p, 3600)), NOT_BEGUN),
    "nbf a text": (claiming(nbf="0"), "nbf is no time"),
    "nbf false": (claiming(nbf=False), "nbf is no time"),
    "iat in 61 s": (lambda p: p.sign(iat=now(p, 61)), "it was made in the future"),
    "iat a text": (claiming(iat="0"), "iat is no time"),
    "no kid": (headed(kid=None), NO_KEY),
    "empty kid": (headed(kid=""), NO_KEY),
    "kid a number": (headed(kid=7), "InvalidTokenError"),
    "an extension": (headed(crit=["exp"], exp=0), "InvalidTokenError"),
    "an extension that PyJWT knows": (headed(crit=["b64"], b64=True), "it has critical extensions"),
    "no extensions": (headed(crit=[]), "InvalidTokenError"),
    "a payload apart": (headed(b64=False), "DecodeError"),
    "a log-out token": (headed(typ="logout+jwt"), OTHER_TYPE),
    "a proof of possession": (headed(typ="dpop+jwt"), OTHER_TYPE),
    "an empty type": (headed(typ=""), OTHER_TYPE),
    "a type of another type": (headed(typ=7), OTHER_TYPE),
    "no subject": (claiming(sub=None), NO_SUBJECT),
    "an empty subject": (claiming(sub=""), NO_SUBJECT),
    "a subject that is a number": (claiming(sub=7), "InvalidSubjectError"),
    "a subject too long": (claiming(sub="x" * 256), NO_SUBJECT),
    "a subject of lines": (claiming(sub="some\nbody"), NO_SUBJECT),
    "a subject with a NUL": (claiming(sub="some\0body"), NO_SUBJECT),
    "a subject with half a character": (claiming(sub="\ud800"), NO_SUBJECT),
    "an address of another type": (claiming(email=["a@example.com"]), NO_ADDRESS),
    "an address of lines": (claiming(email="a@example.com\nbcc: b@example.com"), NO_ADDRESS),
    "an address too long": (claiming(email="x" * 321), NO_ADDRESS),
    "a payload that is a list": (signed(b"[]"), "DecodeError"),
    "a payload that is no JSON": (signed(b"{"), "DecodeError"),
    "a payload that is no text": (signed(b'"\xff"'), "DecodeError"),
    "a payload nested deeply": (signed(b"[" * 4000), "DecodeError"),
    "a header that is a list": (lambda p: forge(b"[]", p.claims(), lambda text: b"x"), "DecodeError"),
    "a header nested deeply": (lambda p: forge(b"[" * 4000, p.claims(), lambda text: b"x"), "DecodeError"),
    "five parts": (lambda p: p.sign() + ".x.y", "DecodeError"),
    "two parts": (lambda p: p.sign().rpartition(".")[0], "DecodeError"),
    "no parts": (lambda p: "", "DecodeError"),
    "dots": (lambda p: "..", "DecodeError"),
    "a space behind it": (lambda p: p.sign() + " ", "DecodeError"),
    "a letter of another alphabet": (lambda p: p.sign() + "ä", "it is too large, or not ASCII"),
    "too many letters": (claiming(more="x" * 6200), "it is too large, or not ASCII"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_token_is_refused_and_only_the_log_says_why(
    name: str, provider: IdentityProvider, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, reason = REFUSED[name]
    log = keep_log(monkeypatch)
    with pytest.raises(InvalidCredential) as refusal:
        verifier.verify(make(provider))
    assert (refusal.value.message, refusal.value.metadata) == ("the credential is not valid", {})
    assert log == [{"event": "token refused", "reason": reason, "log_level": "debug"}], "nothing of the token is there"
    assert dict(provider.requests) == {"/.well-known/openid-configuration": 1, KEYS: 1}, "nothing was fetched for it"


# Tokens that are believed, and what of the usual claims is different.
BELIEVED: dict[str, tuple[Make, dict[str, Any]]] = {
    "the least": (lambda p: p.sign(iat=None), {"issue_time": None}),
    "iat to the millisecond": (
        claiming(iat=1_700_000_000.0019),
        {"issue_time": datetime.fromtimestamp(1_700_000_000.001, UTC)},
    ),
    "one of several audiences": (claiming(aud=["https://other.example", AUDIENCE]), {}),
    "an access token": (headed(typ="at+jwt"), {}),
    "an access token by its full type": (headed(typ="application/AT+JWT"), {}),
    "no type": (headed(typ=None), {}),
    "a type in small letters": (headed(typ="jwt"), {}),
    "unknown headers": (headed(jku="https://evil.example/keys", more={"x": [1]}), {}),
    "nbf now": (lambda p: p.sign(nbf=now(p, 0)), {}),
    "iat in a minute": (lambda p: p.sign(iat=now(p, 60)), {"issue_time": MINUTE}),
    "the longest subject": (claiming(sub="x" * 255), {"subject": "x" * 255}),
    "a subject like auth0's": (claiming(sub="auth0|5f7c"), {"subject": "auth0|5f7c"}),
    "an address": (claiming(email="Bo@example.com"), {"email": "Bo@example.com"}),
    "an empty address": (claiming(email="", email_verified=True), {}),
    "no address but verified": (claiming(email_verified=True), {}),
    "a verified address": (
        claiming(email="a@b.example", email_verified=True),
        {"email": "a@b.example", "email_verified": True},
    ),
    "a verified address in words": (
        claiming(email="a@b.example", email_verified="true"),
        {"email": "a@b.example", "email_verified": True},
    ),
    **{
        f"an address verified {said!r}": (claiming(email="a@b.example", email_verified=said), {"email": "a@b.example"})
        for said in (False, "false", "True", "yes", 1, 1.0, "1", ["true"], {"true": True}, None)
    },
    "a name": (claiming(name="Bo Ek", preferred_username="bo"), {"name": "Bo Ek"}),
    "a username": (claiming(preferred_username="bo"), {"name": "bo"}),
    "an empty name and a username": (claiming(name=" \n", preferred_username="bo"), {"name": "bo"}),
    "a name of another type": (claiming(name=["Bo"]), {}),
    "a name too long": (claiming(name="x" * 199 + " yz"), {"name": "x" * 199}),
    "a name of lines": (claiming(name="\x1b[31mBo\r\n\u2028\u202eEk\x9b\ud800"), {"name": "[31mBoEk"}),
    "a name that leads elsewhere": (claiming(name="Prizes at https://evil.example", preferred_username="bo"), {"name": "bo"}),
    "names that are none": (claiming(name="<b>Bo</b>", preferred_username="\u200b"), {}),
    "a name of many alphabets": (claiming(name="نرگس\u200cها 😀 Ö"), {"name": "نرگس\u200cها 😀 Ö"}),
}


@pytest.mark.parametrize("name", BELIEVED)
def test_a_genuine_token_is_believed(name: str, provider: IdentityProvider, verifier: Verifier) -> None:
    make, different = BELIEVED[name]
    usual = {"issuer": provider.url, "subject": "somebody", "email": None, "email_verified": False, "name": None}
    made = provider.clock.now()
    if different.get("issue_time") is MINUTE:
        different = {**different, "issue_time": made + MINUTE}
    times = {"issue_time": made, "expire_time": made + timedelta(hours=1)}
    assert verifier.verify(make(provider)) == Claims(**{**usual, **times, **different})


def test_what_tokens_say_of_their_bearer_has_the_same_digest_when_it_is_the_same(
    provider: IdentityProvider, verifier: Verifier
) -> None:
    def digest(**claims: Any) -> str:
        return verifier.verify(provider.sign(**claims)).digest

    said = {"email": "a@b.example", "email_verified": True, "name": "Bo"}
    assert digest(**said) == digest(**said, jti="another", iat=0, sub="else")
    others = [
        digest(**{**said, name: value})
        for name, value in (("email", "b@b.example"), ("email_verified", False), ("name", "Bo Ek"))
    ]
    assert len({digest(**said), digest(), *others}) == 5


def test_a_token_is_good_to_the_last_millisecond_and_from_the_first(
    provider: IdentityProvider, verifier: Verifier, clock: MovableClock
) -> None:
    assert clock.stopped is not None
    begin, end = clock.stopped, clock.stopped + timedelta(seconds=1)
    for fresh in range(2):  # as it is verified, and as it is remembered
        token = provider.sign(nbf=begin.timestamp(), exp=end.timestamp(), jti=str(fresh))
        for instant, is_good in ((begin - MILLISECOND, False), (end - MILLISECOND, True), (end, False)):
            clock.stopped = instant
            if is_good:
                assert verifier.verify(token).expire_time == end
                assert verifier.verify(token).expire_time == end
            else:
                with pytest.raises(InvalidCredential):
                    verifier.verify(token)
        clock.stopped = begin


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_that_is_allowed_works(algorithm: str, clock: MovableClock) -> None:
    provider = IdentityProvider(clock, algorithm=algorithm)
    with verifying(provider.issuer(), clock=clock) as verifier:
        assert verifier.verify(provider.sign()).subject == "somebody"
        with pytest.raises(InvalidCredential):
            verifier.verify(by_other(provider, algorithm))
    provider.close()


def by_other(provider: IdentityProvider, algorithm: str) -> str:
    """A token by another key of the same kind, under the right id."""
    private = rsa_key("other") if algorithm[1:2] == "S" and algorithm[0] in "RP" else None
    return provider.sign(key=SigningKey(algorithm, provider.current, private))


def test_no_other_algorithm_is_allowed() -> None:
    assert {f"{kind}S{bits}" for kind in "RPE" for bits in (256, 384, 512)} | {"EdDSA"} == ALGORITHMS


def test_an_algorithm_that_the_key_is_not_for_is_refused(
    provider: IdentityProvider, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = provider.publish(SigningKey("RS256"))
    free = provider.publish(SigningKey("RS256", more={"alg": None}))
    with verifying(provider.issuer(), clock=clock) as verifier:
        log = keep_log(monkeypatch)
        for algorithm in ("RS512", "PS256"):
            with pytest.raises(InvalidCredential):
                verifier.verify(provider.sign(key=SigningKey(algorithm, bound.kid)))
            assert log.pop()["reason"] == UNFIT
            assert verifier.verify(provider.sign(key=SigningKey(algorithm, free.kid)))
        assert verifier.verify(provider.sign(key=bound))


def _as_pem(key: SigningKey) -> bytes:
    found: bytes = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return found


def _as_jwk(key: SigningKey) -> bytes:
    return json.dumps(key.jwk).encode()


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("spell", [_as_pem, _as_jwk])
def test_a_public_key_is_no_secret_to_sign_with(
    algorithm: str, spell: Callable[[SigningKey], bytes], provider: IdentityProvider, clock: MovableClock
) -> None:
    key, digest = provider.publish(SigningKey("RS256")), f"sha{algorithm[2:]}"
    free = provider.publish(SigningKey("RS256", more={"alg": None}))
    with verifying(provider.issuer(), clock=clock) as verifier:
        for victim in (key, free):
            secret = spell(victim)
            header = provider.header(victim, alg=algorithm)
            token = forge(header, provider.claims(), lambda text, secret=secret: hmac.digest(secret, text, digest))  # type: ignore[misc]
            with pytest.raises(InvalidCredential):
                verifier.verify(token)
            # Control: who took the key for a secret, and the header's word for the algorithm, would believe it.
            text, _, signature = token.rpartition(".")
            naive = jwt.get_algorithm_by_name(algorithm)
            assert naive.verify(text.encode(), secret, jwt.utils.base64url_decode(signature))


NAIVE: Mapping[str, Mapping[str, Any]] = {
    "another audience": {"options": {"verify_aud": False}},
    "another issuer": {"audience": AUDIENCE},
    "exp a second ago": {"audience": AUDIENCE, "leeway": 10},
    "nbf in a millisecond": {"audience": AUDIENCE, "leeway": 10},
    "no exp": {"audience": AUDIENCE},
    "no kid": {"audience": AUDIENCE},
    "no subject": {"audience": AUDIENCE},
    "a subject of lines": {"audience": AUDIENCE},
    "exp true": {"audience": AUDIENCE, "options": {"verify_exp": False}},
    "exp Infinity": {"audience": AUDIENCE, "options": {"verify_exp": False}},
    "an extension that PyJWT knows": {"audience": AUDIENCE},
    "a log-out token": {"audience": AUDIENCE},
    "algorithm none": {"options": {"verify_signature": False}},
    "the signature of another key": {"options": {"verify_signature": False}},
}


@pytest.mark.parametrize("name", NAIVE)
def test_control_who_uses_pyjwt_carelessly_believes_what_is_refused_here(name: str) -> None:
    provider = IdentityProvider(Clock())  # PyJWT goes by the system's clock
    token = REFUSED[name][0](provider)
    assert jwt.decode(token, provider.key.private.public_key(), algorithms=["ES256"], **NAIVE[name])
    provider.close()


@given(text=st.text(), parts=st.lists(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b'{"alg":"ES256"}']), max_size=5))
def test_whatever_is_sent_is_refused_the_same_way(text: str, parts: list[bytes]) -> None:
    verifier = Verifier([Issuer(url="https://nobody.example", audience="x")], Clock())
    for token in (text, ".".join(map(segment, parts))):
        with pytest.raises(InvalidCredential):
            verifier.verify(token)


def test_who_trusts_nobody_believes_nothing(provider: IdentityProvider) -> None:
    with verifying() as verifier, pytest.raises(InvalidCredential):
        verifier.verify(provider.sign())


def test_a_verifier_and_its_parts_show_no_token(provider: IdentityProvider, verifier: Verifier) -> None:
    token = provider.sign()
    verifier.verify(token)
    shown = f"{verifier!r} {vars(verifier)!r} {vars(verifier._cache)!r} {vars(verifier._keys[provider.url])!r}"
    assert not [part for part in (token, *token.split(".")) if part in shown]
    assert hashlib.sha256(token.encode()).digest() in verifier._cache._known

"""The four settings of identity providers: lists that fit together, or a refusal that names the wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.issuer import SigningKey

from tenantry_server.oidc.issuers import Issuer, issuers

A, B = "https://a.example", "https://b.example/realms/b/"
ISSUER, AUDIENCE, JWKS_URL, JWKS_FILE = (f"TENANTRY_OIDC_{name}" for name in ("ISSUER", "AUDIENCE", "JWKS_URL", "JWKS_FILE"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with keys."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [SigningKey("ES256").jwk]}))
    return path


def read(issuer: str = "", audience: str = "", jwks_url: str = "", jwks_file: str = "") -> tuple[Issuer, ...]:
    """The issuers of these settings."""
    return issuers(issuer=issuer, audience=audience, jwks_url=jwks_url, jwks_file=jwks_file)


def test_without_settings_nobody_is_trusted() -> None:
    assert read() == ()


def test_one_issuer_is_an_address_and_an_audience() -> None:
    assert read(A, "api") == (Issuer(url=A, audience="api", jwks_url="", jwks_file=None),)
    assert read(A, "api", A + "/keys?x=1") == (Issuer(url=A, audience="api", jwks_url=A + "/keys?x=1"),)
    assert read("http://localhost:8080/realms/a", "my api")[0].url == "http://localhost:8080/realms/a"


def test_several_go_item_by_item(file: Path) -> None:
    assert read(f"{A}, {B},https://c.example", "one,two, three", f",{B}keys,", f",,{file}") == (
        Issuer(url=A, audience="one"),
        Issuer(url=B, audience="two", jwks_url=B + "keys"),
        Issuer(url="https://c.example", audience="three", jwks_file=file),
    )


def test_several_may_share_an_audience() -> None:
    assert [issuer.audience for issuer in read(f"{A},{B}", "api,api")] == ["api", "api"]


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        (AUDIENCE, (A,)),
        (AUDIENCE, (A, "one,two")),
        (AUDIENCE, (f"{A},{B}", "one")),
        (AUDIENCE, (f"{A},{B}", "one,")),
        (AUDIENCE, (A, " ")),
        (AUDIENCE, (A, "x" * 256)),
        (AUDIENCE, (A, "api\x07")),
        (AUDIENCE, ("", "one")),
        (AUDIENCE, ("", " ")),
        (JWKS_URL, ("", "", A + "/keys")),
        (JWKS_FILE, ("", "", "", "FILE")),
        (ISSUER, (" ", "one")),
        (ISSUER, (f"{A},", "one,two")),
        (ISSUER, (f"{A},{A}", "one,two")),
        (ISSUER, ("http://id.example", "one")),
        (ISSUER, ("id.example", "one")),
        (ISSUER, ("file:///etc/passwd", "one")),
        (ISSUER, (A + "?x=1", "one")),
        (ISSUER, (A + "#x", "one")),
        (ISSUER, ("https://user:password@id.example", "one")),
        (JWKS_URL, (A, "one", f"{A}/keys,{B}/keys")),
        (JWKS_URL, (f"{A},{B}", "one,two", f"{A}/keys")),
        (JWKS_URL, (A, "one", "http://id.example/keys")),
        (JWKS_URL, (A, "one", "keys")),
        (JWKS_URL, (A, "one", " ")),
        (JWKS_URL, (f"{A},{B}", "one,two", ",")),
        (JWKS_FILE, (A, "one", "", "FILE,FILE")),
        (JWKS_FILE, (f"{A},{B}", "one,two", "", "FILE")),
        (JWKS_FILE, (A, "one", A + "/keys", "FILE")),
        (JWKS_FILE, (A, "one", "", "FILE.missing")),
        (JWKS_FILE, (A, "one", "", "/")),
        (JWKS_FILE, (A, "one", "", "\t")),
        (JWKS_FILE, (A, "one", "", "a\0b")),
    ],
)
def test_what_does_not_fit_is_refused_by_name(wrong: str, given: tuple[str, ...], file: Path) -> None:
    with pytest.raises(ValueError, match=f"^{wrong} must be ") as refusal:
        read(*(text.replace("FILE", str(file)) for text in given))
    assert not [word for word in ("example", "two", "password", str(file)) if word in str(refusal.value)], "nothing is repeated"


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "oct", "kid": "a"}]}'])
def test_a_file_without_usable_keys_is_refused(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{JWKS_FILE} must be files with a JSON Web Key Set"):
        read(A, "one", "", str(file))


def test_an_issuer_does_not_show_where_its_keys_are() -> None:
    (issuer,) = read(A, "api", A + "/keys?secret=canary")
    assert "canary" in issuer.jwks_url
    assert "canary" not in f"{issuer!r} {issuer}"

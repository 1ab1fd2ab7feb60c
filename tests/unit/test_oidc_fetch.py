"""Fetching what providers publish: from safe addresses alone, so much and so long, and without repeating addresses."""

from __future__ import annotations

import io
import json
import time
import urllib.request
from http.client import HTTPMessage
from typing import Any

import pytest
from support.issuer import DISCOVERY, KEYS, IdentityProvider

from tenantry_server.oidc import fetch
from tenantry_server.oidc.fetch import FetchError

SECRET = "canary-in-the-query"


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://id.example", True),
        ("https://id.example:8443/realms/a/?x=1", True),
        ("HTTPS://id.example", True),
        ("http://localhost:8080/", True),
        ("http://127.0.0.1", True),
        ("http://127.8.8.8:1", True),
        ("http://[::1]:8080", True),
        ("http://id.example", False),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://0.0.0.0", False),
        ("http://10.0.0.1", False),
        ("http://2130706433", False),
        ("https://user:password@id.example", False),
        ("https://user@id.example", False),
        ("https://@id.example", False),
        ("http://127.0.0.1@id.example", False),
        ("https://", False),
        ("https:///keys", False),
        ("https:id.example", False),
        ("https://id.example:port", False),
        ("https://id.example:65536", False),
        ("https://[::1", False),
        ("https://id.example/a b", False),
        ("https://id.example/\n", False),
        ("https://id.exämple", False),
        ("file:///etc/passwd", False),
        ("ftp://127.0.0.1/keys", False),
        ("id.example", False),
        ("", False),
    ],
)
def test_an_address_is_https_or_of_this_machine_and_without_credentials(url: str, safe: bool) -> None:
    assert fetch.is_safe(url) == safe
    if not safe:
        with pytest.raises(FetchError, match="not https"):
            fetch.read(url)


def redirected(provider: IdentityProvider, target: str) -> bytes:
    """What is read at an address that redirects."""
    provider.answers["/from"] = (302, {"Location": target}, b"")
    return fetch.read(provider.url + "/from")


def test_a_redirect_on_this_machine_is_followed(provider: IdentityProvider) -> None:
    assert redirected(provider, KEYS) == provider.jwks()
    assert redirected(provider, provider.url + KEYS) == provider.jwks()


@pytest.mark.parametrize(
    "target",
    ["http://id.example/keys", "http://10.0.0.1/keys", "file:///etc/passwd", "ftp://127.0.0.1/x", "https://a:b@id.example"],
)
def test_a_redirect_to_an_unsafe_address_is_not_followed(target: str, provider: IdentityProvider) -> None:
    # The word for what urllib itself does not follow is the status.
    with pytest.raises(FetchError, match=r"redirects to an address that is not https|status 302"):
        redirected(provider, target)


def test_a_redirect_from_https_leads_to_https_alone() -> None:
    def follow(target: str) -> Any:
        request = urllib.request.Request("https://id.example/keys")
        return fetch._Redirects().redirect_request(request, io.BytesIO(), 302, "Found", HTTPMessage(), target)

    assert follow("https://other.example/keys").full_url == "https://other.example/keys"
    with pytest.raises(FetchError):
        follow("http://127.0.0.1/keys")
    # Control: urllib by itself would follow it.
    request = urllib.request.Request("https://id.example/keys")
    plain = urllib.request.HTTPRedirectHandler()
    assert plain.redirect_request(request, io.BytesIO(), 302, "Found", HTTPMessage(), "http://127.0.0.1/keys")


def test_a_redirect_in_a_circle_ends(provider: IdentityProvider) -> None:
    with pytest.raises(FetchError, match="status 302"):
        redirected(provider, "/from")
    assert provider.requests["/from"] <= 11


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "that is no JSON"),
        (b"[" * 100_000, "that is no JSON"),
        (b"[]", "of another issuer"),
        (b"{}", "of another issuer"),
        (b'{"issuer": "https://evil.example", "jwks_uri": "URL/keys"}', "of another issuer"),
        (b'{"issuer": "URL/", "jwks_uri": "URL/keys"}', "of another issuer"),
        (b'{"issuer": "URL"}', "without a jwks_uri"),
        (b'{"issuer": "URL", "jwks_uri": 7}', "without a jwks_uri"),
        (b'{"issuer": "URL", "jwks_uri": "http://id.example/keys"}', "without a jwks_uri that is https"),
        (b'{"issuer": "URL", "jwks_uri": "file:///etc/passwd"}', "without a jwks_uri that is https"),
    ],
)
def test_a_discovery_document_is_the_issuers_own(document: bytes, reason: str, provider: IdentityProvider) -> None:
    provider.answers[DISCOVERY] = (200, {}, document.replace(b"URL", provider.url.encode()))
    with pytest.raises(FetchError, match=reason):
        fetch.discover(provider.url)


def test_an_issuer_of_https_does_not_lead_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    document = b'{"issuer": "https://id.example", "jwks_uri": "http://127.0.0.1/keys"}'
    monkeypatch.setattr(fetch, "read", lambda url: document)
    with pytest.raises(FetchError, match="without a jwks_uri that is https"):
        fetch.discover("https://id.example")


@pytest.mark.parametrize(
    ("path", "asked"),
    [("", DISCOVERY), ("/", DISCOVERY), ("/realms/a", "/realms/a" + DISCOVERY), ("/realms/a/", "/realms/a" + DISCOVERY)],
)
def test_the_discovery_document_is_below_the_issuer(path: str, asked: str, provider: IdentityProvider) -> None:
    issuer = provider.url + path
    provider.answers[asked] = (200, {}, json.dumps({"issuer": issuer, "jwks_uri": provider.url + KEYS}).encode())
    assert fetch.discover(issuer) == provider.url + KEYS
    assert list(provider.requests) == [asked]


def test_what_fails_is_told_without_the_address(provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(path: str) -> str:
        with pytest.raises(FetchError) as refusal:
            fetch.read(f"{provider.url}{path}?key={SECRET}")
        return str(refusal.value)

    assert said("/missing") == "answered with status 404"
    provider.is_down = True
    assert said("/down") == "RemoteDisconnected"
    provider.is_down = False
    with monkeypatch.context() as patch, provider.holding():
        patch.setattr(fetch, "_TIMEOUT", 0.01)
        assert said("/slow") in {"TimeoutError", "timed out"}
    provider.close()
    assert "refused" in said("/closed")


def test_an_answer_that_trickles_in_is_given_up(provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", iter([0.0, 4.9, 5.1]).__next__)
    monkeypatch.setattr(fetch, "_CHUNK", 1)
    with pytest.raises(FetchError, match="takes too long"):
        fetch.read(provider.url + KEYS)


def test_proxies_are_for_other_machines(provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    other = IdentityProvider()
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, other.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert fetch.read(provider.url + KEYS) == provider.jwks()
    assert other.requests.total() == 0
    with pytest.raises(FetchError, match="Tunnel connection failed"):
        fetch.read("https://id.example/keys")
    other.close()

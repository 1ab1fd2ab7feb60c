"""What identity providers publish, over HTTP: never in the clear but on this machine, at most 1 MiB, and not for long."""

import http.client
import ipaddress
import json
import time
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import urlsplit

from .jwks import LARGEST

# Seconds: for each wait for the network, and for a whole body.
_TIMEOUT = 5.0
_CHUNK = 1 << 16
# Some providers turn away what calls itself Python.
_HEADERS = {"Accept": "application/json", "User-Agent": "tenantry"}


class FetchError(Exception):
    """It could not be had. The text says why, without addresses: their query may hold a secret."""


def is_safe(url: str) -> bool:
    """Whether a URL is https, or http on this machine, and carries no credentials."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def discover(issuer: str) -> str:
    """Where the issuer says its keys are: OpenID Connect Discovery 1.0, section 4. Raises FetchError."""
    try:
        document = json.loads(read(issuer.removesuffix("/") + "/.well-known/openid-configuration"))
    except (ValueError, RecursionError):
        raise FetchError("has a discovery document that is no JSON") from None
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise FetchError("has a discovery document of another issuer")
    url = document.get("jwks_uri")
    if not isinstance(url, str) or not _leads_safely(issuer, url):
        raise FetchError("has a discovery document without a jwks_uri that is https")
    return url


def read(url: str) -> bytes:
    """What is there. Raises FetchError."""
    if not is_safe(url):
        raise FetchError("is at an address that is not https")
    end = time.monotonic() + _TIMEOUT
    try:
        with _opener().open(urllib.request.Request(url, headers=_HEADERS), timeout=_TIMEOUT) as response:  # noqa: S310  see is_safe
            return _body(response, end)
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchError(f"answered with status {error.code}") from None
    except urllib.error.URLError as error:
        raise FetchError(str(error.reason)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(type(error).__name__) from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not out of https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not _leads_safely(req.full_url, newurl):
            fp.close()
            raise FetchError("redirects to an address that is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Proxies(urllib.request.ProxyHandler):
    """The environment's proxies, for other machines alone."""

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> Any:
        if _is_loopback(urlsplit(req.full_url).hostname or ""):
            return None
        return super().proxy_open(req, proxy, type)


def _opener() -> urllib.request.OpenerDirector:
    """Speaks HTTP alone: urllib's own opener would also read files and FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        _Proxies(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _body(response: http.client.HTTPResponse, end: float) -> bytes:
    """All of it. Raises FetchError when it is too large, or trickles in for longer than `end` on the monotonic clock."""
    body = b""
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > LARGEST:
            raise FetchError("answered with more than 1 MiB")
        if time.monotonic() > end:
            raise FetchError("takes too long")
    return body


def _leads_safely(source: str, target: str) -> bool:
    """Whether it may be followed: out of https into this machine's own http would reach what strangers must not."""
    return is_safe(target) and (urlsplit(target).scheme == "https" or urlsplit(source).scheme == "http")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Which identity providers the operator trusts, and where their keys are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import jwks
from .fetch import is_safe

_ISSUER, _AUDIENCE = "TENANTRY_OIDC_ISSUER", "TENANTRY_OIDC_AUDIENCE"
_JWKS_URL, _JWKS_FILE = "TENANTRY_OIDC_JWKS_URL", "TENANTRY_OIDC_JWKS_FILE"
_MUST = {
    _ISSUER: "must be different https URLs without query, separated by commas (http on this machine alone)",
    _AUDIENCE: f"must be names, separated by commas, one for each of {_ISSUER}",
    _JWKS_URL: f"must be https URLs, separated by commas, one or nothing for each of {_ISSUER} (http on this machine alone)",
    _JWKS_FILE: (
        f"must be files with a JSON Web Key Set, separated by commas, one or nothing for each of {_ISSUER}, "
        f"and nothing where {_JWKS_URL} has one"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An identity provider that is trusted. Its keys are in a file, at a URL, or where its discovery document says.

    `url` is what `iss` must be, exactly; `audience` is what `aud` must contain. The query of a URL may hold a secret, so
    it stays out of `repr`.
    """

    url: str
    audience: str
    jwks_url: str = field(default="", repr=False)
    jwks_file: Path | None = None


def issuers(*, issuer: str, audience: str, jwks_url: str, jwks_file: str) -> tuple[Issuer, ...]:
    """The issuers that four settings name, item by item. Raises ValueError, whose text begins with the wrong one's name."""
    urls, audiences = _items(issuer), _items(audience)
    key_urls, files = _items(jwks_url, like=urls), _items(jwks_file, like=urls)
    checks = {
        _ISSUER: len(set(urls)) == len(urls) and all(map(_is_issuer, urls)),
        _AUDIENCE: len(audiences) == len(urls) and all(map(_is_name, audiences)),
        _JWKS_URL: len(key_urls) == len(urls)
        and any(key_urls) == bool(jwks_url)
        and all(not url or is_safe(url) for url in key_urls),
        _JWKS_FILE: len(files) == len(urls)
        and any(files) == bool(jwks_file)
        and not any(url and file for url, file in zip(key_urls, files, strict=False))
        and all(not file or _is_key_set(file) for file in files),
    }
    for variable, is_right in checks.items():
        if not is_right:
            raise ValueError(f"{variable} {_MUST[variable]}")
    return tuple(
        Issuer(url=url, audience=audience, jwks_url=key_url, jwks_file=Path(file) if file else None)
        for url, audience, key_url, file in zip(urls, audiences, key_urls, files, strict=True)
    )


def _items(text: str, like: Sequence[str] = ()) -> list[str]:
    """The items of a list; as many as in `like`, all of them nothing, when it is not set."""
    return [item.strip() for item in text.split(",")] if text else [""] * len(like)


def _is_issuer(url: str) -> bool:
    """OpenID Connect Discovery 1.0, section 3: no query and no fragment."""
    return is_safe(url) and "?" not in url and "#" not in url


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 255 and text.isprintable()


def _is_key_set(file: str) -> bool:
    try:
        jwks.read(Path(file))
    except ValueError:
        return False
    return True

"""Paths that can be read in one way only.

Envoy chose the route by the path as it stands, the organization is read from it as it stands, and the service behind may read
it otherwise: `/mine/../theirs`, `/mine%2f..%2ftheirs`, `//theirs`, `/mine/..;/theirs`, `/%74heirs`. Where they could differ,
the request does not pass. Envoy's own normalization (normalize_path, merge_slashes) makes most of them into the one that does.
"""

import re
import unicodedata
from urllib.parse import unquote_to_bytes

from ..domain.errors import InvalidRequest

# Segments of what needs no second look: neither empty nor `.` nor `..`, but for one trailing slash.
_PLAIN = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!-~]|[\\#?]")
# Escapes of what needs none: letters, digits and -._~ (RFC 3986, section 2.3).
_NEEDLESS = re.compile(r"%(?:4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe]|3[0-9]|2[DdEe])")


# How often anything may be decoded at most; what goes on after that is meant to cost, or to confuse.
_MOST_LAYERS = 4


def ensure_normal(path: str) -> None:
    """Raises InvalidRequest unless the path, without its query, is in normal form."""
    if path and _PLAIN.fullmatch(path):
        return
    if not path.startswith("/") or "//" in path or _BROKEN.search(path) or _NEEDLESS.search(path):
        raise _refusal()
    for segment in path.split("/"):
        _ensure_plain(segment)


def _ensure_plain(segment: str) -> None:
    """A segment stays one, and means no other, however often it is decoded."""
    for _ in range(_MOST_LAYERS):
        if segment.partition(";")[0] in (".", "..") or any(_is_separator(character) for character in segment):
            raise _refusal()
        try:
            decoded = unicodedata.normalize("NFKC", unquote_to_bytes(segment).decode())
        except UnicodeDecodeError:
            raise _refusal() from None
        if decoded == segment:
            return
        segment = decoded
    raise _refusal()


def _is_separator(character: str) -> bool:
    return character in "/\\" or unicodedata.category(character) == "Cc"


def _refusal() -> InvalidRequest:
    return InvalidRequest.of("path", "must be in normal form", "NORMAL_PATH")

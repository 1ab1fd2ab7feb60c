"""HTTP/2 frames and HPACK (RFC 9113, RFC 7541), as much as a cheap gRPC client needs; no Huffman code.

A connection's first call spells its headers out and has the server keep them in its dynamic table; later calls repeat them
as one byte each. The credential is never kept: it differs from call to call, as it does between a product's users.
"""

from collections import deque
from collections.abc import Sequence

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
WINDOW = (1 << 31) - 1

Header = tuple[bytes, bytes]

# The static table: its names by index from 1, and the values of those that have one.
_NAMES = (
    "|:authority|:method|:method|:path|:path|:scheme|:scheme|:status|:status|:status|:status|:status|:status|:status"
    "|accept-charset|accept-encoding|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow"
    "|authorization|cache-control|content-disposition|content-encoding|content-language|content-length|content-location"
    "|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match"
    "|if-range|if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range"
    "|referer|refresh|retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via"
    "|www-authenticate"
)
_VALUES = (
    {2: "GET", 3: "POST", 4: "/", 5: "/index.html", 6: "http", 7: "https", 16: "gzip, deflate"}
    | {8 + n: status for n, status in enumerate("200 204 206 304 400 404 500".split())}
)  # fmt: skip
STATIC: tuple[Header, ...] = tuple((name.encode(), _VALUES.get(n, "").encode()) for n, name in enumerate(_NAMES.split("|")))
_POST, _HTTP, _AUTHORIZATION = 3, 6, 23
_NAMED = {b":authority": 1, b":path": 4, b"content-type": 31, b"user-agent": 58}


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def preface() -> bytes:
    """What a client says first: windows so large that it need not think of them."""
    settings = b"\0\4" + WINDOW.to_bytes(4, "big")  # SETTINGS_INITIAL_WINDOW_SIZE
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings) + widen(WINDOW - 65_535)


def widen(size: int) -> bytes:
    """A frame that lets the server send more on this connection."""
    return frame(WINDOW_UPDATE, 0, 0, size.to_bytes(4, "big"))


def integer(value: int, prefix: int, flags: int = 0) -> bytes:
    """An integer whose first byte has `prefix` bits for it, below `flags`."""
    full = (1 << prefix) - 1
    if value < full:
        return bytes((flags | value,))
    encoded, value = [flags | full], value - full
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes((*encoded, value))


def string(text: bytes) -> bytes:
    """A string, as it is."""
    return integer(len(text), 7) + text


def kept(name: bytes, value: bytes) -> bytes:
    """A header that the receiver keeps in its dynamic table: literal with incremental indexing."""
    index = _NAMED.get(name, 0)
    return integer(index, 6, 0x40) + (b"" if index else string(name)) + string(value)


def credential(token: str) -> bytes:
    """The authorization header, never to be kept."""
    return integer(_AUTHORIZATION, 4, 0x10) + string(f"Bearer {token}".encode()) if token else b""


def request_headers(path: str, authority: str) -> tuple[bytes, bytes]:
    """The header block of a connection's first call, and of every later one; the credential comes behind."""
    method = integer(_POST, 7, 0x80) + integer(_HTTP, 7, 0x80)
    headers = (
        (b":path", path.encode()),
        (b":authority", authority.encode()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", b"tenantry-bench"),
    )
    first = b"".join(kept(*header) for header in headers)
    later = bytes(0x80 | len(STATIC) + number for number in reversed(range(len(headers))))
    return method + first, method + later


def message(body: bytes) -> bytes:
    """A gRPC message: not compressed, and its length."""
    return b"\0" + len(body).to_bytes(4, "big") + body


class Decoder:
    """Reads the header blocks of one connection, in their order. Strings in Huffman code stay as they are."""

    def __init__(self, size: int = 4096) -> None:
        self._entries: deque[Header] = deque()
        self._limit = size
        self._size = 0

    @property
    def size(self) -> int:
        """What the dynamic table holds, in the octets that RFC 7541 counts."""
        return self._size

    def decode(self, block: bytes) -> list[Header]:
        """The headers of a block."""
        headers: list[Header] = []
        at = 0
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 7)
                headers.append(self._entry(index))
            elif first & 0xE0 == 0x20:
                self._limit, at = _integer(block, at, 5)
                self._evict()
            else:
                keeps = bool(first & 0x40)
                header, at = self._literal(block, at, 6 if keeps else 4)
                headers.append(header)
                if keeps:
                    self._keep(header)
        return headers

    def _literal(self, block: bytes, at: int, prefix: int) -> tuple[Header, int]:
        index, at = _integer(block, at, prefix)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return (name, value), at

    def _entry(self, index: int) -> Header:
        return STATIC[index] if index < len(STATIC) else self._entries[index - len(STATIC)]

    def _keep(self, header: Header) -> None:
        self._entries.appendleft(header)
        self._size += _cost(header)
        self._evict()

    def _evict(self) -> None:
        while self._size > self._limit:
            self._size -= _cost(self._entries.pop())


def _cost(header: Header) -> int:
    return len(header[0]) + len(header[1]) + 32


def _integer(block: Sequence[int], at: int, prefix: int) -> tuple[int, int]:
    full = (1 << prefix) - 1
    value = block[at] & full
    at += 1
    if value < full:
        return value, at
    shift = 0
    while True:
        value += (block[at] & 127) << shift
        shift += 7
        at += 1
        if block[at - 1] < 128:
            return value, at


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    length, at = _integer(block, at, 7)
    return block[at : at + length], at + length

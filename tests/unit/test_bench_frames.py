"""The bench's HTTP/2: HPACK against the examples of RFC 7541, and what a call looks like on the wire."""

from __future__ import annotations

import pytest
from benchmarks import frames


@pytest.mark.parametrize(
    ("value", "prefix", "encoded"),
    [(10, 5, "0a"), (1337, 5, "1f9a0a"), (42, 8, "2a"), (30, 5, "1e"), (31, 5, "1f00"), (158, 5, "1f7f"), (159, 5, "1f8001")],
)
def test_integers_as_in_appendix_c_1(value: int, prefix: int, encoded: str) -> None:
    assert frames.integer(value, prefix).hex() == encoded


def test_a_kept_header_as_in_appendix_c_2_1() -> None:
    wire = bytes.fromhex("400a637573746f6d2d6b65790d637573746f6d2d686561646572")
    assert frames.kept(b"custom-key", b"custom-header") == wire
    decoder = frames.Decoder()
    assert decoder.decode(wire) == [(b"custom-key", b"custom-header")]
    assert decoder.size == 55


def test_a_header_that_is_never_kept_as_in_appendix_c_2_3() -> None:
    decoder = frames.Decoder()
    assert decoder.decode(bytes.fromhex("100870617373776f726406736563726574")) == [(b"password", b"secret")]
    assert decoder.size == 0


def test_answers_as_in_appendix_c_5_where_entries_are_evicted() -> None:
    decoder = frames.Decoder(size=256)
    date, location = b"Mon, 21 Oct 2013 20:13:21 GMT", b"https://www.example.com"
    first = (
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
        "6e1768747470733a2f2f7777772e6578616d706c652e636f6d"
    )
    rest = [(b"cache-control", b"private"), (b"date", date), (b"location", location)]
    assert decoder.decode(bytes.fromhex(first)) == [(b":status", b"302"), *rest]
    assert decoder.size == 222
    assert decoder.decode(bytes.fromhex("4803333037c1c0bf")) == [(b":status", b"307"), *rest]
    assert decoder.size == 222
    third = (
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d415344"
        "4a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31"
    )
    assert decoder.decode(bytes.fromhex(third)) == [
        (b":status", b"200"),
        (b"cache-control", b"private"),
        (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT"),
        (b"location", location),
        (b"content-encoding", b"gzip"),
        (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ]
    assert decoder.size == 215


def test_a_smaller_table_forgets() -> None:
    decoder = frames.Decoder()
    decoder.decode(frames.kept(b"custom-key", b"custom-header"))
    assert decoder.decode(frames.integer(0, 5, 0x20)) == []
    assert decoder.size == 0


def test_later_calls_say_the_same_in_a_byte_a_header() -> None:
    first, later = frames.request_headers("/a.B/C", "127.0.0.1:1")
    decoder = frames.Decoder()
    said = decoder.decode(first)
    assert said == [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/a.B/C"),
        (b":authority", b"127.0.0.1:1"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", b"tenantry-bench"),
    ]
    assert decoder.decode(later) == said
    assert decoder.decode(later) == said
    assert len(later) == len(said)


def test_credentials_are_never_kept() -> None:
    decoder = frames.Decoder()
    wire = frames.credential("secret")
    assert wire[0] & 0xF0 == 0x10
    assert decoder.decode(wire) == [(b"authorization", b"Bearer secret")]
    assert decoder.size == 0
    assert frames.credential("") == b""


def test_a_frame_says_how_long_it_is() -> None:
    assert frames.frame(frames.DATA, frames.END_STREAM, 3, b"xyz") == b"\0\0\3\0\1\0\0\0\3xyz"
    assert frames.message(b"xyz") == b"\0\0\0\0\3xyz"

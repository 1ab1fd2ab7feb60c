"""Ids: 128 bits, kept as ULID text (https://github.com/ulid/spec), the same in the database, the log and the core API.

A ULID (26 characters, Crockford base32) and a UUID (36 characters) spell the same 128 bits, so one stored id serves the
dialects of both spellings.
"""

import re
import secrets
import time
import uuid

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}
_ULID = re.compile(f"[0-7][{_ALPHABET}]{{25}}")
_UUID = re.compile(r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}")

# Never given to an object: what an unreadable id is looked up as where "unreadable" must not differ from "unknown".
NIL = "0" * 26


def new() -> str:
    """A fresh id: 48 bits of milliseconds, then 80 random bits."""
    return _encode(time.time_ns() // 1_000_000 << 80 | secrets.randbits(80))


def find(text: str) -> str | None:
    """The canonical spelling of a ULID or UUID in any letter case, or None when the text is neither."""
    upper = text.upper() if text.isascii() else ""
    if _ULID.fullmatch(upper):
        return upper
    if _UUID.fullmatch(upper):
        return _encode(int(upper.replace("-", ""), 16))
    return None


def find_or_nil(text: str) -> str:
    """Like `find`, but an id that no object has instead of None."""
    return find(text) or NIL


def to_uuid(ulid: str) -> str:
    """The UUID spelling, lower case."""
    number = 0
    for character in ulid:
        number = number << 5 | _VALUE[character]
    return str(uuid.UUID(int=number))


def _encode(number: int) -> str:
    return "".join([_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5)])

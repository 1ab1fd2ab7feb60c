"""Ids: 128 bits, kept as ULID text (https://github.com/ulid/spec), the same in the database, the log and the core API.

A ULID (26 characters, Crockford base32) and a UUID (36 characters) spell the same 128 bits, so one stored id serves the
dialects of both spellings.
"""

import os
import random
import re
import secrets
import time
import uuid

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}
# For ids that need not be hard to guess: of one process, and of none that it forked.
_random = random.Random()
os.register_at_fork(after_in_child=_random.seed)

# Two characters at a time: every call has an id.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_UUID = re.compile(r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}")

# Never given to an object: what an unreadable id is looked up as where "unreadable" must not differ from "unknown".
NIL = "0" * 26
# Comes after every id.
LAST = "Z" * 26


def new() -> str:
    """A fresh id: 48 bits of milliseconds, then 80 random bits."""
    return _encode(_stamp() << 80 | secrets.randbits(80))


def of_call() -> str:
    """A fresh id of a call. It is told apart from others, and need not be hard to guess."""
    return _encode(_stamp() << 80 | _random.getrandbits(80))


def is_canonical(text: str) -> bool:
    """Whether the text is an id as it is kept: 26 characters of the alphabet, of which the first holds three bits."""
    return len(text) == 26 and text[0] <= "7" and not text.strip(_ALPHABET)


def find(text: str) -> str | None:
    """The canonical spelling of a ULID or UUID in any letter case, or None when the text is neither."""
    if is_canonical(text):
        return text
    upper = text.upper() if text.isascii() else ""
    if is_canonical(upper):
        return upper
    if _UUID.fullmatch(upper):
        return _encode(int(upper.replace("-", ""), 16))
    return None


def find_or_nil(text: str) -> str:
    """Like `find`, but an id that no object has instead of None."""
    return find(text) or NIL


def _stamp() -> int:
    return time.time_ns() // 1_000_000


def to_uuid(ulid: str) -> str:
    """The UUID spelling, lower case."""
    number = 0
    for character in ulid:
        number = number << 5 | _VALUE[character]
    return str(uuid.UUID(int=number))


def _encode(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])

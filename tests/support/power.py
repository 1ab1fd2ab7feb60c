"""Power that fails, simulated: a disk that keeps for certain only what was synced, and of the rest whatever chance leaves.

SQLite writes to files that are kept in memory, through a VFS of APSW. When the power fails, each write since the last sync of
its file survives with some probability, alone, in any order, and torn at the boundaries of sectors. Names of files count as
durable.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from tenantry_server.store import sqlite
from tenantry_server.store.schema import migrate
from tenantry_server.store.urls import open_database

_SECTOR = 512
_MOST = 40


class _Image:
    """A file: what it looks like, and what of that is certain."""

    def __init__(self) -> None:
        self.seen, self.certain = bytearray(), bytearray()
        self.pending: list[tuple[int, bytes | None]] = []  # a place and bytes; or a length, and none

    def sync(self) -> None:
        """Everything so far is certain."""
        self.certain, self.pending = bytearray(self.seen), []

    def after_failure(self, chance: random.Random, survives: float) -> bytes:
        """What is there when the power is back."""
        left = bytearray(self.certain)
        for place, data in self.pending:
            if data is None:
                if chance.random() < survives:
                    _resize(left, place)
                continue
            for first in range(0, len(data), _SECTOR):
                if chance.random() < survives:
                    _put(left, place + first, data[first : first + _SECTOR])
        return bytes(left)


def _resize(image: bytearray, length: int) -> None:
    del image[length:]
    image.extend(b"\0" * (length - len(image)))


def _put(image: bytearray, place: int, data: bytes) -> None:
    image.extend(b"\0" * (place - len(image)))
    image[place : place + len(data)] = data


class _File:
    """An open file, as SQLite asks for it."""

    def __init__(self, image: _Image) -> None:
        self._image = image

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._image.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        _put(self._image.seen, offset, bytes(data))
        self._image.pending.append((offset, bytes(data)))

    def xTruncate(self, length: int) -> None:
        _resize(self._image.seen, length)
        self._image.pending.append((length, None))

    def xSync(self, flags: int) -> None:
        self._image.sync()

    def xFileSize(self) -> int:
        return len(self._image.seen)

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return _SECTOR

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xClose(self) -> None:
        pass


class _Disk(apsw.VFS):
    """Files by name."""

    def __init__(self) -> None:
        self.images: dict[str, _Image] = {}
        super().__init__("failing", "", maxpathname=1024)

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        path = name if isinstance(name, str) else name.filename() if name else f"anonymous{len(self.images)}"
        flags[1] = flags[0]
        return _File(self.images.setdefault(path, _Image()))

    def xDelete(self, name: str, sync: bool) -> None:
        self.images.pop(name, None)

    def xAccess(self, name: str, flags: int) -> bool:
        return name in self.images

    def xFullPathname(self, name: str) -> str:
        return name

    def xRandomness(self, amount: int) -> bytes:
        return random.randbytes(amount)

    def xSleep(self, microseconds: int) -> int:
        return microseconds

    def xCurrentTime(self) -> float:
        return 2_460_000.5

    def xGetLastError(self) -> tuple[int, str]:
        return 0, ""


_DISK = _Disk()


@dataclass(slots=True)
class Losses:
    """What became of transactions through a number of failures."""

    failures: int = 0
    acknowledged: int = 0
    lost: int = 0
    halved: int = 0
    corrupt: int = 0


def fail_often(times: int, seed: int, **other: Any) -> Losses:
    """Lets the power fail so often, each time in the middle of work on a database of the server's schema and settings; `other`
    are settings to change.
    """
    schema = _schema()
    pragmas: Mapping[str, Any] = sqlite._PRAGMAS | other
    losses = Losses()
    for number in range(times):
        _fail(losses, random.Random(seed * 1_000_000 + number), schema, pragmas)
    return losses


def _schema() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/empty.db")
        migrate(database)
        rows = list(database.execute_sql("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").fetchall())  # type: ignore[no-untyped-call]
        database.shut_down()
    return [row[0] for row in rows]


def _fail(losses: Losses, chance: random.Random, schema: list[str], pragmas: Mapping[str, Any]) -> None:
    _DISK.images.clear()
    acknowledged, last = [], chance.randint(1, _MOST)
    with closing(apsw.Connection("/database", vfs="failing")) as connection:
        connection.execute("PRAGMA locking_mode = exclusive")  # a WAL without shared memory
        for name, value in pragmas.items():
            connection.execute(f"PRAGMA {name} = {value}")
        connection.execute("PRAGMA wal_autocheckpoint = 10")
        connection.execute("BEGIN")
        for statement in schema:
            connection.execute(statement)
        connection.execute("COMMIT")
        for image in _DISK.images.values():
            image.sync()
        for number in range(1, last + 1):
            connection.execute("BEGIN IMMEDIATE")
            _change(connection, chance, number)
            if number == last and chance.random() < 0.5:
                break
            connection.execute("COMMIT")
            acknowledged.append(number)
        survives = chance.choice((0.0, 0.3, 0.5, 0.7))
        left = {name: image.after_failure(chance, survives) for name, image in _DISK.images.items()}
    losses.failures += 1
    losses.acknowledged += len(acknowledged)
    _look(losses, acknowledged, left)


def _change(connection: apsw.Connection, chance: random.Random, number: int) -> None:
    """A change: three rows of two tables."""
    text = "x" * chance.randint(10, 900)
    connection.execute("INSERT INTO request_records VALUES (?, ?, ?, ?, ?)", ("p", f"r{number}", "f", text, number))
    for revision in (2 * number, 2 * number + 1):
        event = ("o", revision, 0, "user", "u", "c", "role.create", "role", str(number), text, "call")
        connection.execute(f"INSERT INTO audit_events VALUES ({', '.join('?' * len(event))})", event)


def _look(losses: Losses, acknowledged: list[int], left: Mapping[str, bytes]) -> None:
    """Opens what is left, as the server would when it starts again."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in left.items():
            (Path(folder) / name.strip("/")).write_bytes(data)
        try:
            with closing(apsw.Connection(f"{folder}/database")) as connection:
                sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                records = {int(row[0][1:]) for row in connection.execute("SELECT request_id FROM request_records")}
                told = connection.execute("SELECT CAST(target_id AS INTEGER), COUNT(*) FROM audit_events GROUP BY 1").fetchall()
        except apsw.Error:
            losses.corrupt += 1
            losses.lost += len(acknowledged)
            return
    whole = {number for number, count in told if count == 2} & records
    losses.corrupt += not sound
    losses.lost += len(set(acknowledged) - whole)
    losses.halved += len((records | {number for number, _ in told}) - whole)

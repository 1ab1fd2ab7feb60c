"""Machines in a network of their own: with processes, files, an address and a cable each, they lose power, freeze, are cut off.

A machine is a set of Linux namespaces, so the configuration it runs is word for word that of a real one. The network is in a
namespace, too: nothing of it is reachable from outside, and all of it ends with the process that made it. Needs root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from e2e.commands import process
from support.gateway import eventually

_NETWORK = "10.77.0"
# Ours on the bridge: where Tenantry and HAProxy run.
_HERE = f"{_NETWORK}.1"
_BRIDGE = "machines"
_ALONE = ("unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc")
# The first process of a machine waits for its cable, has its files where Debian has them, and collects who has ended.
_BOOT = """
until ip -4 address show eth0 2>/dev/null | grep -q inet; do sleep 0.02; done
for place in var/lib/postgresql var/lib/etcd run/postgresql; do mount --bind "$0/$place" "/$place"; done
setpriv --reuid=etcd --regid=etcd --clear-groups env $(grep -v '^#' "$0/etcd.env") ETCD_DATA_DIR=/var/lib/etcd/default \
  etcd >> "$0/etcd.log" 2>&1 &
cd /var/lib/postgresql
setpriv --reuid=postgres --regid=postgres --init-groups patroni "$0/patroni.yml" >> "$0/patroni.log" 2>&1 &
wait
"""
_OWNERS = {"var/lib/postgresql": "postgres", "var/lib/etcd": "etcd", "run/postgresql": "postgres"}


def lay_network() -> None:
    """Makes the bridge, in a network namespace where there is nothing but a loopback that is down."""
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", _BRIDGE, "type", "bridge")
    _run("ip", "address", "add", f"{_HERE}/24", "dev", _BRIDGE)
    _run("ip", "link", "set", _BRIDGE, "up")


class Machine:
    """One of them: runs etcd and Patroni by the files `etcd.env` and `patroni.yml` in its folder."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.number = number
        self.name = f"db{number}"
        self.address = f"{_NETWORK}.{10 + number}"
        self._boots = 0
        self._process: subprocess.Popen[bytes] | None = None
        for place, owner in _OWNERS.items():
            (folder / place).mkdir(parents=True)
            shutil.chown(folder / place, owner, owner)

    def boot(self) -> None:
        """Turns it on; it finds on its disk what it left there."""
        self._boots += 1
        mine = os.readlink("/proc/self/ns/net")
        self._process = subprocess.Popen([*_ALONE, "bash", "-c", _BOOT, self.folder])
        pid = str(self._process.pid)
        eventually(lambda: os.readlink(f"/proc/{pid}/ns/net") != mine, f"{self.name} has a network of its own")
        # The same card every time, or its peers would go on sending to the one before.
        inside = ("peer", "name", "eth0", "address", f"02:00:00:00:00:{self.number:02x}", "netns", pid)
        _run("ip", "link", "add", self._cable, "type", "veth", *inside)
        _run("ip", "link", "set", self._cable, "master", _BRIDGE, "up")
        for step in f"link set lo up, link set eth0 up, address add {self.address}/24 dev eth0".split(", "):
            self._inside("ip", *step.split())

    def power_off(self) -> None:
        """All of it ends at once (SIGKILL), and nobody is told: no connection is closed."""
        assert self._process is not None
        _run("ip", "link", "delete", self._cable)
        self._process.kill()  # which kills the machine's first process, and that all others
        self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """All its processes stop (SIGSTOP); the kernel still accepts connections."""
        for _ in range(2):  # who was just being born is caught in the second round
            self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """They go on, as if no time had passed."""
        self._signal(signal.SIGCONT)

    def cut_off(self, others: Iterable[Machine]) -> None:
        """Nothing comes through between it and the others, in either direction; Tenantry still reaches it."""
        peers = ", ".join(other.address for other in others)
        rules = "; ".join(
            f"add chain inet cut {way} {{ type filter hook {way} priority 0; }}; "
            f"add rule inet cut {way} ip {end} {{ {peers} }} drop"
            for way, end in (("input", "saddr"), ("output", "daddr"))
        )
        self._inside("nft", f"add table inet cut; {rules}")

    def reconnect(self) -> None:
        """Everything comes through again."""
        self._inside("nft", "delete table inet cut")

    @property
    def _cable(self) -> str:
        return f"{self.name}-{self._boots}"

    def _inside(self, *command: str) -> None:
        assert self._process is not None
        _run("nsenter", "--net", "--target", str(self._process.pid), *command)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        for child in process(self._process.pid).children():
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"

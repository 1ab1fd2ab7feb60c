"""What the kernel says of processes and of the machine (Linux): CPU in nanoseconds, resident memory in bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_LOOPS = 20_000


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def cpu(pids: Iterable[int]) -> dict[str, int]:
    """Nanoseconds that each thread of these processes has used."""
    used = {}
    for pid in pids:
        with suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with suppress(OSError), open(f"/proc/{pid}/task/{task}/schedstat") as file:
                    used[task] = int(file.read().split()[0])
    return used


def spent(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """Nanoseconds between two readings; what threads spent that ended in between is not known."""
    return sum(used - before.get(task, 0) for task, used in after.items())


def resident(pids: Iterable[int]) -> int:
    """Resident memory of these processes; what they share counts for each."""
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int((_PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def proportional(pids: Iterable[int]) -> int:
    """Resident memory of these processes, in which what several processes share counts in equal parts for each."""
    bytes_ = 0
    for pid in pids:
        with suppress(OSError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    bytes_ += int(line.split()[1]) * 1024
    return bytes_


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine as a whole did until now, in seconds of CPU."""

    busy: float
    stolen: float

    @classmethod
    def now(cls) -> Machine:
        """Reads it."""
        user, nice, system, _idle, _wait, interrupts, soft, stolen, *_ = (
            int(field) / _TICK for field in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
        )
        return cls(user + nice + system + interrupts + soft, stolen)


def calibration() -> float:
    """Nanoseconds of CPU that a turn of an empty Python loop takes now: how fast the machine is at this moment."""
    best = float("inf")
    for _ in range(5):
        start = time.thread_time_ns()
        for _turn in range(_LOOPS):
            pass
        best = min(best, (time.thread_time_ns() - start) / _LOOPS)
    return best


def processor() -> str:
    """The processor's name."""
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "an unknown processor"


def memory() -> int:
    """The machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

"""A disk that is small, and can be filled: a file system in memory. Linux lets root alone mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_BLOCK = 4096


@dataclass(frozen=True)
class Disk:
    """A disk, by the folder at which it is."""

    folder: Path

    @property
    def free(self) -> int:
        """Bytes."""
        return os.statvfs(self.folder).f_bavail * _BLOCK

    def fill(self, *, leaving: int) -> None:
        """Leaves so many bytes."""
        with self._ballast.open("ab", buffering=0) as file:
            while self.free > leaving:
                file.write(bytes(_BLOCK))

    def clear(self) -> None:
        """Makes room again."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Disk]:
    """A disk of so many bytes, for as long as this is entered; the test is skipped where none can be had."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        # Whoever still has a file there keeps it; its place is free.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()

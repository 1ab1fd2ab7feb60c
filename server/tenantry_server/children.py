"""Child processes that do not outlive us."""

import os
import subprocess
import sys
from typing import Any

# However we end, a child ends too. Linux can promise that (PR_SET_PDEATHSIG = 1, SIGTERM = 15), but only the child can ask
# for it, before it becomes the command; a preexec_fn would be unsafe beside gRPC's threads.
_LINKED_EXEC = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def spawn(command: list[str], **options: Any) -> "subprocess.Popen[Any]":
    """Starts a command by its absolute path, in a session of its own: the terminal's Ctrl-C is for us alone.

    On Linux it ends with the thread that starts it, so start it from one that lives on. Raises OSError.
    """
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _LINKED_EXEC, str(os.getpid()), *command]
    return subprocess.Popen(command, start_new_session=True, **options)  # noqa: S603

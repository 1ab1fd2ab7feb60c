"""The wire between the server and PostgreSQL, which a test can cut off: bytes then go nowhere, and nobody hears of it."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit


class Wire:
    """Forwards connections to PostgreSQL's socket, but for as long as it hangs: then it accepts, keeps, and says nothing."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        (folder,) = parse_qs(parts.query)["host"]
        self._target = f"{folder}/.s.PGSQL.{parse_qs(parts.query).get('port', ['5432'])[0]}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://postgres@127.0.0.1:{self._listener.getsockname()[1]}{parts.path}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._open = threading.Event()
        self._open.set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._open.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def hang(self) -> None:
        """From now on, nothing comes through."""
        self._open.clear()

    def heal(self) -> None:
        """Everything comes through again, also what was sent meanwhile."""
        self._open.set()

    def _run(self) -> None:
        while not self._over.is_set():
            self._open.wait()
            for key, _ in self._selector.select(0.02):
                if not self._open.is_set():
                    break
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._forward(key.fileobj, key.data)  # type: ignore[arg-type]

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.socket(socket.AF_UNIX)
        far.connect(self._target)
        self._selector.register(near, selectors.EVENT_READ, far)
        self._selector.register(far, selectors.EVENT_READ, near)

    def _forward(self, here: socket.socket, there: socket.socket) -> None:
        try:
            data = here.recv(65536)
            if data:
                there.sendall(data)
                return
        except OSError:
            pass
        for end in (here, there):
            if end.fileno() != -1:
                self._selector.unregister(end)
                end.close()

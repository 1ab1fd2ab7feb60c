"""When tokens were last used: noted in memory, and written by a thread of its own, never on a caller's path."""

from datetime import datetime, timedelta

from ..store.database import Database
from ..store.queries import api_tokens as statements
from ..store.values import milliseconds
from .periodic import Periodic

_PERIOD = 10.0
_MINUTE = timedelta(minutes=1)
# How many tokens one transaction writes, and how long it may wait, in seconds.
_BATCH, _PATIENCE = 200, 5.0


class LastUsed(Periodic):
    """Writes at most once a minute a token. A process that is killed loses what it noted in the last ten seconds."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "last-used", lambda: _PERIOD)
        self._noted: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}

    def note(self, token_id: str, now: datetime) -> None:
        """Remembers a use: one look-up and one store in dictionaries."""
        written = self._written.get(token_id)
        if written is None or now - written >= _MINUTE:
            self._noted[token_id] = now

    def flush(self) -> None:
        """Writes what is noted. What cannot be written now stays noted."""
        noted, self._noted = self._noted, {}
        uses = sorted(noted.items())
        for first in range(0, len(uses), _BATCH):
            batch = uses[first : first + _BATCH]
            try:
                self._write(batch)
            except Exception:  # noqa: BLE001  whatever it is, it may be over when the next period ends
                for token_id, at in uses[first:]:
                    self._noted.setdefault(token_id, at)
                return
            self._written.update(batch)
        if uses:
            latest = max(at for _, at in uses)
            self._written = {token_id: at for token_id, at in self._written.items() if latest - at < _MINUTE}

    def _write(self, uses: list[tuple[str, datetime]]) -> None:
        """One transaction, tokens in the order of their ids, so that processes do not wait for each other in a circle."""
        database = self._database
        with database.writing_once(_PATIENCE):
            for token_id, at in uses:
                values = {"now": milliseconds(at), "minute_ago": milliseconds(at - _MINUTE)}
                database.run(statements.USED, api_token_id=token_id, **values)

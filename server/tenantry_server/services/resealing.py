"""Encrypting every stored secret with the key that encrypts now, so that the keys before it can be thrown away."""

import json
from collections.abc import Iterator

from ..store.change import Store
from ..store.queries import organizations as statements
from ..store.queries.organizations import Configured
from .sealing import Sealing, of_headers
from .secret_keys import SecretKeys

_CHUNK, _PATIENCE = 200, 30.0


def reseal(store: Store, keys: SecretKeys) -> int:
    """How many organizations had secrets under another key, or in clear. What somebody changes meanwhile is left alone: it is
    encrypted with the present key already. Raises SecretKeysMissing or SecretUnreadable.
    """
    return sum(_keep(store, before, _resealed(before, keys)) for before in _configured(store))


def _configured(store: Store) -> Iterator[Configured]:
    after = ""
    while rows := store.database.rows(statements.CONFIGURED, after=after, limit=_CHUNK):
        yield from rows
        after = rows[-1].id


def _resealed(before: Configured, keys: SecretKeys) -> Configured:
    reseal = Sealing(keys, before.id).reseal
    experiments, otel = json.loads(before.experimental_config), json.loads(before.otel_config or "{}")
    if otel:
        otel["headers"] = {name: reseal(kept, name) for name, kept in otel["headers"].items()}
    made = (of_headers(experiments, reseal), otel)
    texts = (json.dumps(config, separators=(",", ":"), ensure_ascii=False) for config in made)
    experimental_config, otel_config = texts
    return Configured(before.id, experimental_config, otel_config if otel else "")


def _keep(store: Store, before: Configured, after: Configured) -> bool:
    """Whether anything was encrypted anew. It is no change of the organization: what it says is the same."""
    if json.loads(before.experimental_config) == json.loads(after.experimental_config) and (
        json.loads(before.otel_config or "{}") == json.loads(after.otel_config or "{}")
    ):
        return False
    database = store.database
    with database.writing_once(_PATIENCE):
        slots = {"before_experimental_config": before.experimental_config, "before_otel_config": before.otel_config}
        kept = database.run(
            statements.RESEAL,
            organization_id=after.id,
            experimental_config=after.experimental_config,
            otel_config=after.otel_config,
            **slots,
        )
    return kept == 1

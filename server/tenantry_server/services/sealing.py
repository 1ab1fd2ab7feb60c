"""Secrets within configurations: the values of headers, each encrypted for its name and its organization."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..domain.organizations import SEALED, has_headers, is_sealed, unmasked
from .secret_keys import SecretKeys


@dataclass(frozen=True, slots=True)
class Sealing:
    """The headers of one organization. Headers of an experimental configuration that are no mapping are one secret without a
    name.
    """

    keys: SecretKeys
    organization_id: str

    def seal(self, value: Any, name: str) -> dict[str, str]:
        """A value as it is kept. Raises SecretKeysMissing."""
        return {SEALED: self.keys.seal(json.dumps(value), self._place(name))}

    def unseal(self, kept: Any, name: str) -> str:
        """A value in clear; one from before secrets were encrypted is as it was. Raises SecretUnreadable."""
        value = json.loads(self.keys.unseal(kept[SEALED], self._place(name))) if is_sealed(kept) else kept
        return value if isinstance(value, str) else json.dumps(value)

    def reseal(self, kept: Any, name: str) -> Any:
        """The same value, encrypted with the key that does it now. Raises SecretKeysMissing or SecretUnreadable."""
        if not is_sealed(kept):
            return self.seal(kept, name)
        if self.keys.is_current(kept[SEALED]):
            return kept
        place = self._place(name)
        return {SEALED: self.keys.seal(self.keys.unseal(kept[SEALED], place), place)}

    def merged(self, config: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
        """An experimental configuration as it is to be kept: a mask keeps what is stored, all else is encrypted."""
        found = unmasked(config, of_headers(stored, lambda value, name: _Kept(value)))
        return of_headers(found, lambda value, name: value.value if isinstance(value, _Kept) else self.seal(value, name))

    def _place(self, name: str) -> str:
        return f"organization/{self.organization_id}/otel/{name}"


@dataclass(frozen=True, slots=True)
class _Kept:
    """Tells what is stored from whatever somebody may send."""

    value: Any


def of_headers(config: Mapping[str, Any], make: Callable[[Any, str], Any]) -> dict[str, Any]:
    """An experimental configuration with other values of its headers."""
    if not has_headers(config):
        return dict(config)
    headers = config["otel"]["headers"]
    if isinstance(headers, Mapping) and not is_sealed(headers):
        made: Any = {name: make(value, name) for name, value in headers.items()}
    else:
        made = make(headers, "")
    return {**config, "otel": {**config["otel"], "headers": made}}

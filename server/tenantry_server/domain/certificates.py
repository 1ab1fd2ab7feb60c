"""Client certificates: which identity in one stands for which internal service.

An identity is a SPIFFE id or a DNS name, and the two never mix: a DNS name that is spelt like a SPIFFE id is none. Only what
is listed counts, exactly as it is listed; there are no patterns. Formats: SPIFFE-ID section 2, with the path that X509-SVID
section 5.2 demands of a workload; RFC 1123 section 2.1.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .principal import Principal, PrincipalKind

_SPIFFE = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+")
_LONGEST_SPIFFE = 2048
_DNS = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*(?!\d+\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_KEYS = frozenset({"spiffe", "dns", "name", "permissions"})


class CertificatesError(Exception):
    """The list of principals is wrong; the server does not start. The text says which entry, and how."""


class IdentityKind(StrEnum):
    """What kind of name of a certificate an identity is."""

    SPIFFE = "spiffe"
    DNS = "dns"


@dataclass(frozen=True, slots=True)
class Identity:
    """A name in a certificate, of its kind. DNS names are in lower case."""

    kind: IdentityKind
    value: str


Principals = Mapping[Identity, Principal]
# Certificates that their authority has taken back, by its name (DER) and their serial number.
Revoked = frozenset[tuple[bytes, int]]


def principal_of(identities: Iterable[Identity], principals: Principals) -> Principal | None:
    """The one principal that a certificate's identities stand for. None when there is none, and when there are several:
    nobody could say whose call it is.
    """
    found = {principals[identity] for identity in identities if identity in principals}
    return found.pop() if len(found) == 1 else None


def read_principals(data: Any, known: frozenset[str]) -> dict[Identity, Principal]:
    """The principals of an operator's list: `{principals: [{spiffe or dns, name, permissions}, …]}`.

    `known` are the platform's permissions; who has no list of them has all. Raises CertificatesError.
    """
    if not isinstance(data, Mapping) or set(data) != {"principals"} or not isinstance(data["principals"], list):
        raise CertificatesError("must be a mapping with one key, principals, and that a list")
    principals: dict[Identity, Principal] = {}
    names: set[str] = set()
    for number, entry in enumerate(data["principals"], 1):
        where = f"principal {number}"
        _ensure_form(entry, where)
        identity, name = _identity(entry, where), entry["name"]
        if identity in principals:
            raise CertificatesError(f"{where}: {identity.kind} {identity.value!r} is there twice")
        if name in names:
            raise CertificatesError(f"{where}: name {name!r} is there twice")
        names.add(name)
        principals[identity] = Principal(
            kind=PrincipalKind.PLATFORM, credential_id=f"certificate:{name}", permissions=_permissions(entry, where, known)
        )
    return principals


def _ensure_form(entry: Any, where: str) -> None:
    if not isinstance(entry, Mapping):
        raise CertificatesError(f"{where} must be a mapping")
    if unknown := sorted(str(key) for key in entry if key not in _KEYS):
        raise CertificatesError(f"{where}: unknown key {', '.join(unknown)}")
    if ("spiffe" in entry) == ("dns" in entry):
        raise CertificatesError(f"{where} must have one of spiffe and dns")
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CertificatesError(f"{where}: name must be lower case letters, digits and hyphens, a letter first, 63 at most")


def _identity(entry: Mapping[str, Any], where: str) -> Identity:
    if "spiffe" in entry:
        value = entry["spiffe"]
        if not isinstance(value, str) or not _SPIFFE.fullmatch(value) or len(value) > _LONGEST_SPIFFE:
            raise CertificatesError(f"{where}: {value!r} is no SPIFFE id of a workload; there are no wildcards")
        return Identity(IdentityKind.SPIFFE, value)
    value = entry["dns"]
    if not isinstance(value, str) or not _DNS.fullmatch(value.lower()):
        raise CertificatesError(f"{where}: {value!r} is no DNS name; there are no wildcards")
    return Identity(IdentityKind.DNS, value.lower())


def _permissions(entry: Mapping[str, Any], where: str, known: frozenset[str]) -> frozenset[str] | None:
    """None narrows nothing, and only a list that is left out means that: an empty one would be an accident."""
    if "permissions" not in entry:
        return None
    names = entry["permissions"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise CertificatesError(f"{where}: permissions must be a list of names; leave it out for all of them")
    if unknown := sorted(set(names) - known):
        raise CertificatesError(f"{where}: unknown permission {', '.join(unknown)}")
    return frozenset(names)

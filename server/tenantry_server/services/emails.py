"""E-mail addresses: one canonical form, decided here.

The local part in Unicode NFC and lower case, the domain in its ASCII form (IDNA 2008) and lower case. Dots and plus signs
keep their meaning: aliases are different addresses.
"""

import re
from unicodedata import normalize

from email_validator import EmailNotValidError, validate_email

from ..domain.errors import InvalidRequest

# What nearly every address is, and of which nothing but the letter case needs thought: ASCII words, and a domain of no more
# than one label's longest length, without the two hyphens in a row that mark other alphabets.
_PLAIN = re.compile(
    r"(?=[^@]{1,64}@.{1,63}$)[A-Z0-9_+-]+(?:\.[A-Z0-9_+-]+)*@(?:[A-Z0-9]+(?:-[A-Z0-9]+)*\.)+[A-Z]{2,}", re.ASCII | re.IGNORECASE
)


def canonical(address: str, *, field: str) -> str:
    """The canonical form. Raises InvalidRequest when it is no address."""
    found = find_canonical(address)
    if not found:
        raise InvalidRequest.of(field, "must be an e-mail address", "EMAIL")
    return found


def find_canonical(address: str) -> str:
    """The canonical form, or "" when it is no address."""
    if _PLAIN.fullmatch(address):
        return address.lower()
    try:
        # NFC first: some characters come apart into others that no address has.
        composed = normalize("NFC", address.strip())
        checked = validate_email(composed, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        return ""
    # Lower case of NFC need not be NFC again.
    return f"{normalize('NFC', checked.local_part.lower())}@{checked.ascii_domain.lower()}"

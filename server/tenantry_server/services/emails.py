"""E-mail addresses: one canonical form, decided here.

The local part in Unicode NFC and lower case, the domain in its ASCII form (IDNA 2008) and lower case. Dots and plus signs
keep their meaning: aliases are different addresses.
"""

from unicodedata import normalize

from email_validator import EmailNotValidError, validate_email

from ..domain.errors import InvalidRequest


def canonical(address: str, *, field: str) -> str:
    """The canonical form. Raises InvalidRequest when it is no address."""
    found = find_canonical(address)
    if not found:
        raise InvalidRequest.of(field, "must be an e-mail address", "EMAIL")
    return found


def find_canonical(address: str) -> str:
    """The canonical form, or "" when it is no address."""
    try:
        # NFC first: some characters come apart into others that no address has.
        composed = normalize("NFC", address.strip())
        checked = validate_email(composed, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        return ""
    # Lower case of NFC need not be NFC again.
    return f"{normalize('NFC', checked.local_part.lower())}@{checked.ascii_domain.lower()}"

"""Names that people read, where they come in by other ways than a request: the command line, and identity providers.

The rule is the contract's, `display_name` in `tenantry/policy/v1/rules.proto`; a test holds the two together.
"""

import re
import unicodedata

LONGEST = 200
_BLANK = "must have 1 to 200 characters, not all of them blank"
_UNSAFE = "must not contain an HTML tag, a web address, line ends or control characters"
# Control characters, line ends, and what turns the direction of writing.
_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
# Words begin where ASCII says so, letter case is Unicode's: as RE2 reads the contract.
_DANGER = re.compile(
    r"<[a-z/]|(?a:\b)(https?|ftps?|sftp|ssh|wss?|file|ldaps?)://|(?a:\b)www\.|(?a:\b)(javascript|data|mailto|tel):"
    rf"|[{_CONTROLS}]",
    re.IGNORECASE,
)
# What can be left out of a name without making another of it: those, and halves of characters.
_UNFIT = re.compile(f"[{_CONTROLS}\ud800-\udfff]")


def flaws(name: str) -> list[str]:
    """What is wrong with a name, in the contract's words."""
    is_short = len(name) <= LONGEST and not all(map(_is_blank, name))
    return [text for text, is_kept in ((_BLANK, is_short), (_UNSAFE, not _DANGER.search(name))) if not is_kept]


def fitting(text: str) -> str:
    """What a name of somebody else's keeping comes to: cleaned and cut; empty when that is none, or leads people elsewhere."""
    name = _UNFIT.sub("", text).strip()[:LONGEST].strip()
    return "" if flaws(name) else name


def _is_blank(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "Z" or (category[0] == "C" and category != "Cn")

"""Names that come in otherwise than by a request keep the contract's rule, in its words; and what they are cleaned to does."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from tenantry.v1 import role_service_pb2, user_service_pb2
from tenantry_server.domain import names
from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.rpc.validation import ensure_valid

# Of ASCII and of ISO 6429 (the next line, and what terminals obey, among them), the ends of lines and paragraphs, and what
# turns the direction of writing.
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))]
SAMPLES = [
    *("Ana Ng", "O'Neil, Bo", "نرگس\u200cها 😀 Ö", "A < B", "x" * 200, "😀" * 200, "\u0378", "\u3164", "notmailto"),
    *("", " ", "\u00a0", "\u200b", "\xad", "\ue000", "\x85", "\x1c", "\U000e0001", "x" * 201, "😀" * 201),
    *(f"a{control}b" for control in CONTROLS),
    *("a\nb", "a\rb", "a\x00b", "a\x7fb", "\u202egnA", "a\u2066b", "<b>Ana</b>", "</p", "<ſ", "<K", "Ana <ana@example.com>"),
    *(
        "http://x",
        "see HTTPS://x",
        "httpſ://x",
        "éwww.x",
        "awww.x",
        "_www.x",
        "www.x",
        "mailto:a",
        "ſſh://x",
        "٣tel:x",
        "éssh://x",
    ),
]
_PIECES = [
    "http://",
    "www.",
    "<",
    "b",
    "ſ",
    "mailto:",
    "data:",
    " ",
    "\n",
    "\x00",
    "\u202e",
    "\u2028",
    "é",
    "_",
    "😀",
    "x" * 199,
]
TEXTS = st.one_of(st.text(max_size=12), st.lists(st.sampled_from(_PIECES), max_size=6).map("".join), st.sampled_from(SAMPLES))


def violated(request: Message) -> dict[str, list[str]]:
    """What the contract says is wrong with a request, by field."""
    found: dict[str, list[str]] = {}
    try:
        ensure_valid(request)
    except InvalidRequest as refusal:
        for violation in refusal.violations:
            found.setdefault(violation.field, []).append(violation.description)
    return found


def told(name: str) -> list[str]:
    """What the contract says is wrong with a name."""
    return violated(user_service_pb2.CreateUserRequest(email="ana@example.com", name=name)).get("name", [])


@pytest.mark.parametrize("name", SAMPLES, ids=ascii)
def test_a_name_has_the_flaws_that_the_contract_finds(name: str) -> None:
    assert names.flaws(name) == told(name)


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_a_name_has_one_line_and_no_control_characters(control: str) -> None:
    assert told(f"Ana{control}Ng") == ["must not contain an HTML tag, a web address, line ends or control characters"]
    assert names.fitting(f"Ana{control}Ng") == "AnaNg"


def test_a_text_has_lines_and_tabs_and_no_other_control_characters() -> None:
    def is_kept(character: str) -> bool:
        request = role_service_pb2.CreateRoleRequest(
            organization_id="0" * 26, name="R", permissions=["role:read"], description=f"a{character} b"
        )
        return "description" not in violated(request)

    assert [character for character in map(chr, range(0xA0)) if not is_kept(character)] == [
        character for character in map(chr, (*range(0x20), *range(0x7F, 0xA0))) if character not in "\t\n\r\x85"
    ]


@given(TEXTS)
def test_any_text_has_the_flaws_that_the_contract_finds(text: str) -> None:
    assert names.flaws(text) == told(text)


@given(st.one_of(TEXTS, st.text(st.characters(), max_size=12)))
def test_what_fits_keeps_the_rule_or_is_nothing_and_fits_again(text: str) -> None:
    name = names.fitting(text)
    assert name == "" or (told(name) == [] and names.fitting(name) == name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ana Ng", "Ana Ng"),
        ("  Ana\tNg \n", "AnaNg"),
        ("\x1b[31mBo\r\n\u2028\u202eEk\x9b\ud800", "[31mBoEk"),
        ("x" * 199 + " yz", "x" * 199),
        ("x" * 300, "x" * 200),
        ("\u200b" * 200 + "Ana", ""),
        ("\u202e \ud800", ""),
        ("ht\x00tps://evil.example", ""),
        ("Win a prize at www.evil.example", ""),
        ("<b>Ana</b>", ""),
    ],
    ids=ascii,
)
def test_a_name_is_cleaned_and_cut_and_one_that_leads_elsewhere_is_none(text: str, name: str) -> None:
    assert names.fitting(text) == name

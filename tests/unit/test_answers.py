"""Answers kept under request ids: every answer of every change comes back equal, whatever is in it."""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import NOW, api_token

import tenantry_server
from tenantry_server.domain.clock import floor
from tenantry_server.domain.tokens import ApiToken, TokenKind
from tenantry_server.services.organizations import Organizations
from tenantry_server.services.service import Service
from tenantry_server.store.answers import decode, encode

SERVER = Path(tenantry_server.__file__).parent
YEAR_1, YEAR_9999 = datetime(1, 1, 1), datetime(9999, 12, 31)
st.register_type_strategy(datetime, st.datetimes(min_value=YEAR_1, max_value=YEAR_9999, timezones=st.just(UTC)).map(floor))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
st.register_type_strategy(Mapping, st.dictionaries(st.text(), JSON, max_size=3))


def _services() -> list[type[Service]]:
    """Every service of the server."""
    for path in (SERVER / "services").glob("*.py"):
        importlib.import_module(f"tenantry_server.services.{path.stem}")
    return Service.__subclasses__()


def _is_change(function: ast.FunctionDef) -> bool:
    return any(isinstance(mark, ast.Name) and mark.id == "changes" for mark in function.decorator_list)


# What makes a change; the answer's class is its last argument.
_TRANSACTIONS = ("change", "create", "create_user", "change_platform", "change_user", "meter")


def answer_types() -> list[type]:
    """What changes answer with: what `@changes` methods return, and what is passed to a transaction by name."""
    found: dict[str, type] = {}
    for service in _services():
        module = importlib.import_module(service.__module__)
        tree = ast.parse(Path(str(module.__file__)).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and _is_change(node):
                answer = get_type_hints(getattr(service, node.name))["return"]
                found[answer.__name__] = answer
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _TRANSACTIONS:
                last = ast.unparse(node.args[-1])
                if last != "type(None)":
                    found[last] = getattr(module, last)
    return [found[name] for name in sorted(found)]


ANSWERS = answer_types()


def test_these_are_the_answers_of_changes() -> None:
    assert [kind.__name__ for kind in ANSWERS] == [
        *("Addition", "ApiToken", "FormerMember", "Invitation", "Lease", "Member", "NewUser", "Organization", "QuotaView"),
        *("Reconciliation", "Region", "Role", "RoleDeletion", "User"),
    ]
    assert Organizations in _services()


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_an_answer_comes_back_equal(kind: type, data: st.DataObject) -> None:
    answer: Any = data.draw(st.from_type(kind))
    known = replace(answer, **{field.name: field.default for field in fields(kind) if not field.repr})
    assert decode(kind, encode(answer)) == known
    assert encode(decode(kind, encode(answer))) == encode(answer)


def test_a_secret_is_not_kept() -> None:
    token = api_token(secret="hunter2")
    assert "hunter2" not in encode(token)
    assert decode(ApiToken, encode(token)) == replace(token, secret="")


def test_what_was_kept_by_an_earlier_version_comes_back_with_defaults_for_what_is_new() -> None:
    kept = json.loads(encode(api_token()))
    assert kept.pop("overlap_end_time", "missing") is None
    assert decode(ApiToken, json.dumps(kept)) == replace(api_token(), secret="")


def test_what_is_kept_is_readable_json() -> None:
    token = api_token("a:b", kind=TokenKind.ORGANIZATION, user_id="", organization_id="Ö", expire_time=NOW)
    assert encode(token) == (
        '{"id":"T","kind":"org","name":"Token","description":"","user_id":"","organization_id":"Ö","creator_id":"U",'
        '"hint":"tnt_usr_abcd","permissions":["a:b"],"expire_time":1893553445678,"revision":1,"create_time":1893553445678,'
        '"update_time":1893553445678,"last_used_time":null,"overlap_end_time":null}'
    )

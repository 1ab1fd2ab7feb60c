"""Settings: which values are secrets, what is shown of them, and what a mask that is sent back stands for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry_server.domain.organizations import MASK, masked, unmasked

NAMES = st.text(min_size=1, max_size=10)
VALUES = st.text(max_size=10) | st.integers() | st.none() | st.lists(st.text(max_size=3), max_size=2)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=4)


def with_headers(headers: Any, **more: Any) -> dict[str, Any]:
    """A configuration with these headers."""
    return {"otel": {"endpoint": "https://otel.example", "headers": headers}, "switch": True, **more}


@given(st.dictionaries(NAMES, st.text(alphabet="secrt", min_size=8), min_size=1))
def test_no_header_value_is_shown(headers: dict[str, str]) -> None:
    shown = masked(with_headers(headers))
    assert shown == with_headers(dict.fromkeys(headers, MASK))


@pytest.mark.parametrize("headers", ["api-key=hunter2", ["hunter2"], 7, None, [{"api-key": "hunter2"}]])
def test_headers_of_another_shape_are_hidden_as_a_whole(headers: Any) -> None:
    assert masked(with_headers(headers)) == with_headers(MASK)


@pytest.mark.parametrize("config", [{}, {"otel": {}}, {"otel": "text"}, {"otel": None}, {"headers": {"a": "b"}}])
def test_a_configuration_without_headers_is_shown_as_it_is(config: dict[str, Any]) -> None:
    assert masked(config) == config
    assert unmasked(config, with_headers({"a": "hunter2"})) == config


@given(HEADERS)
def test_what_was_shown_and_is_sent_back_keeps_what_is_stored(headers: dict[str, Any]) -> None:
    stored = with_headers(headers)
    assert unmasked(masked(stored), stored) == stored


@given(HEADERS, HEADERS)
def test_what_is_sent_in_clear_replaces_what_is_stored(stored: dict[str, Any], sent: dict[str, Any]) -> None:
    config = with_headers({name: value for name, value in sent.items() if not (isinstance(value, str) and "*" in value)})
    assert unmasked(config, with_headers(stored)) == config


@pytest.mark.parametrize("mask", ["*", "******", "*" * 40])
def test_any_run_of_asterisks_is_a_mask(mask: str) -> None:
    assert unmasked(with_headers({"a": mask}), with_headers({"a": "hunter2"})) == with_headers({"a": "hunter2"})


@pytest.mark.parametrize("value", ["", "**x", "x*", "* *", " ***"])
def test_other_values_are_none(value: str) -> None:
    assert unmasked(with_headers({"a": value}), with_headers({"a": "hunter2"})) == with_headers({"a": value})


def test_a_mask_of_a_name_that_is_not_stored_is_a_value() -> None:
    sent = with_headers({"new": MASK})
    assert unmasked(sent, with_headers({"a": "hunter2"})) == sent


def test_a_secret_is_not_moved_to_another_name() -> None:
    stored = with_headers({"a": "hunter2"})
    assert "hunter2" not in str(unmasked(with_headers({"b": MASK}), stored))


def test_nothing_that_is_given_is_changed() -> None:
    stored = with_headers({"a": "hunter2"})
    unmasked(masked(stored), stored)
    assert stored == with_headers({"a": "hunter2"})

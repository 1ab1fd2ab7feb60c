"""The well-known protobuf types, there and back, and what they can hold that JSON or a calendar cannot."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tenantry.v1 import invitation_service_pb2
from tenantry_server.domain.clock import Clock, floor, isoformat
from tenantry_server.domain.errors import InvalidRequest
from tenantry_server.wire import mapping, moment, struct, timestamp, value

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x % 1 != 0)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
INSTANTS = st.datetimes(timezones=st.just(UTC)).map(floor)


def request(expire_time: Timestamp | None = None) -> invitation_service_pb2.CreateInvitationRequest:
    """A request with an instant, or none."""
    return invitation_service_pb2.CreateInvitationRequest(expire_time=expire_time)


@given(INSTANTS)
def test_an_instant_comes_back_equal(instant: datetime) -> None:
    assert moment(request(timestamp(instant)), "expire_time") == instant


def test_an_absent_instant_is_none() -> None:
    assert moment(request(), "expire_time") is None


@pytest.mark.parametrize(
    "sent",
    [
        *(Timestamp(seconds=seconds) for seconds in (2**62, -(2**62), 253402300800, -62135596801)),
        *(Timestamp(nanos=nanos) for nanos in (-1, 10**9, 2**31 - 1, -(2**31))),
    ],
    ids=lambda sent: f"{sent.seconds}s{sent.nanos}ns",
)
def test_an_instant_that_no_calendar_has_is_refused(sent: Timestamp) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        moment(request(sent), "expire_time")
    assert [(v.field, v.rule) for v in refusal.value.violations] == [("expire_time", "TIMESTAMP")]


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_a_free_form_object_comes_back_equal(data: dict[str, object]) -> None:
    assert mapping(struct(data), field="config") == data


@given(JSON)
def test_any_json_value_can_be_told(data: object) -> None:
    assert isinstance(value(data), Value)
    assert value(data).HasField("null_value") == (data is None)


def test_whole_numbers_are_integers_again() -> None:
    data = mapping(struct({"numbers": [1.0, -0.0, 2.5, {"inner": 3.0}]}), field="config")
    assert repr(data) == "{'numbers': [1, 0, 2.5, {'inner': 3}]}"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    message = Struct(fields={"a": Value(number_value=number)})
    with pytest.raises(InvalidRequest) as refusal:
        mapping(message, field="config")
    assert [(v.field, v.rule) for v in refusal.value.violations] == [("config", "JSON")]


def _nested(depth: int) -> Struct:
    message = inner = Struct()
    for _ in range(depth):
        inner = inner.fields["a"].struct_value
    return message


def test_an_object_nested_as_deep_as_a_message_can_be_is_read() -> None:
    assert str(mapping(Struct.FromString(_nested(30).SerializeToString()), field="config")).count("a") == 30


def test_an_object_nested_without_end_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        mapping(_nested(2000), field="config")
    assert [(v.field, v.rule) for v in refusal.value.violations] == [("config", "JSON")]


@given(INSTANTS)
def test_an_instant_is_written_with_milliseconds(instant: datetime) -> None:
    text = isoformat(instant)
    assert text.endswith("Z")
    if instant.year >= 1000:
        assert datetime.fromisoformat(text) == instant


def test_the_clock_tells_whole_milliseconds_in_utc() -> None:
    now = Clock().now()
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0
    assert abs(datetime.now(UTC) - now).total_seconds() < 5

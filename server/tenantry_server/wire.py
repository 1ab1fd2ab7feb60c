"""The well-known protobuf types, for every edge."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from .domain.clock import EPOCH
from .domain.errors import InvalidRequest

_EMPTY = Struct()


def timestamp(moment: datetime) -> Timestamp:
    """An instant."""
    since = moment - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


def timestamp_or_none(moment: datetime | None) -> Timestamp | None:
    """An instant, or none."""
    return None if moment is None else timestamp(moment)


def moment(request: Message, field: str, *, within: str = "") -> datetime | None:
    """The instant in a field, or None when it is absent. Raises InvalidRequest when no calendar has it; `within` is the path
    to the message.
    """
    if not request.HasField(field):
        return None
    try:
        return getattr(request, field).ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest.of(within + field, "must be an instant between the years 1 and 9999", "TIMESTAMP") from None


def struct(data: Mapping[str, Any]) -> Struct:
    """A free-form object. Assigning one copies it."""
    return json_format.ParseDict(dict(data), Struct()) if data else _EMPTY


def value(data: Any) -> Value:
    """Whatever JSON can hold."""
    message = Value()
    json_format.ParseDict(data, message)
    return message


def mapping(message: Struct, *, field: str) -> dict[str, Any]:
    """A free-form object; whole numbers become integers, as JSON writes them. Raises InvalidRequest when it is not JSON."""
    try:
        return {key: _whole(item) for key, item in json_format.MessageToDict(message).items()}
    except (ValueError, RecursionError, json_format.Error):
        raise InvalidRequest.of(field, "must consist of JSON values", "JSON") from None


def _whole(item: Any) -> Any:
    if isinstance(item, float) and item.is_integer():
        return int(item)
    if isinstance(item, dict):
        return {key: _whole(inner) for key, inner in item.items()}
    if isinstance(item, list):
        return [_whole(inner) for inner in item]
    return item

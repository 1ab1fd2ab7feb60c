"""Answers as JSON, to be kept under a request id and given again: dataclasses of plain values, instants and enumerations.

What a record keeps out of its `repr` is a secret, and is not kept: a repetition gets its default instead.
"""

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .values import instant, milliseconds

T = TypeVar("T")


def encode(answer: Any) -> str:
    """An answer as text."""
    return json.dumps(_plain(answer), separators=(",", ":"), ensure_ascii=False)


def decode(kind: type[T], text: str) -> T:
    """The answer again: equal to what was encoded, its secrets aside. What its class has got since has its default."""
    result: T = _rich(kind, json.loads(text))
    return result


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.repr}
    if isinstance(value, datetime):
        return milliseconds(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


@cache
def _fields(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.repr}


def _rich(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if value is None or kind is Any or origin is Mapping or get_origin(origin) is Mapping:
        return value
    if origin in (Union, UnionType):
        return _rich(next(option for option in get_args(kind) if option is not type(None)), value)
    if origin is tuple:
        return tuple(_rich(get_args(kind)[0], item) for item in value)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return kind(**{name: _rich(hint, value[name]) for name, hint in _fields(kind).items() if name in value})
    if kind is datetime:
        return instant(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value

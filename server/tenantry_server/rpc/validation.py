"""The rules that messages declare of their fields, by protovalidate; every one that is broken is told."""

from typing import Any

import protovalidate
from google.protobuf.message import Message

from ..domain.errors import InvalidRequest, Violation

_validator = protovalidate.Validator()


def ensure_valid(message: Message) -> None:
    """Raises InvalidRequest naming every field that breaks a rule."""
    try:
        _validator.validate(message)
    except protovalidate.ValidationError as error:
        raise InvalidRequest([_violation(found.proto) for found in error.violations]) from None


def _violation(found: Any) -> Violation:
    path = ""
    for element in found.field.elements if found.field else ():
        path += ("." if path else "") + element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
    return Violation(path, found.message, found.rule_id.upper().replace(".", "_"))

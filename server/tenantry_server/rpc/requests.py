"""What the metadata of a call says beside its request: its id, and how a change is to be carried out."""

import hashlib
from collections.abc import Mapping

import grpc
from google.protobuf.message import Message

from ..domain import ids
from ..domain.call import Call

_IDEMPOTENCY_KEY = "idempotency-key"
_LONGEST_KEY = 100


def metadata_of(context: grpc.ServicerContext) -> dict[str, str]:
    """The caller's metadata, as far as it is text."""
    return {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}


def call_id(sent: str) -> str:
    """The caller's id for the call, if it is fit to be repeated in logs and answers; else one of ours."""
    return sent if 8 <= len(sent) <= 64 and sent.isascii() and sent.replace("-", "").isalnum() else ids.of_call()


def note_change(call: Call, request: Message, metadata: Mapping[str, str]) -> None:
    """How the change is to be carried out: from the request's own fields or, in a dialect, from its headers."""
    header = "" if "request_id" in request.DESCRIPTOR.fields_by_name else metadata.get(_IDEMPOTENCY_KEY, "")
    call.request_id = getattr(request, "request_id", "") or _key(header)
    call.validate_only = getattr(request, "validate_only", False)
    call.etag = getattr(request, "etag", "")
    if call.request_id:
        body = call.method.encode() + b"\0" + request.SerializeToString(deterministic=True)
        call.fingerprint = hashlib.sha256(body).hexdigest()


def _key(sent: str) -> str:
    """A header's key, no longer than that of a request: its digest, where it is."""
    return sent if len(sent) <= _LONGEST_KEY else hashlib.sha256(sent.encode()).hexdigest()

"""Questions that are not held to the rules of their fields break none."""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tenantry.v1 import authorization_pb2
from tenantry.v1 import authorization_service_pb2 as pb
from tenantry_server.domain import ids
from tenantry_server.operator_files import load_catalog
from tenantry_server.rpc.convert_authorization import question
from tenantry_server.rpc.plain import is_plain, is_plain_request
from tenantry_server.rpc.validation import ensure_valid

CATALOG = load_catalog()
Item = pb.BatchCheckPermissionsRequest.Item

_IDS = st.builds(ids.new) | st.sampled_from(["", "acme", "0" * 26, "8" + "0" * 25, "0" * 26 + "\n", "\uff10" * 26])
_SUBJECTS = (
    st.none()
    | st.builds(authorization_pb2.Subject, user_id=_IDS)
    | st.builds(authorization_pb2.Subject, api_token_id=_IDS)
    | st.builds(authorization_pb2.Subject, credential=st.text(max_size=9))
)
_FIELDS: dict[str, Any] = {
    "subject": _SUBJECTS,
    "organization_id": _IDS,
    "permission": st.sampled_from([*sorted(CATALOG.all), "", "Sandbox Write", "sandbox:fly"]),
    "at_least_revision": st.integers(-2, 2),
}
_ITEMS = st.builds(Item, **_FIELDS)
_INSTANTS = st.none() | st.builds(Timestamp, seconds=st.integers(-(10**12), 10**12), nanos=st.integers(-1, 10**9))
_REQUESTS = st.builds(pb.CheckPermissionRequest, explain=st.booleans(), as_of=_INSTANTS, **_FIELDS)


@given(_ITEMS)
def test_what_is_plain_breaks_no_rule(item: Item) -> None:
    if is_plain(question(item), CATALOG.all):
        ensure_valid(item)


@given(_REQUESTS)
def test_a_request_that_is_plain_breaks_no_rule(request: pb.CheckPermissionRequest) -> None:
    if is_plain_request(request, CATALOG.all):
        ensure_valid(request)


def test_what_services_ask_is_plain() -> None:
    about: dict[str, Any] = {"organization_id": ids.new(), "permission": "sandbox:write"}
    assert is_plain(question(Item(**about)), CATALOG.all)
    assert is_plain(question(Item(subject=authorization_pb2.Subject(user_id=ids.new()), **about)), CATALOG.all)
    assert not is_plain(question(Item(subject=authorization_pb2.Subject(), **about)), CATALOG.all)
    assert not is_plain(question(Item(at_least_revision=-1, **about)), CATALOG.all)
    assert is_plain_request(pb.CheckPermissionRequest(**about), CATALOG.all)
    assert not is_plain_request(pb.CheckPermissionRequest(as_of=Timestamp(seconds=1), **about), CATALOG.all)
    assert not is_plain_request(pb.ListEffectivePermissionsRequest(), CATALOG.all)

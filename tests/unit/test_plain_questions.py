"""Questions of a batch that are not held to the rules of their fields break none."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tenantry.v1 import authorization_pb2
from tenantry.v1 import authorization_service_pb2 as pb
from tenantry_server.domain import ids
from tenantry_server.operator_files import load_catalog
from tenantry_server.rpc.authorization import is_plain
from tenantry_server.rpc.convert_authorization import question
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
_ITEMS = st.builds(
    Item,
    subject=_SUBJECTS,
    organization_id=_IDS,
    permission=st.sampled_from([*sorted(CATALOG.all), "", "Sandbox Write", "sandbox:fly"]),
    at_least_revision=st.integers(-2, 2),
)


@given(_ITEMS)
def test_what_is_plain_breaks_no_rule(item: Item) -> None:
    if is_plain(question(item), CATALOG.all):
        ensure_valid(item)


def test_what_services_ask_is_plain() -> None:
    about: dict[str, Any] = {"organization_id": ids.new(), "permission": "sandbox:write"}
    assert is_plain(question(Item(**about)), CATALOG.all)
    assert is_plain(question(Item(subject=authorization_pb2.Subject(user_id=ids.new()), **about)), CATALOG.all)
    assert not is_plain(question(Item(subject=authorization_pb2.Subject(), **about)), CATALOG.all)
    assert not is_plain(question(Item(at_least_revision=-1, **about)), CATALOG.all)

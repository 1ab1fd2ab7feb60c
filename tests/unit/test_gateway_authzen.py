"""What the gateway's configuration says of OpenID AuthZEN beside its methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import replies
import yaml

Json = dict[str, Any]

FILE = Path(__file__).resolve().parents[2] / "gateway" / "envoy.yaml"
CONFIG: Json = yaml.load(FILE.read_bytes(), Loader=yaml.CSafeLoader)
MANAGER: Json = CONFIG["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
ROUTES: list[Json] = MANAGER["route_config"]["virtual_hosts"][0]["routes"]


def test_a_body_of_another_kind_is_400() -> None:
    for path in ("/access/v1/evaluation/?", "/access/v1/evaluations/?"):
        routes = [route for route in ROUTES if route["match"].get("safe_regex", {}).get("regex") == path]
        assert [route.get("direct_response", {}).get("status") for route in routes] == [400, None, 405]


def test_the_metadata_tells_of_the_paths_that_the_protos_declare() -> None:
    told, refusal = [route for route in ROUTES if route["match"].get("path") == replies.DISCOVERY]
    assert told["direct_response"] == {"status": 200}
    assert (refusal["direct_response"]["status"], ROUTES.index(refusal)) == (405, ROUTES.index(told) + 1)
    (mapper,) = [mapper for mapper in MANAGER["local_reply_config"]["mappers"] if "policy_decision_point" in str(mapper)]
    base = "%REQ(X-FORWARDED-PROTO)%://%REQ(:AUTHORITY)%"
    assert mapper["body_format_override"]["json_format"] == {
        "policy_decision_point": base,
        "access_evaluation_endpoint": f"{base}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{base}/access/v1/evaluations",
    }

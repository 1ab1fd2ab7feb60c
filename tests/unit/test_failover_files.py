"""The files that deploy PostgreSQL under Patroni: what they leave open, and what they must say so that nothing is lost."""

from __future__ import annotations

import re
from string import Template
from typing import Any

import yaml
from ha.patroni import FILES, render

# What README says a reader sets.
VALUES = {
    **{"DB1": "10.0.0.11", "DB2": "10.0.0.12", "DB3": "10.0.0.13", "NAME": "db2", "ADDRESS": "10.0.0.12"},
    **{"CLUSTER_PASSWORD": "secret", "POSTGRESQL": "15"},
}
RENDERED = ("etcd.env", "patroni.yml", "haproxy.cfg")


def settings() -> Any:
    """What Patroni reads."""
    return yaml.safe_load(render("patroni.yml", VALUES))


def test_the_files_leave_open_what_readme_says_and_nothing_else() -> None:
    assert {path.name for path in FILES.iterdir()} == {*RENDERED, "tenantry.sql"}
    left_open = {name for file in RENDERED for name in Template((FILES / file).read_text()).get_identifiers()}
    assert left_open == set(VALUES)
    readme = (FILES.parents[2] / "README.md").read_text()
    assert set(VALUES) <= set(re.findall(r"\b([A-Z][A-Z0-9_]+)=", readme))


def test_no_change_is_acknowledged_that_is_not_on_two_machines() -> None:
    dcs = settings()["bootstrap"]["dcs"]
    assert dcs["synchronous_mode"] is True
    assert dcs["synchronous_mode_strict"] is True
    assert "synchronous_commit" not in dcs["postgresql"]["parameters"]  # whose default is on


def test_a_primary_gives_up_before_another_takes_over() -> None:
    dcs = settings()["bootstrap"]["dcs"]
    assert dcs["loop_wait"] + 2 * dcs["retry_timeout"] <= dcs["ttl"]


def test_nobody_comes_in_from_the_network_without_a_password() -> None:
    for rule in settings()["postgresql"]["pg_hba"]:
        kind, *_, method = rule.split()
        assert method == ("peer" if kind == "local" else "scram-sha-256"), rule
    assert settings()["restapi"]["authentication"]["password"] == VALUES["CLUSTER_PASSWORD"]


def test_the_proxy_asks_each_machine_what_it_is() -> None:
    servers = re.findall(r"^    server (\S+) (\S+) .*check port 8008$", render("haproxy.cfg", VALUES), re.MULTILINE)
    assert servers == [(f"db{number}", f"{VALUES[f'DB{number}']}:5432") for number in (1, 2, 3)] * 2

"""Metered usage: every API call of an organization is counted once, by month, without a write on the call's way."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from support.rates import GET, Told, ask, crowd
from support.sql import Heard
from support.world import Person, World

from tenantry_server.domain import ids
from tenantry_server.services import meter as meters
from tenantry_server.services.meter import Meter

CURRENT, USAGE = "OrganizationService.GetCurrentOrganization", "LimitService.ListMeteredUsage"
UPDATE = "LimitService.UpdateOrganizationLimits"
# What was allocated there, ids included.
OF_A_METER = tracemalloc.Filter(True, meters.__file__)
NOVEMBER = datetime(2030, 11, 30, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
def own(deploy_own: Callable[..., World]) -> World:
    """A server of the test's own, its clock standing."""
    world = deploy_own()
    world.clock.stopped = NOVEMBER
    return world


def meter_of(world: World) -> Meter:
    """What counts in a server."""
    return world.deployment.server.limiting.meter


def used(world: World, organization: Any, person: Person) -> list[tuple[str, str, int]]:
    """What an organization used, written or not: once it is written, reading it is not metered."""
    meter_of(world).flush()
    found = person.rpc(USAGE, organization_id=organization.id).usage
    return [(one.month, one.metric, one.amount) for one in found]


def reads(world: World, token: str, organization: Any, times: int) -> list[Told]:
    """Reads an organization, so many times."""
    return [ask(world.deployment.channel, token, GET, organization_id=organization.id) for _ in range(times)]


def test_every_call_of_an_organization_counts_once_whatever_becomes_of_it(own: World) -> None:
    ana = own.person()
    acme = own.organization(ana)  # which is of no organization yet
    mia = own.member(acme, ana)  # one
    reads(own, ana.token, acme, 3)
    reads(own, own.token(organization_id=acme.id), acme, 2)
    refused = ask(own.deployment.channel, mia.token, "AuditService.ListAuditEvents", organization_id=acme.id)
    assert refused.refusal is not None
    assert used(own, acme, ana) == [("2030-11", "api_calls", 7)]
    reads(own, ana.token, acme, 5)
    assert used(own, acme, ana) == [("2030-11", "api_calls", 12)]


def test_a_crowd_is_counted_exactly_while_what_was_counted_is_written(own: World) -> None:
    ana = own.person()
    acme = own.organization(ana)
    calls = iter(range(10_000))

    def read() -> Told:
        if next(calls) % 10 == 0:
            meter_of(own).flush()
        return reads(own, ana.token, acme, 1)[0]

    assert all(answer.refusal is None for answer in crowd(read, 400))
    assert used(own, acme, ana) == [("2030-11", "api_calls", 400)]


def test_strangers_operators_and_what_is_declared_unmetered_do_not_count(own: World) -> None:
    ana, eve = own.person(), own.person()
    acme = own.organization(ana)
    token = own.token(organization_id=acme.id)
    assert ask(own.deployment.channel, token, CURRENT).refusal is None
    assert ask(own.deployment.channel, eve.token, GET, organization_id=acme.id).refusal is not None
    own.platform()("OrganizationService.SuspendOrganization", organization_id=acme.id)
    assert used(own, acme, ana) == []


def test_a_month_begins_anew_and_months_are_listed_newest_first(own: World) -> None:
    ana = own.person()
    acme = own.organization(ana)
    for months in range(3):
        own.clock.stopped = NOVEMBER + timedelta(seconds=1) * (months > 0) + timedelta(days=31) * (months > 1)
        reads(own, ana.token, acme, months + 1)
    everything = [("2031-01", "api_calls", 3), ("2030-12", "api_calls", 2), ("2030-11", "api_calls", 1)]
    assert used(own, acme, ana) == everything
    page = ana.rpc(USAGE, organization_id=acme.id, page_size=2)
    assert [one.month for one in page.usage] == ["2031-01", "2030-12"]
    page = ana.rpc(USAGE, organization_id=acme.id, page_size=2, page_token=page.next_page_token)
    assert ([one.month for one in page.usage], page.next_page_token) == (["2030-11"], "")


def test_a_hard_limit_admits_exactly_as_many_calls_also_of_a_crowd(own: World) -> None:
    ana = own.person()
    acme = own.organization(ana)
    own.platform()(UPDATE, organization_id=acme.id, api_calls_per_month=100)
    reads(own, ana.token, acme, 30)
    meter_of(own).flush()
    answers = crowd(lambda: reads(own, ana.token, acme, 1)[0], 120)
    refusals = [answer.refusal for answer in answers if answer.refusal is not None]
    assert len(answers) - len(refusals) == 70
    exceeded = (StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", {"limit": "API calls in 2030-11", "maximum": "100"})
    assert [refusal.seen for refusal in refusals] == [exceeded] * 50
    assert used(own, acme, ana) == [("2030-11", "api_calls", 100)]
    own.clock.stopped = NOVEMBER + timedelta(seconds=1)
    assert reads(own, ana.token, acme, 1)[0].refusal is None


@pytest.mark.parametrize("maximum", [0, 3])
def test_a_hard_limit_below_what_was_used_admits_nothing_more(own: World, maximum: int) -> None:
    ana = own.person()
    acme = own.organization(ana)
    reads(own, ana.token, acme, 5)
    own.platform()(UPDATE, organization_id=acme.id, api_calls_per_month=maximum)
    (refused,) = reads(own, ana.token, acme, 1)
    assert refused.refusal is not None
    assert refused.refusal.reason == "LIMIT_EXCEEDED"
    assert used(own, acme, ana) == [("2030-11", "api_calls", 5)]


def test_what_is_unmetered_works_beyond_the_hard_limit(own: World) -> None:
    ana = own.person()
    acme = own.organization(ana)
    token = own.token(organization_id=acme.id)
    own.platform()(UPDATE, organization_id=acme.id, api_calls_per_month=0)
    assert ask(own.deployment.channel, token, CURRENT).refusal is None


def test_processes_add_up_and_know_of_each_other_what_is_written(own: World) -> None:
    ana = own.person()
    acme = own.organization(ana)
    another = Meter(own.services.store)
    for _ in range(4):
        another.count(acme.id, 100)
    reads(own, ana.token, acme, 3)
    another.flush()
    meter_of(own).flush()
    another.flush()
    assert used(own, acme, ana) == [("2030-11", "api_calls", 7)]
    late = Meter(own.services.store)
    with pytest.raises(Exception, match="at most 7 API calls in 2030-11"):
        late.count(acme.id, 7)


def test_counting_asks_the_database_for_nothing_and_writing_asks_once_an_organization(own: World) -> None:
    ana = own.person()
    acme = own.organization(ana)
    with Heard(own.deployment.database) as heard:
        reads(own, ana.token, acme, 20)
    assert len(heard.statements) == 20  # who calls, and what they may do
    with Heard(own.deployment.database) as heard:
        meter_of(own).flush()
        meter_of(own).flush()
    assert len([statement for statement in heard.statements if "metered_usage" in statement]) == 1


def kept(own: World, maximum: int | None) -> int:
    """Bytes that a meter keeps when it has counted a call of 500 organizations, and written it."""
    meter = Meter(own.services.store)
    tracemalloc.start()
    try:
        for _ in range(500):
            meter.count(ids.new(), maximum)
        meter.flush()
        gc.collect()
        return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([OF_A_METER]).traces)
    finally:
        tracemalloc.stop()


def test_of_organizations_without_a_limit_nothing_stays_in_memory_once_it_is_written(own: World) -> None:
    assert kept(own, None) < 10_000
    assert kept(own, 100) > 50_000  # the control: what is remembered of who has a limit


def test_what_cannot_be_written_stays_counted(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = own.person()
    acme = own.organization(ana)
    reads(own, ana.token, acme, 3)
    with monkeypatch.context() as patch:
        patch.setattr(Meter, "_write", lambda *_: 1 / 0)
        meter_of(own).flush()
    reads(own, ana.token, acme, 2)
    assert used(own, acme, ana) == [("2030-11", "api_calls", 5)]


def test_many_organizations_are_written_in_batches(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "_BATCH", 2)
    ana = own.person()
    several = [own.organization(ana) for _ in range(5)]
    for acme in several:
        reads(own, ana.token, acme, 2)
    meter_of(own).flush()
    assert [used(own, acme, ana) for acme in several] == [[("2030-11", "api_calls", 2)]] * 5


def test_an_organization_that_is_gone_keeps_nobody_elses_usage_from_being_written(own: World) -> None:
    ana = own.person()
    acme = own.organization(ana)
    meter_of(own).count("0" * 26, None)
    reads(own, ana.token, acme, 1)
    assert used(own, acme, ana) == [("2030-11", "api_calls", 1)]


def test_a_server_that_ends_writes_what_it_counted(deploy_own: Callable[..., World]) -> None:
    world = deploy_own()
    ana = world.person()
    acme = world.organization(ana)
    reads(world, ana.token, acme, 3)
    meter_of(world).close()
    assert [one.amount for one in ana.rpc(USAGE, organization_id=acme.id).usage] == [3]


def test_control_a_meter_that_reads_and_then_writes_counts_too_little(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without telling what is under way, what is counted meanwhile is written over."""

    def careless(self: Meter) -> None:
        batch = dict(self._counted)
        for key, amount in batch.items():
            self._under_way[key] = amount
        self._write(sorted(batch))
        self._counted.clear()  # and with it, what came meanwhile

    write = Meter._write

    def slow(self: Meter, keys: list[Any]) -> Any:
        written = write(self, keys)
        self.count(acme.id, None)
        return written

    ana = own.person()
    acme = own.organization(ana)
    monkeypatch.setattr(Meter, "_write", slow)
    reads(own, ana.token, acme, 1)
    monkeypatch.setattr(Meter, "flush", careless)
    meter_of(own).flush()
    monkeypatch.undo()
    assert used(own, acme, ana) == [("2030-11", "api_calls", 1)]  # of two

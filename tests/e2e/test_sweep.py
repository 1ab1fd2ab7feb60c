"""`tenantry sweep` removes what the server removes in the background; one that is killed half way leaves it to the next."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from e2e.commands import shell_on
from support import raw
from support.gateway import eventually
from support.world import World

_EVENTS = 20_000


def test_a_sweep_that_is_killed_half_way_leaves_all_sound_and_another_ends_it(
    deploy_own: Callable[..., World], tmp_path: Path
) -> None:
    world = deploy_own()
    shell, owner = shell_on(world, tmp_path), world.person("owner")
    acme, apex = world.organization(owner), world.organization(owner, "Apex")
    with raw.connect(world.deployment.url) as connection:
        connection.execute(
            f"""
            WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n <= {_EVENTS})
            INSERT INTO audit_events SELECT organization_id, n, time, actor_kind, actor_id, credential_id, action, target_type,
                target_id, changes, call_id FROM numbers, audit_events WHERE organization_id = ?
            """,
            (acme.id,),
        )
        connection.execute("UPDATE organizations SET revision = ? WHERE id = ?", (_EVENTS + 1, acme.id))
        assert world.breaches() == []
        owner.rpc("OrganizationService.DeleteOrganization", organization_id=acme.id)
        connection.execute("UPDATE organizations SET purge_time = 1 WHERE id = ?", (acme.id,))

        def left() -> int:
            ((count,),) = connection.execute("SELECT COUNT(*) FROM audit_events WHERE organization_id = ?", (acme.id,))
            return int(count)

        with shell.start("sweep") as running:
            eventually(lambda: left() < _EVENTS, "the purge has begun")
            running.popen.send_signal(signal.SIGKILL)
            assert running.popen.wait(20) == -signal.SIGKILL
        assert left() > 0
        assert shell.run("doctor").stdout == "All invariants hold.\n"
        done = shell.run("sweep")
        assert done.stdout == ("Removed: 1 organizations, 0 kept answers, 0 former secrets, 0 expired invitations.\n")
        assert left() == 0
    assert raw.values(world.deployment.database, "organizations", "id", id=acme.id) == []
    assert owner.rpc("OrganizationService.GetOrganization", organization_id=apex.id) == apex
    assert world.breaches() == []

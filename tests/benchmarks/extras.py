"""What is not a scenario: memory over very many calls, and several processes against one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from . import meters, running
from .measure import Figures, Generator, Pace, Subject, rounds
from .running import Running

_CHUNK = 10_000
_SETTLE = 3_000
_PATIENCE = 250.0  # seconds: less than a server lets a connection grow old
# Below what one process of SQLite's admits at once.
_FLYING = 24

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Growth:
    """Resident memory of a worker, of so many, before and after very many calls of all of them, in MiB; and its share of it:
    what workers have in common counts once for all of them together.
    """

    group: str
    workers: int
    calls: int
    before: float
    after: float
    share: float


def memory(generator: Generator, url: str, workers: int, calls: int, reads: Sequence[Subject], say: Say) -> Growth:
    """Fresh workers, settled by a few calls of each kind, and then very many."""
    group, postgres = reads[0].group, reads[0].target.postgres
    with running.tenantry(url, postgres=postgres, workers=workers, plain=True) as target:
        pids = meters.tree(target.pid)[-workers:]
        subjects = [_moved(subject, target) for subject in reads]
        for subject in subjects:
            subject.figures.busy.append(subject.measure(generator, _PATIENCE, calls=_SETTLE))
        before, done = meters.resident(pids), 0
        while done < calls:
            subject = subjects[done // _CHUNK % len(subjects)]
            run = subject.measure(generator, _PATIENCE, calls=min(_CHUNK, calls - done))
            if run.errors:
                raise RuntimeError(f"{subject.name}: {run.problem}")
            done += run.calls
            say(f"memory: {group}, {done:,} calls")
        sizes = (before, meters.resident(pids), meters.proportional(pids))
        return Growth(group, workers, done, *(size / workers / 2**20 for size in sizes))


@dataclass(frozen=True, slots=True)
class Processes:
    """One process and several, under the same load, and perhaps as many of a peer's."""

    engine: str
    workers: int
    one: Figures
    several: Figures
    peer: Figures | None


def processes(
    generator: Generator, url: str, workers: int, subject: Subject, peer: Subject | None, pace: Pace, say: Say
) -> Processes:
    """The product itself, `tenantry serve`, with one worker and with several, and the peer, in turn."""
    postgres = subject.target.postgres
    with ExitStack() as stack:
        pair = [
            _flying(
                _moved(subject, stack.enter_context(running.tenantry(url, postgres=postgres, workers=count, plain=True))),
                f"{subject.name}, {count} processes",
            )
            for count in (1, workers)
        ]
        peers = [_flying(peer, f"{peer.name}, {workers} processes")] if peer else []
        for other in (pair[1], *peers):
            other.floor = pair[0]
        for line in rounds(generator, [*pair, *peers], pace):
            say(line)
    return Processes(subject.group, workers, pair[0].figures, pair[1].figures, peers[0].figures if peers else None)


def _flying(subject: Subject, name: str) -> Subject:
    return replace(subject, name=name, in_flight=_FLYING, connections=_FLYING, alone=False)


def _moved(subject: Subject, target: Running) -> Subject:
    return replace(subject, target=target, figures=Figures(), floor=None)

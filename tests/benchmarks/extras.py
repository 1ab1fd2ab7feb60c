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
    """Resident memory of a worker before and after very many calls, in MiB."""

    engine: str
    calls: int
    before: float
    after: float


def memory(generator: Generator, engine: str, url: str, calls: int, reads: Sequence[Subject], say: Say) -> Growth:
    """A fresh server, settled by a few calls of each kind, and then very many."""
    postgres = reads[0].target.postgres
    with running.tenantry(url, postgres=postgres) as target:
        subjects = [_moved(subject, target) for subject in reads]
        for subject in subjects:
            subject.figures.busy.append(subject.measure(generator, _PATIENCE, calls=_SETTLE))
        before, done = meters.resident([target.pid]), 0
        while done < calls:
            subject = subjects[done // _CHUNK % len(subjects)]
            run = subject.measure(generator, _PATIENCE, calls=min(_CHUNK, calls - done))
            if run.errors:
                raise RuntimeError(f"{subject.name}: {run.problem}")
            done += run.calls
            say(f"memory: {engine}, {done:,} calls")
        return Growth(engine, done, before / 2**20, meters.resident([target.pid]) / 2**20)


@dataclass(frozen=True, slots=True)
class Processes:
    """One process and several, under the same load."""

    engine: str
    workers: int
    one: Figures
    several: Figures


def processes(generator: Generator, url: str, workers: int, subject: Subject, pace: Pace, say: Say) -> Processes:
    """The product itself, `tenantry serve`, with one worker and with several, in turn."""
    postgres = subject.target.postgres
    with ExitStack() as stack:
        pair = [
            replace(
                _moved(subject, stack.enter_context(running.tenantry(url, postgres=postgres, workers=count, plain=True))),
                name=f"{subject.name}, {count} processes",
                in_flight=_FLYING,
                connections=_FLYING,
                alone=False,
            )
            for count in (1, workers)
        ]
        pair[1].floor = pair[0]
        for line in rounds(generator, pair, pace):
            say(line)
    return Processes(subject.group, workers, pair[0].figures, pair[1].figures)


def _moved(subject: Subject, target: Running) -> Subject:
    return replace(subject, target=target, figures=Figures())

"""The report: Markdown, and a chart."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from . import meters
from .driver import Cost
from .extras import Growth, Processes
from .measure import Figures, Pace, Subject, server
from .plot import Bar, chart
from .scenarios import BY_NAME, FLOOR, READS

_METHOD = """\
- **CPU** is the headline: of the server's processes and of PostgreSQL's, from `/proc/<pid>/task/*/schedstat` in nanoseconds,
  in windows of 0.25 s. Where one figure is named, it is the 20th percentile of the windows.
- **Ratios** are to the empty call: a handler that does nothing, on the same server and its threads, through the same
  interceptors and with the same log line, asked by nobody in particular. It is measured anew in the second before each run
  of each call: a machine that others use is now fast and now slow. Reported is the median of the rounds. Call less than 1.25
  a tie. What grpc's own server takes for the same, without anything of ours, is told beside.
- **Load** is a closed loop from a process of its own: prebuilt HTTP/2 frames over 8 sockets, {reads:,} requests a read by
  random callers and organizations, changes that never repeat; 32 reads or 16 changes in flight, and 1 for latency "alone".
- **Rounds** are interleaved: each call once a round, {rounds} rounds of {seconds:g} s after {warm:g} s of warming up; latencies
  are medians over the rounds. A call counts when a message and `grpc-status: 0` came; one that fails makes the run fail.
- **Servers** are the product with its settings: full durability on both engines, a log line a call, which goes nowhere here,
  every call counted against a limit that it does not reach. Goals: reads without PostgreSQL's own share, changes with it.
"""


@dataclass
class Results:
    """All that a run measured."""

    pace: Pace
    subjects: list[Subject] = field(default_factory=list)
    drivers: dict[str, Cost] = field(default_factory=dict)
    memory: list[Growth] = field(default_factory=list)
    processes: list[Processes] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)  # a peer's name -> the name of the call it is compared with

    def figures(self, group: str, name: str) -> Figures | None:
        """What was measured of a call, if it was."""
        return next((s.figures for s in self.subjects if (s.group, s.name) == (group, name)), None)

    @property
    def floors(self) -> dict[str, Subject]:
        """The empty call of each group that has one."""
        return {subject.group: subject for subject in self.subjects if subject.name == FLOOR.name}

    def floor(self, subject: Subject) -> Subject:
        """The empty call that another is measured against: of its own group, or else of its engine, if it has one."""
        floors = self.floors
        return floors.get(subject.group) or floors.get(subject.engine) or next(iter(floors.values()))

    def problems(self) -> Iterator[str]:
        """What makes the run fail."""
        measured = [(f"{s.group}, {s.name}", s.figures) for s in self.subjects]
        for made in self.processes:
            measured += [(f"{made.engine}, 1 process", made.one), (f"{made.engine}, {made.workers} processes", made.several)]
            measured += [(f"{made.engine}: FastAPI, {made.workers} processes", made.peer)] if made.peer else []
        for name, figures in measured:
            errors = sum(run.errors for run in figures.runs)
            if errors:
                yield f"{name}: {errors} calls failed, the first with: {next(r.problem for r in figures.runs if r.problem)}"


def text(results: Results) -> str:
    """The report."""
    parts = ["# What a call costs\n", *_machine(results), "![Calls as multiples of the empty call](report.svg)\n"]
    parts += [f"**This run failed.** {problem}\n" for problem in results.problems()]
    parts.append("## Method\n")
    parts.append(
        _METHOD.format(reads=READS, rounds=results.pace.rounds, seconds=results.pace.seconds, warm=results.pace.warm_up)
    )
    parts += [_calls(results, group) for group in results.floors]
    parts += [*_pairs(results), *_references(results), *_processes(results), *_memory(results), *_noise(results)]
    return "\n".join(parts)


def _machine(results: Results) -> Iterator[str]:
    packages = ", ".join(f"{name} {version(name)}" for name in ("grpcio", "protobuf", "peewee", "psycopg", "protovalidate"))
    cores = f"{os.cpu_count()} cores ({meters.processor()}), {meters.memory() / 2**30:.0f} GiB"
    yield f"Python {platform.python_version()}, {packages}; Linux {platform.release().split('-')[0]};"
    yield f"{cores}, shared by server, database, load generator and whatever else ran.\n"
    empty = ", ".join(f"{floor.figures.cost:.0f} µs ({group})" for group, floor in results.floors.items())
    bare = next(s.figures.server for s in results.subjects if s.group == "bare")
    yield f"An empty call cost {empty}."
    yield f"All else is in multiples of it; on grpc's own server, without interceptors, it costs {bare:.2f}.\n"


def _calls(results: Results, group: str) -> str:
    lines = [
        f"\n## {group}\n",
        "| call | in flight | server, x | with PostgreSQL, x | goal | calls/s | p50, ms | p99, ms | alone p50 | p99 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for subject in results.subjects:
        if subject.group == group:
            f = subject.figures
            lines.append(
                f"| {subject.name} | {subject.in_flight} | {_range(f)} | {f.both:.2f} "
                f"| {_goal(subject) or ''} | {f.rate:.0f} | {f.p50:.1f} | {f.p99:.1f} | {f.alone_p50:.2f} | {f.alone_p99:.2f} |"
            )
    return "\n".join(lines)


def _range(figures: Figures) -> str:
    rounds = figures.ratios(server)
    return f"{figures.server:.2f} ({rounds[0]:.2f}–{rounds[-1]:.2f})"


def _goal(subject: Subject) -> float:
    scenario = BY_NAME.get(subject.name)
    return scenario.goal.get(subject.engine.lower(), 0.0) if scenario else 0.0


def _pairs(results: Results) -> Iterator[str]:
    yield "\n## Calls beside each other\n\n| call | beside | CPU, with PostgreSQL |\n|---|---|---:|"
    for subject in results.subjects:
        scenario = BY_NAME.get(subject.name)
        beside = scenario.beside if scenario else FLOOR.name
        other = results.figures(subject.group, beside)
        if other and beside != FLOOR.name:
            yield f"| {subject.group}: {subject.name} | {beside} | {subject.figures.both / other.both:.2f} |"
        small = results.figures(subject.engine, subject.name)
        if small and subject.kind == "large":
            yield f"| {subject.group}: {subject.name} | 1,000 organizations | {subject.figures.both / small.both:.2f} |"


def _references(results: Results) -> Iterator[str]:
    yield "\n## References\n"
    yield "| what | beside | CPU, x empty call | of it PostgreSQL | theirs / ours | calls/s | p50, ms | p99, ms |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    for engine, cost in results.drivers.items():
        floor = results.floors[engine].figures.cost
        both = (cost.client + cost.postgres) / floor
        yield f"| {engine}: the authorization statement, bare driver | | {both:.2f} | {cost.postgres / floor:.2f} | | | | |"
    for subject in results.subjects:
        ours, theirs = results.peers.get(subject.name, ""), subject.figures
        own = results.figures(subject.engine, ours)
        if own:
            yield (
                f"| {subject.engine}: {subject.name} | {ours} "
                f"| {theirs.both:.2f} | {theirs.both - theirs.server:.2f} | {theirs.both / own.both:.1f} "
                f"| {theirs.rate:.0f} | {theirs.p50:.1f} | {theirs.p99:.1f} |"
            )
    for name, reason in results.absent.items():
        yield f"| {name} | not measured: {reason} | | | | | | |"


def _processes(results: Results) -> Iterator[str]:
    if results.processes:
        yield "\n## Several processes\n\nGetOrganization, of the product itself; 24 calls in flight over 24 connections.\n"
        yield "| what | calls/s | against one process of ours | CPU a call, against that | theirs / ours |"
        yield "|---|---:|---:|---:|---:|"
    for made in results.processes:
        yield _several(f"{made.engine}: {made.workers} processes", made.several, made.one) + " |"
        if made.peer:
            beside = made.peer.both / made.several.both
            what = f"{made.engine}: FastAPI, SQLAlchemy ORM: {made.workers} processes"
            yield _several(what, made.peer, made.one) + f" {beside:.1f} |"


def _several(what: str, figures: Figures, one: Figures) -> str:
    return f"| {what} | {figures.rate:.0f} | {figures.rate / one.rate:.2f} | {figures.both:.2f} |"


def _memory(results: Results) -> Iterator[str]:
    if results.memory:
        yield "\n## Memory\n\nOf a worker, of so many. Its share: what workers have in common counts once for all of them.\n"
        yield "| data | workers | calls of all | resident before, MiB | after | growth | share, after |"
        yield "|---|---:|---:|---:|---:|---:|---:|"
    for made in results.memory:
        row = (made.group, made.workers, f"{made.calls:,}", f"{made.before:.1f}", f"{made.after:.1f}")
        yield "| " + " | ".join(map(str, row)) + f" | {made.after - made.before:+.1f} | {made.share:.1f} |"


def _noise(results: Results) -> Iterator[str]:
    runs = [run for subject in results.subjects for run in subject.figures.runs]
    foreign, loops = sorted(run.foreign for run in runs), sorted(run.loop for run in runs)
    stolen = sum(run.stolen for run in runs) / len(runs)
    yield "\n## Noise\n"
    yield f"Others used {_mid(foreign):.2f} cores in the median run and {foreign[-1]:.2f} in the worst; the hypervisor took"
    yield f"{stolen:.2f}. A turn of an empty loop took {loops[0]:.1f} to {loops[-1]:.1f} ns, {_mid(loops):.1f} in the median."
    yield "Where a call's rounds lie apart, so does what is said of it: in brackets the cheapest and the dearest round.\n"


def _mid(values: Sequence[float]) -> float:
    return values[len(values) // 2]


def drawing(results: Results) -> str:
    """The chart: every call on small data, and the peers."""
    bars = []
    for subject in results.subjects:
        if subject.group != "bare" and subject.kind != "large":
            own, all_of_it = subject.figures.server, subject.figures.both
            bars.append(Bar(f"{subject.engine}: {subject.name}", own, max(0.0, all_of_it - own), _goal(subject)))
    return chart("CPU of a call, in multiples of an empty call on the same server", bars)

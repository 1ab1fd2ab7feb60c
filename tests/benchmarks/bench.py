"""Measures what calls cost, and writes report.md and report.svg beside this file; see there for the method.

Informative: it asserts nothing about speed. It fails when a call fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from . import driver, extras, report
from .data import LARGE, SMALL, Size
from .measure import Pace, generating, rounds
from .stage import NAMES, PEERS, Stage

_CACHE = Path(tempfile.gettempdir()) / "tenantry-bench"
_CALLS, _MANY_CALLS = 100_000, 1_000_000
_READS = ("GetOrganization", "ListOrganizations", "GetMember")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short look: the calls alone, three rounds of half a second")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a run under load (default: 1)")
    parser.add_argument("--rounds", type=int, default=6, help="rounds, at least 3 (default: 6)")
    parser.add_argument("--engines", default="sqlite,postgresql", help="default: both")
    parser.add_argument("--large", action="store_true", help="also over 1,000,000 organizations, made once, in minutes")
    parser.add_argument("--workers", type=int, default=2, help="processes to compare with one; 0: none (default: 2)")
    parser.add_argument("--long", action="store_true", help=f"memory over {_MANY_CALLS:,} calls a worker instead of {_CALLS:,}")
    parser.add_argument("--no-peers", action="store_true", help="leave other products out")
    parser.add_argument("--cache", type=Path, default=_CACHE, help="folder for large data and for what Node needs")
    parser.add_argument("--output", type=Path, help="folder of the report (default: this file's; with --quick: none)")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error("fewer than three rounds mean nothing")
    if options.quick:
        options.rounds, options.seconds = 3, 0.5
    elif options.output is None:
        options.output = Path(__file__).parent
    options.engines = options.engines.split(",")
    for folder in (options.cache, options.output):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    return options


def measure(options: argparse.Namespace, stage: Stage) -> Iterator[report.Results]:
    """Measures all that was asked for; says what is measured so far whenever that makes a report."""
    pace = Pace(options.seconds, options.rounds, warm_up=min(1.5, options.seconds))
    results = report.Results(pace, absent=stage.absent)
    results.subjects = [stage.bare()]
    for size in _sizes(options):
        for engine in options.engines:
            results.subjects += stage.calls(engine, size)
    if not options.quick and not options.no_peers:
        results.peers = PEERS
        for engine in options.engines:
            results.subjects += stage.peers(engine)
    for subject in results.subjects:
        subject.floor = results.floor(subject)
    for line in rounds(stage.generator, results.subjects, pace):
        say(line)
    stage.end_servers()
    engines = () if options.quick else options.engines
    for engine in engines:
        _besides(options, stage, results, engine)
        stage.end_servers()
    yield results
    for engine in engines:
        for size in _sizes(options):
            results.memory.append(_memory(options, stage, results, engine, size))
            yield results


def _sizes(options: argparse.Namespace) -> tuple[Size, ...]:
    return (SMALL, LARGE) if options.large else (SMALL,)


def _besides(options: argparse.Namespace, stage: Stage, results: report.Results, engine: str) -> None:
    """What is not a call: the bare driver, and several processes."""
    url, name = stage.url(engine, SMALL), NAMES[engine]
    results.drivers[name] = driver.authorization(url, SMALL, stage.postmaster(engine))
    read = next(subject for subject in results.subjects if subject.group == name and subject.name == _READS[0])
    if options.workers > 1:
        peer = stage.fastapi_beside(engine, options.workers) if results.peers else None
        made = extras.processes(stage.generator, url, options.workers, read, peer, results.pace, say)
        results.processes.append(made)


def _memory(options: argparse.Namespace, stage: Stage, results: report.Results, engine: str, size: Size) -> extras.Growth:
    """What workers have grown to."""
    kind, workers = ("large" if size is LARGE else ""), max(1, options.workers)
    reads = [s for s in results.subjects if (s.engine, s.kind) == (NAMES[engine], kind) and s.name in _READS]
    calls = _MANY_CALLS if options.long and size is SMALL else _CALLS
    return extras.memory(stage.generator, stage.url(engine, size), workers, calls * workers, reads, say)


def say(line: str) -> None:
    """Says what goes on."""
    sys.stderr.write(f"{line}\n")


def main() -> None:
    """Measures, and writes the report. Exits with 1 when calls failed."""
    options = parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenantry-bench-")))
        generator = stack.enter_context(generating())
        for results in measure(options, Stage(stack, generator, folder, options.cache, options.large)):
            if options.output is not None:  # as soon as there is one: the rest may take long
                (options.output / "report.md").write_text(report.text(results))
                (options.output / "report.svg").write_text(report.drawing(results))
    sys.stdout.write(report.text(results))
    problems = list(results.problems())
    for problem in problems:
        say(f"FAILED: {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

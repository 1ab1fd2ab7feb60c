"""Runs .http files, as far as clients/http needs them.

@name = value            a variable
### Title                begins a request
# @name organization     lets later requests use its answer: {{organization.data.id}}
# @status 201            what it must be answered with
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .http import Answer, Http

FOLDER = Path(__file__).resolve().parents[2] / "clients" / "http"

_PLACE = re.compile(r"{{\s*([\w.]+)\s*}}")
_VARIABLE = re.compile(r"@(\w+)\s*=\s*(.*)")
_NOTE = re.compile(r"#\s*@(\w+)\s+(.*)")


@dataclass(frozen=True)
class Call:
    """A request as it stands in the file."""

    title: str
    line: int
    name: str
    status: int
    verb: str
    url: str
    headers: dict[str, str]
    body: str

    @property
    def shape(self) -> str:
        """Its path, with {} for every segment that a variable fills."""
        return _PLACE.sub("{}", self.url.removeprefix("{{host}}")).partition("?")[0]


@dataclass(frozen=True)
class HttpFile:
    """The variables and the requests of a file."""

    variables: dict[str, str]
    calls: tuple[Call, ...]


def read(name: str) -> HttpFile:
    """A file of clients/http."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    head, *_ = text.split("\n###", 1)
    variables = {match[1]: match[2].strip() for line in head.splitlines() if (match := _VARIABLE.fullmatch(line))}
    return HttpFile(variables, tuple(_calls(text)))


def _calls(text: str) -> Iterator[Call]:
    block: list[str] = []
    for number, line in enumerate([*text.splitlines(), "###"], 1):
        if not line.startswith("###"):
            block.append(line)
            continue
        if block and block[0].startswith("###"):
            yield _call(block, number - len(block))
        block = [line]


def _call(block: list[str], number: int) -> Call:
    notes = {match[1]: match[2] for line in block if (match := _NOTE.fullmatch(line))}
    lines = [line for line in block[1:] if not line.startswith("#")]
    head, _, body = "\n".join(lines).strip().partition("\n\n")
    first, *headers = head.splitlines()
    verb, url = first.split()
    return Call(
        title=block[0].lstrip("# "),
        line=number,
        name=notes.get("name", ""),
        status=int(notes["status"]),
        verb=verb,
        url=url,
        headers={name.strip(): value.strip() for name, _, value in (line.partition(":") for line in headers)},
        body=body.strip(),
    )


@dataclass
class Run:
    """A run of a file: what its variables stand for, and the answers so far."""

    variables: dict[str, str]
    answers: dict[str, Any] = field(default_factory=dict)

    def play(self, http: Http, call: Call) -> Answer:
        """Sends a request of the file, and keeps its answer when it has a name. Raises KeyError for an unknown variable."""
        parts = urlsplit(self.filled(call.url))
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {name: self.filled(value) for name, value in call.headers.items()}
        answer = http.send(call.verb, path, self.filled(call.body).encode() or None, headers)
        if call.name and answer.status == call.status:
            self.answers[call.name] = answer.body
        return answer

    def filled(self, text: str) -> str:
        """The text with every variable's value in its place."""
        return _PLACE.sub(lambda match: self._value(match[1]), text)

    def _value(self, path: str) -> str:
        if path in self.variables:
            return self.filled(self.variables[path])
        name, *fields = path.split(".")
        value = self.answers[name]
        for each in fields:
            value = value[each]
        return value if isinstance(value, str) else json.dumps(value)

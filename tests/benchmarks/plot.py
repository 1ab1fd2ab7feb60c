"""A bar chart as SVG, drawn by hand: one bar a row, in multiples of the empty call, and a mark where the goal is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 860, 300, 70, 22, 64
_COLOURS = {"server": "#3b6ea5", "postgres": "#a9c4de", "goal": "#c0392b", "text": "#24292f", "line": "#d0d7de"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A row: the server's part and PostgreSQL's, in multiples of the empty call; `goal` 0 is none."""

    label: str
    server: float
    postgres: float
    goal: float = 0.0


def chart(title: str, bars: Sequence[Bar]) -> str:
    """The chart."""
    longest = max(bar.server + bar.postgres for bar in bars)
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    height = _TOP + _ROW * len(bars) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="12" y="24" font-size="15" fill="{_COLOURS["text"]}">{escape(title)}</text>',
        _legend(),
    ]
    for number, bar in enumerate(bars):
        parts += _row(bar, _TOP + _ROW * number, scale)
    unit = _LEFT + scale
    parts.append(f'<path d="M{unit:.1f} {_TOP - 4}V{height - 12}" stroke="{_COLOURS["line"]}" stroke-dasharray="3 3"/>')
    return "\n".join((*parts, "</svg>\n"))


def _legend() -> str:
    entries = (("server", "server process"), ("postgres", "PostgreSQL"), ("goal", "goal"))
    boxes = (
        f'<rect x="{_LEFT + 130 * n}" y="36" width="{3 if kind == "goal" else 12}" height="12" fill="{_COLOURS[kind]}"/>'
        f'<text x="{_LEFT + 130 * n + 18}" y="46" fill="{_COLOURS["text"]}">{name}</text>'
        for n, (kind, name) in enumerate(entries)
    )
    return "".join(boxes)


def _row(bar: Bar, top: int, scale: float) -> list[str]:
    server, both = _LEFT + bar.server * scale, _LEFT + (bar.server + bar.postgres) * scale
    parts = [
        f'<text x="{_LEFT - 8}" y="{top + 13}" text-anchor="end" fill="{_COLOURS["text"]}">{escape(bar.label)}</text>',
        f'<rect x="{_LEFT}" y="{top + 2}" width="{server - _LEFT:.1f}" height="14" fill="{_COLOURS["server"]}"/>',
        f'<rect x="{server:.1f}" y="{top + 2}" width="{both - server:.1f}" height="14" fill="{_COLOURS["postgres"]}"/>',
        f'<text x="{both + 6:.1f}" y="{top + 13}" fill="{_COLOURS["text"]}">{bar.server + bar.postgres:.1f}</text>',
    ]
    if bar.goal:
        x = _LEFT + bar.goal * scale
        parts.append(f'<rect x="{x:.1f}" y="{top}" width="3" height="18" fill="{_COLOURS["goal"]}"/>')
    return parts

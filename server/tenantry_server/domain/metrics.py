"""The metrics of which organizations have quotas: what each limits, and where. The data is `metrics.yaml`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from .errors import InvalidRequest, Violation

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_MOST = 1_000_000_000

# What an organization's seats are counted as.
SEATS = "member"
GPU = "gpu"
# A limit by metric, as a quota states it.
Limits = Mapping[str, int]


class MetricsError(Exception):
    """The data contradicts itself; the server does not start."""


class MetricKind(StrEnum):
    """What the limit of a metric limits; see `metrics.yaml`."""

    USED = "used"
    COUNTED = "counted"
    CAP = "cap"
    SETTING = "setting"


class When(StrEnum):
    """Which resources of its type a cap is for, if not for all."""

    GPU = "gpu"
    NON_EPHEMERAL = "non-ephemeral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric; see `metrics.yaml` for what each field means."""

    name: str
    description: str
    unit: str = ""
    kind: MetricKind = MetricKind.USED
    regional: bool = False
    default: int | None = None
    initial: int | None = None
    caps: str = ""
    of: str = ""
    when: When | None = None
    fallback: str = ""


_KEYS = frozenset(field.name for field in fields(Metric)) - {"name"}
_FIGURES = frozenset({"default", "initial"})


class Metrics:
    """The metrics, the classes of resources and the types of GPUs, checked and indexed; all by name."""

    def __init__(self, *sources: Mapping[str, Any]) -> None:
        """Reads mappings of the shape of `metrics.yaml`; a later one adds metrics, classes and types, and gives other figures
        to metrics that stand already. Raises MetricsError.
        """
        found: dict[str, Metric] = {}
        for source in sources:
            for name, data in source.get("metrics", {}).items():
                found[name] = _given_anew(found[name], data) if name in found else _metric(name, data)
        self.all = dict(sorted(found.items()))
        self.classes: tuple[str, ...] = _names(sources, "classes", _NAME)
        self.gpu_types: tuple[str, ...] = _names(sources, "gpu_types", re.compile(r"\S{1,200}"))
        for metric in self.all.values():
            self._ensure_sound(metric)

    @property
    def default_class(self) -> str:
        """The class of resources where none is said."""
        return self.classes[0]

    def of(self, *kinds: MetricKind, regional: bool) -> list[Metric]:
        """The metrics of some kinds, or of all, that are regional or are not."""
        return [metric for metric in self.all.values() if metric.regional == regional and (not kinds or metric.kind in kinds)]

    def limit(self, name: str, own: Limits) -> int | None:
        """The limit of a metric of the organization as a whole; None when there is none. `own` is what its quotas say."""
        metric = self.all.get(name)
        return own.get(name, None if metric is None else metric.default)

    def regional_limit(self, name: str, there: Limits, own: Limits) -> int | None:
        """The limit of a regional metric; None when there is none. `there` is what the quota of the region says."""
        metric = self.all[name]
        if name in there:
            return there[name]
        return self.limit(metric.fallback, own) if metric.fallback else metric.default

    def initial(self) -> dict[str, int]:
        """The limits that a new quota in a region begins with."""
        of_region = self.of(regional=True)
        figures = ((metric.name, metric.default if metric.kind is MetricKind.USED else metric.initial) for metric in of_region)
        return {name: figure for name, figure in figures if figure is not None}

    def caps_of(self, capped: str, resource_type: str, *, regional: bool) -> list[Metric]:
        """The caps on how much of a metric one resource of a type may have."""
        caps = self.of(MetricKind.CAP, regional=regional)
        return [metric for metric in caps if (metric.caps, metric.of) == (capped, resource_type)]

    def changed(self, before: Limits, limits: Sequence[tuple[str, int]], cleared: Sequence[str], *, regional: bool) -> Limits:
        """The limits of a quota, some of them set and some cleared. Raises InvalidRequest naming each that cannot be."""
        named = [(f"limits[{index}].metric", name) for index, (name, _) in enumerate(limits)]
        named += [(f"cleared_metrics[{index}]", name) for index, name in enumerate(cleared)]
        known = {metric.name for metric in self.of(regional=regional)}
        if wrong := list(_wrong(named, known, "is not a metric with a limit here")):
            raise InvalidRequest(wrong)
        return dict(sorted({**{name: limit for name, limit in before.items() if name not in cleared}, **dict(limits)}.items()))

    def amounts(self, asked: Sequence[tuple[str, int]], *, in_region: bool, field: str) -> dict[str, int]:
        """What a resource uses, by metric; zeros are left out. Raises InvalidRequest naming each that cannot be."""
        named = [(f"{field}[{index}].metric", name) for index, (name, _) in enumerate(asked)]
        known = {metric.name for metric in self.of(MetricKind.USED, regional=False)}
        if in_region:
            known |= {metric.name for metric in self.of(MetricKind.USED, regional=True)}
        if wrong := list(_wrong(named, known, "is not a metric that can be used here")):
            raise InvalidRequest(wrong)
        return {name: amount for name, amount in sorted(asked) if amount}

    def resource_class(self, name: str, *, in_region: bool) -> str:
        """The class that is meant. Raises InvalidRequest."""
        if not in_region and not name:
            return ""
        if name and (name not in self.classes or not in_region):
            text = "is not a class of resources" if in_region else "is of no use without a region"
            raise InvalidRequest.of("resource_class", text, "RESOURCE_CLASS")
        return name or self.default_class

    def _ensure_sound(self, metric: Metric) -> None:
        capped, fallback = self.all.get(metric.caps), self.all.get(metric.fallback)
        is_of_use = capped is not None and capped.kind is MetricKind.USED and bool(metric.of)
        names_any = bool(metric.caps or metric.of or metric.when)
        if names_any != (metric.kind is MetricKind.CAP) or (names_any and not is_of_use):
            raise MetricsError(f"metric {metric.name!r}: a cap, and nothing else, names what it caps and of what")
        if metric.fallback and (fallback is None or fallback.regional or not metric.regional):
            raise MetricsError(f"metric {metric.name!r}: fallback must name a metric of the organization")
        if metric.regional and not self.classes:
            raise MetricsError(f"metric {metric.name!r} is regional, but there are no classes of resources")


def _metric(name: str, data: Mapping[str, Any]) -> Metric:
    if not _NAME.fullmatch(name) or not {"description"} <= set(data) <= _KEYS:
        raise MetricsError(f"metric {name!r} is misspelt, or has no description, or says what is not known")
    try:
        kind = MetricKind(data.get("kind", MetricKind.USED))
        when = When(data["when"]) if "when" in data else None
    except ValueError as error:
        raise MetricsError(f"metric {name!r}: {error}") from None
    _ensure_figures(name, data)
    return Metric(**{**data, "name": name, "kind": kind, "when": when})


def _given_anew(metric: Metric, data: Mapping[str, Any]) -> Metric:
    if not set(data) <= _FIGURES:
        raise MetricsError(f"metric {metric.name!r} stands already: only its default and its initial limit can be others")
    _ensure_figures(metric.name, data)
    return replace(metric, **data)


def _ensure_figures(name: str, data: Mapping[str, Any]) -> None:
    for figure in (data[key] for key in _FIGURES & set(data)):
        if figure is not None and (type(figure) is not int or not 0 <= figure <= _MOST):
            raise MetricsError(f"metric {name!r}: a limit is a whole number from 0 to {_MOST:,}")


def _names(sources: Sequence[Mapping[str, Any]], key: str, form: re.Pattern[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(str(name) for source in sources for name in source.get(key, ())))
    if wrong := [name for name in names if not form.fullmatch(name)]:
        raise MetricsError(f"{key}: {', '.join(wrong)} is misspelt")
    return names


def _wrong(named: Sequence[tuple[str, str]], known: set[str], text: str) -> Iterator[Violation]:
    seen: set[str] = set()
    for field, name in named:
        if name not in known:
            yield Violation(field, f"{name!r} {text}", "METRIC")
        elif name in seen:
            yield Violation(field, f"{name!r} is named twice", "METRIC")
        seen.add(name)

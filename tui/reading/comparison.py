"""Two versions beside each other: settings, script, samples whose outcome changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import InputError
from engine.workspace import Workspace
from tui.reading.samples import Outcome, flips, read_outcomes


@dataclass(frozen=True)
class Interval:
    """The verdict on `after` against `before`, where the engine has worked it out."""

    metric: str
    delta: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Comparison:
    before: str
    after: str
    #: setting -> value in each, only those that differ
    settings: tuple[tuple[str, str, str], ...] = ()
    diff: str = ""
    flips: tuple[tuple[Outcome, Outcome], ...] = ()
    interval: Interval | None = None
    problem: str = ""


def compare(workspace: Workspace, before: str, after: str) -> Comparison:
    """Imports the code that reads scripts: call it from a thread."""
    from engine.text import unified_diff

    sources = [_source(workspace, version) for version in (before, after)]
    problem = ""
    settings: tuple[tuple[str, str, str], ...] = ()
    try:
        settings = _settings(*sources)
    except InputError as error:
        problem = str(error)
    return Comparison(
        before,
        after,
        settings,
        unified_diff(sources[0], sources[1], workspace.script(after).name, workspace.script(before).name),
        flips(read_outcomes(workspace, before), read_outcomes(workspace, after)),
        _interval(workspace, before, after),
        problem,
    )


def _source(workspace: Workspace, version: str) -> str:
    try:
        return workspace.script(version).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _settings(before: str, after: str) -> tuple[tuple[str, str, str], ...]:
    from engine.script.settings import find_settings

    old = {s.name: s.value for s in find_settings(before)} if before else {}
    new = {s.name: s.value for s in find_settings(after)} if after else {}
    names = [name for name in {**old, **new} if name.casefold() != "version"]
    return tuple(
        (name, _value(old, name), _value(new, name)) for name in names if old.get(name, _NONE) != new.get(name, _NONE)
    )


_NONE = object()


def _value(settings: Mapping[str, object], name: str) -> str:
    return repr(settings[name]) if name in settings else "–"


def _interval(workspace: Workspace, before: str, after: str) -> Interval | None:
    from engine.history import read_insight

    insight = read_insight(workspace, after)
    if insight is None:
        return None
    for found in (insight.against_previous, insight.against_best, insight.against_base):
        if found is not None and found.against == before:
            return Interval(found.metric, found.delta, found.low, found.high, found.verdict)
    return None

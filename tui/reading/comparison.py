"""Two versions beside each other: settings, script, samples whose outcome changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    #: setting, and its value in each version; only those that differ
    settings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    diff: str = ""
    flips: tuple[tuple[Outcome, Outcome], ...] = ()
    interval: Interval | None = None
    problem: str = ""


def compare(workspace: Workspace, versions: Sequence[str]) -> Comparison:
    """Settings of all; script, samples and verdict of the first and the last.

    Imports the code that reads scripts: call it from a thread.
    """
    from engine.text import unified_diff

    before, after = versions[0], versions[-1]
    sources = [_source(workspace, version) for version in versions]
    problem = ""
    settings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    try:
        settings = _settings(sources)
    except InputError as error:
        problem = str(error)
    return Comparison(
        before,
        after,
        settings,
        unified_diff(sources[0], sources[-1], workspace.script(after).name, workspace.script(before).name),
        flips(read_outcomes(workspace, before), read_outcomes(workspace, after)),
        _interval(workspace, before, after),
        problem,
    )


def _source(workspace: Workspace, version: str) -> str:
    try:
        return workspace.script(version).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _settings(sources: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    from engine.script.settings import find_settings

    found = [{s.name: s.value for s in find_settings(source)} if source else {} for source in sources]
    names = dict.fromkeys(name for settings in found for name in settings if name.casefold() != "version")
    rows = [(name, tuple(_value(settings, name) for settings in found)) for name in names]
    return tuple((name, values) for name, values in rows if len(set(values)) > 1)


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

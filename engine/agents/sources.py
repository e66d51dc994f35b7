"""Snapshots of other MCP servers as evidence: what is asked, what lies there, and how far it may be believed.

A step uses only what lies there; `fetching` is what fetches, when the user says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from progtrain.advisor.interface import Fact
from progtrain.engine.clock import Clock
from progtrain.engine.errors import InputError
from progtrain.engine.files import object_in, sha256, try_read_json
from progtrain.engine.json_text import loaded
from progtrain.engine.metrics import finite
from progtrain.engine.schema import load
from progtrain.engine.text import shortened
from progtrain.engine.values import metric
from progtrain.engine.workspace import Folder, Workspace, inside

State = Literal["fresh", "stale", "refused", "never fetched"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_AGE = re.compile(r"(\d+(?:\.\d+)?)(m|h|d)")
_HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0}
#: times the age that is allowed, after which a snapshot counts no more
_REFUSED_AFTER = 3
#: facts of one source, and how long the texts among them may be
_MOST_FACTS = 20
_MOST_TEXT = 60
#: how deep a result is looked into, and how many values are looked at
_DEEPEST = 6
#: the last that a briefing keeps when it must be shortened are those of lower numbers
_IMPORTANCE = 9


class SourceFolder(Folder):
    """`Models/evidence/mcp/{name}/`."""

    source = inside("path", "source.json")
    snapshot = inside("path", "snapshot.json")
    #: how the last fetch went: it may have failed and left the snapshot as it was
    last_fetch = inside("path", "last_fetch.json")
    #: earlier snapshots, by the time at which they were fetched
    history = inside("path", "history")


class Call(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Source(BaseModel):
    """`source.json`: a server, and all that it may be asked."""

    model_config = ConfigDict(extra="forbid")

    command: list[str] = Field(min_length=1)
    #: no other tool is ever called
    tools: list[Call] = Field(min_length=1)
    #: of those, the ones that are called although the server does not mark them as read-only
    trusted: list[str] = Field(default_factory=list)
    #: names of variables that the server gets besides HOME, PATH and the like
    env: list[str] = Field(default_factory=list)
    max_age_hours: float = Field(gt=0)


class Standing(NamedTuple):
    """How far a source may be believed at a moment."""

    name: str
    state: State
    #: of the snapshot; None where there is none
    age_hours: float | None = None
    #: of `snapshot.json`
    sha256: str | None = None
    #: why it is not fresh
    reason: str = ""


def folder_of(ws: Workspace, name: str) -> SourceFolder:
    """Raises `InputError` where the name could not be one of a folder."""
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise InputError(
            f"{shortened(name, 50)!r} is no name for a source",
            fix="small letters and digits, with - between: eval-board",
        )
    return SourceFolder(ws.mcp_evidence / name)


def names(ws: Workspace) -> list[str]:
    return sorted(path.parent.name for path in ws.mcp_evidence.glob("*/source.json"))


def read(ws: Workspace, name: str) -> Source:
    """Raises `InputError` where there is no such source, or its file is wrong."""
    folder = folder_of(ws, name)
    if not folder.source.is_file():
        there = ", ".join(names(ws)) or "none yet: progtrain evidence add"
        raise InputError(f"there is no source {name!r}", file=folder.path, fix=f"sources are: {there}")
    return load(folder.source, Source)


def hours(text: str) -> float:
    """`24h`, `90m`, `7d`. Raises `InputError`."""
    match = _AGE.fullmatch(text)
    if match is None or not float(match[1]):
        raise InputError(f"{text!r} is no age", place="--max-age", fix="write 90m, 24h or 7d")
    return float(match[1]) * _HOURS[match[2]]


def standing(ws: Workspace, name: str, at: datetime) -> Standing:
    """Never raises for what lies there: what cannot be read is not used, and says why."""
    folder = SourceFolder(ws.mcp_evidence / name)
    last = object_in(folder.last_fetch)
    failed = "" if last.get("ok", True) else shortened(str(last.get("reason") or "the last fetch failed"), 300)
    fetched = _fetched_at(try_read_json(folder.snapshot))
    if fetched is None:
        there = "its snapshot cannot be read" if folder.snapshot.exists() else "nothing was fetched yet"
        return Standing(name, "refused" if folder.snapshot.exists() else "never fetched", reason=failed or there)
    try:
        limit = load(folder.source, Source).max_age_hours
    except InputError as error:
        return Standing(name, "refused", reason=error.located)
    age = (at - fetched).total_seconds() / 3600
    held = Standing(name, "fresh", round(age, 2), sha256(folder.snapshot))
    if age < -1 / 12:
        return held._replace(state="refused", reason="it was fetched at a time that is yet to come: see the clock")
    if last.get("tools_changed"):
        return held._replace(state="refused", reason=failed)
    if age > _REFUSED_AFTER * limit:
        told = f"older than {_REFUSED_AFTER} times {age_text(limit)}"
        return held._replace(state="refused", reason="; ".join(filter(None, (told, failed))))
    if age > limit or failed:
        told = f"older than {age_text(limit)}" if age > limit else ""
        return held._replace(state="stale", reason="; ".join(filter(None, (told, failed))))
    return held._replace(reason=_without_answer(try_read_json(folder.snapshot)))


def standings(ws: Workspace, at: datetime) -> list[Standing]:
    return [standing(ws, name, at) for name in names(ws)]


def for_insight(ws: Workspace, at: datetime) -> tuple[tuple[Fact, ...], tuple[dict[str, Any], ...]]:
    """The facts of what may be used, each marked with its age where it is stale; and how all sources stood."""
    found = standings(ws, at)
    kept = ("name", "state", "age_hours", "sha256")
    told = tuple({key: getattr(one, key) for key in kept} for one in found)
    return tuple(fact for one in found for fact in facts_of(ws, one)), told


def facts_of(ws: Workspace, one: Standing) -> Iterator[Fact]:
    """Numbers and short texts of a snapshot. They are what a stranger says: cleaned, with no word of what to do."""
    if one.state not in ("fresh", "stale"):
        return
    path = SourceFolder(ws.mcp_evidence / one.name).snapshot
    age = f"fetched {age_text(one.age_hours)} ago"
    age = f"{age}, stale" if one.state == "stale" else age
    calls = object_in(path).get("calls", [])
    values = [
        (number, call, place, value)
        for number, call in enumerate(calls if isinstance(calls, list) else [], 1)
        if isinstance(call, dict) and not call.get("is_error")
        for place, value in _values(call.get("result"))
    ]
    for count, (number, call, place, value) in enumerate(values[:_MOST_FACTS], 1):
        tool, where = shortened(str(call.get("tool")), 30), shortened(place, 40)
        yield Fact(
            key=f"evidence_{one.name.replace('-', '_')}_{count}",
            display=f'"{value}"' if isinstance(value, str) else _number_text(value),
            value=value,
            meaning=f"{where or 'the answer'} of {tool}, told by {one.name} ({age})",
            importance=_IMPORTANCE,
            source=f"{ws.relative(path)}, call {number}" + (f", {where}" if where else ""),
        )


def evidence(ws: Workspace, *, clock: Clock) -> dict[str, Any]:
    """What other MCP servers said, kept as evidence: how fresh each source is, and the facts taken from it."""
    return {
        "source": "Models/evidence/mcp/*/snapshot.json",
        "sources": [
            {**one._asdict(), "facts": [fact.model_dump(mode="json") for fact in facts_of(ws, one)]}
            for one in standings(ws, clock())
        ],
    }


def _without_answer(snapshot: Any) -> str:
    """The tools that were named and did not answer, each with what there is instead; empty where all did."""
    calls = snapshot.get("calls") if isinstance(snapshot, dict) else None
    failed = [one for one in calls or () if isinstance(one, dict) and one.get("is_error")]
    told = (f"{shortened(str(one.get('tool')), 40)}: {shortened(_said(one.get('result')), 120)}" for one in failed)
    return shortened("; ".join(told), 300)


def _said(result: Any) -> str:
    if isinstance(result, str):
        return result
    return next((text for _, text in _values(result) if isinstance(text, str)), "it answered with an error")


def _fetched_at(snapshot: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(snapshot["fetched_at"])
    except (TypeError, KeyError, ValueError):
        return None
    return found if found.tzinfo else None


def _values(result: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, float | int | str]]:
    """Where -> number or short text, as deep as a person would read."""
    if isinstance(result, dict):
        if result.get("type") == "text" and isinstance(result.get("text"), str):
            yield from _values(_parsed(result["text"]), place, depth)
        elif depth < _DEEPEST:
            for key, inner in list(result.items())[:200]:
                yield from _values(inner, f"{place}.{key}" if place else str(key), depth + 1)
    elif isinstance(result, list) and depth < _DEEPEST:
        for index, inner in enumerate(result[:200]):
            yield from _values(inner, f"{place}[{index}]" if place or len(result) > 1 else "", depth + 1)
    elif isinstance(result, str):
        text = shortened(result, _MOST_TEXT + 1).replace("@", "(at)").replace('"', "'")
        if 0 < len(text) <= _MOST_TEXT:
            yield place, text
    elif isinstance(result, int | float) and not isinstance(result, bool) and finite(result) is not None:
        yield place, result


def _parsed(text: str) -> Any:
    """Servers often answer with JSON as text."""
    try:
        return loaded(text)
    except ValueError:
        return text


def _number_text(value: float) -> str:
    return str(value) if isinstance(value, int) else metric(value)


def age_text(age: float | None) -> str:
    """Hours as a person says them; empty for None."""
    if age is None:
        return ""
    if age < 1:
        return f"{max(0.0, age) * 60:.0f} min"
    return f"{age:.0f} h" if age < 48 else f"{age / 24:.0f} days"

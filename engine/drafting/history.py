"""The versions so far, as the analysis sees them: built from files alone."""

from __future__ import annotations

from typing import Any

from progtrain.engine import comparable, metrics
from progtrain.engine.analysis.types import Insight, VersionRecord
from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader, try_read_json
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.script import version_files
from progtrain.engine.script.header import read_header
from progtrain.engine.workspace import Workspace, version_number


def records(ws: Workspace, rules: Rules, *, until: str | None = None) -> list[VersionRecord]:
    """Every version that has a script and a valid score, in order, up to `until` (included)."""
    made = authored(ws)
    last = version_number(until) if until else None
    versions = [version for version in ws.versions() if last is None or (version_number(version) or 0) <= last]
    not_compared = comparable.standing(ws, versions)
    found = []
    for version in versions:
        try:
            score = load(ws.version(version).eval_score, EvalScore)
            source = version_files.text_of(ws, version)
        except InputError:
            continue
        insight = read_insight(ws, version)
        why_not = not_compared.get(version, "")
        how = made.get(version, {})
        header = read_header(source)
        found.append(
            VersionRecord(
                version=version,
                source=source,
                metrics={m.name: metrics.finite(m.value) for m in score.metrics},
                primary=primary_value(score, rules.primary_metric),
                base=how.get("base") or header.get("base"),
                operation=how.get("operation"),
                action_text=how.get("action") or header.get("action", ""),
                verdict_previous=insight.against_previous.verdict if insight and insight.against_previous else None,
                verdict_base=insight.against_base.verdict if insight and insight.against_base else None,
                latency_ms=score.latency_ms,
                comparable=not why_not,
                why_not=why_not,
            )
        )
    return found


def authored(ws: Workspace) -> dict[str, dict[str, Any]]:
    """How each version was made, from the journal: base, action, operation."""
    return {e["version"]: e for e in LineReader(ws.journal).read() if e.get("event") == "version_authored"}


def primary_value(score: EvalScore, name: str) -> float | None:
    found = score.metric(name)
    return metrics.finite(found.value) if found else None


def read_insight(ws: Workspace, version: str) -> Insight | None:
    """None where there is none, or where it was written by an older progtrain."""
    data = try_read_json(ws.insight(version))
    try:
        return None if data is None else Insight.model_validate(data)
    except ValueError:
        return None

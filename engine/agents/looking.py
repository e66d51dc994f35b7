"""What an agent may read of a workspace: plain values, each with the file that it comes from.

No path comes from outside: a version is looked up among those that are there. Everything that leaves is made harmless
(`harmless`), for it holds text of scripts, data and other people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.analysis.types import Insight
from progtrain.engine.control import decisions
from progtrain.engine.drafting import history
from progtrain.engine.drafting.preview import Check, preview
from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader, read_text, sha256_text
from progtrain.engine.rules import rules as rules_module
from progtrain.engine.schema import Review
from progtrain.engine.script import version_files
from progtrain.engine.script.header import read_header
from progtrain.engine.status.outcomes import read_outcomes
from progtrain.engine.status.rows import read_external
from progtrain.engine.status.snapshot import VersionView
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.text import clean_text, shortened
from progtrain.engine.workspace import Workspace, version_number

#: rows and events that one answer holds at most
MOST_SAMPLES = 200
_MOST_EVENTS = 200
#: characters of one text, and of one cell of a table
_MOST_TEXT = 100_000
_MOST_CELL = 500


def harmless(value: Any) -> Any:
    """The same without control characters, endless texts, and numbers that JSON does not know (they become null)."""
    if isinstance(value, str):
        text = clean_text(value[:_MOST_TEXT])
        return text if len(value) <= _MOST_TEXT else f"{text}… (cut: {len(value):,} characters)"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {harmless(str(key)): harmless(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [harmless(inner) for inner in value]
    return value if isinstance(value, int | None) else str(value)


def status(ws: Workspace) -> dict[str, Any]:
    """Where the loop stands: its status and step, the versions with their scores, and the question that is open."""
    seen = WorkspaceView(ws.root, once=True).snapshot()
    review = seen.review
    return {
        "source": [ws.relative(ws.journal), "Models/Artifacts/*/eval_score.json"],
        "status": seen.status,
        "reason": seen.reason,
        "fix": seen.fix,
        "running": seen.running,
        "version": seen.version,
        "step": seen.step,
        "max_versions": seen.max_versions,
        "primary_metric": seen.primary_metric,
        "higher_is_better": seen.higher_is_better,
        "versions": [_row(ws, row) for row in seen.versions],
        "question": review.question if review and not decisions.answer_to(ws, review.question) else None,
        "warnings": seen.warnings,
        "report": ws.relative(seen.report) if seen.report else None,
    }


def leaderboard(ws: Workspace) -> dict[str, Any]:
    """Versions and models from elsewhere, ranked by the primary metric, with what each action brought."""
    seen = WorkspaceView(ws.root, once=True).snapshot()
    rows = [*seen.versions, *read_external(ws, seen.primary_metric)]
    return {
        "source": ["Models/Artifacts/*/eval_score.json", "Models/external/*/eval_score.json"],
        "primary_metric": seen.primary_metric,
        "higher_is_better": seen.higher_is_better,
        "rows": [_row(ws, row) for row in _ranked(rows, seen.higher_is_better)],
    }


def _ranked(rows: Sequence[VersionView], higher_is_better: bool) -> list[VersionView]:
    found = metrics.ranked(rows, lambda row: None if row.not_ranked else row.value, higher_is_better)
    return sorted(found, key=lambda row: bool(row.not_ranked))


def _row(ws: Workspace, row: VersionView) -> dict[str, Any]:
    names = [
        "version",
        "state",
        "value",
        "metrics",
        "delta_previous",
        "verdict_previous",
        "action",
        "base",
        "is_best",
        "not_ranked",
    ]
    return {**{name: getattr(row, name) for name in names}, "warnings": row.warnings}


def facts(ws: Workspace, version: str) -> dict[str, Any]:
    """What was measured on a version: facts with their sources, diagnoses, verdicts, and what was tried so far."""
    found = _insight(ws, version)
    names = (
        "facts",
        "findings",
        "metrics",
        "against_previous",
        "against_best",
        "against_base",
        "trade_offs",
        "added_rows",
        "slices",
    )
    return {
        "source": ws.relative(ws.insight(version)),
        "version": version,
        **found.model_dump(mode="json", include={*names, "tried", "beside", "undecided", "warnings", "evidence"}),
    }


def candidates(ws: Workspace, version: str) -> dict[str, Any]:
    """The actions on offer for a version, ranked, with what speaks for and against each."""
    shown = {"id", "change", "risk", "why", "reasons", "evidence", "score", "rank", "base", "operation"}
    return {
        "source": ws.relative(ws.insight(version)),
        "version": version,
        "candidates": [one.model_dump(mode="json", include=shown) for one in _insight(ws, version).candidates],
        "not_offered": _insight(ws, version).not_offered,
    }


def samples(ws: Workspace, version: str, wrong_only: bool = True, limit: int = 20) -> dict[str, Any]:
    """Outcome of the validation samples of a version, wrong ones first, then by loss; at most 200."""
    rows = read_outcomes(ws, known_version(ws, version), wrong=wrong_only)
    count = max(0, min(limit, MOST_SAMPLES))
    return {
        "source": ws.relative(ws.version(version).per_sample),
        "version": version,
        "total": len(rows),
        "rows": [
            {str(key): shortened(str(value), _MOST_CELL) for key, value in row.items() if key is not None}
            for row in rows[:count]
        ],
    }


def journal(ws: Workspace, last: int = 40) -> dict[str, Any]:
    """What happened when, the newest last; at most 200 events."""
    events = LineReader(ws.journal).read()
    count = max(0, min(last, _MOST_EVENTS))
    return {"source": ws.relative(ws.journal), "total": len(events), "events": events[len(events) - count :]}


def diff(ws: Workspace, new: str, old: str = "") -> dict[str, Any]:
    """What changed in the scripts from version `old` to `new`; by default from the one that `new` was made from."""
    newer = known_version(ws, new)
    older = old or read_header(read_text(ws.script(newer))).get("base", "baseline")
    script = ws.baseline_script if older == "baseline" else ws.script(known_version(ws, older))
    if not script.is_file():
        raise InputError("there is no such script", file=script, fix="ask for the versions: status")
    return {
        "source": [ws.relative(script), ws.relative(ws.script(newer))],
        "old": older,
        "new": newer,
        "diff": version_files.diff(ws, older, newer),
    }


def rules(ws: Workspace) -> dict[str, Any]:
    """What the user allows: locked settings, what the instruction enforces, and what the loop is after."""
    found = rules_module.load(ws)
    files = [path for path in (ws.rules, ws.instruction) if path.is_file()]
    return {
        "source": [ws.relative(path) for path in files],
        "primary_metric": found.primary_metric,
        "max_versions": found.max_versions,
        "branch_from": found.branch_from,
        "code_edits": found.allow_code_edits,
        "locks": dict(found.locks_shown()),
        "instruction": [line.text for line in found.instruction.lines],
        "not_enforced": list(found.instruction.not_enforced),
        "notes": found.notes(),
        "warnings": found.warnings,
    }


def review(ws: Workspace) -> dict[str, Any]:
    """The open question: both drafted documents, the candidates, and what accepting would write (`shown` names it)."""
    asked = open_question(ws)
    drafts, now = ws.drafts(asked.version), as_it_is_now(ws, asked)
    return {
        "source": ws.relative(drafts.review),
        **asked.model_dump(mode="json"),
        **({"diff": now.diff, "target": now.target, "problems": now.problems, "checks": now.checks} if now else {}),
        "shown": sha256_text(now.diff) if now else None,
        "documents": {path.name: read_text(path) for path in (drafts.analysis, drafts.action) if path.is_file()},
    }


def as_it_is_now(ws: Workspace, asked: Review) -> Check | None:
    """What accepting would do under the rules of this moment; None where nothing is drafted."""
    path = ws.drafts(asked.version).action
    return preview(ws, asked.version, read_text(path), None) if asked.kind == "review" and path.is_file() else None


def open_question(ws: Workspace) -> Review:
    """Raises `InputError` where nothing is asked, or where it is answered and the loop has not gone on yet."""
    seen = WorkspaceView(ws.root, once=True).snapshot()
    asked = seen.review
    if asked is None:
        told = (seen.reason, seen.fix) if seen.status == "waiting" and seen.fix else ("nothing is asked at present", "")
        raise InputError(told[0], fix=told[1] or "status says where the loop stands")
    if (given := decisions.answer_to(ws, asked.question)) is not None:
        reason = f"the question {asked.question} is answered already ({given.answer}, by {given.by})"
        raise InputError(reason, fix="the user starts the loop again, which takes the answer up: progtrain run")
    return asked


def known_version(ws: Workspace, version: str) -> str:
    """Raises `InputError` where there is none of that name; nothing else than a name is ever looked up."""
    known = ws.versions()
    if version_number(version[:20]) is None or version not in known:
        there = ", ".join(known) or "none yet"
        raise InputError(f"there is no version {shortened(version[:100], 40)!r}", fix=f"versions are: {there}")
    return version


def _insight(ws: Workspace, version: str) -> Insight:
    found = history.read_insight(ws, known_version(ws, version))
    if found is None:
        raise InputError(f"{version} has not been analyzed yet", fix="status says where the loop stands")
    return found

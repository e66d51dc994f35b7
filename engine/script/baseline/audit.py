"""The baseline audit: what keeps a training script from being copied version by version, and the fix for it.

The audit works out the fixed texts as it goes, each check on what the one before has left; nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from progtrain.engine.errors import InputError
from progtrain.engine.script.baseline.checks import apply_settings, guard, shared_modules
from progtrain.engine.script.baseline.constants import dataset_and_version
from progtrain.engine.script.baseline.desk import Desk, Finding
from progtrain.engine.script.baseline.results import follow_version, monitored_rightly
from progtrain.engine.workspace import Workspace


def audit(
    ws: Workspace,
    *,
    dataset_id: str,
    settings: dict[str, Any],
    locked: frozenset[str] = frozenset(),
) -> Desk:
    """Checks the workspace's baseline and every module of the user's own that it imports.

    `settings` is `training_config` of the rules; `locked` names settings that the instruction fixes besides. Raises
    `InputError` where there is no baseline, or a file that is no Python.
    """
    script = ws.baseline_script
    if not script.is_file():
        raise InputError("there is no baseline script", file=script, fix="put your training script there")
    desk = Desk(ws, script, dataset_id)
    guard(desk)
    dataset_and_version(desk)
    follow_version(desk)
    monitored_rightly(desk)
    apply_settings(desk, settings, locked)
    shared_modules(desk)
    return desk


def patch_report(found: Desk, diff: str) -> str:
    """`baseline_patch_report.md`: issues_found, patch_summary, files_changed, compatibility_notes and the diff."""
    # a fence longer than any in the diff
    fence = "`" * max(3, *(len(run) + 1 for run in ["", "", *re.findall("`+", diff)]))
    return "\n".join(
        [
            "# Baseline patch report\n",
            _section("issues_found", map(_issue, found.findings)),
            _section("patch_summary", found.summary),
            _section("files_changed", map(found.name, found.changed)),
            _section("compatibility_notes", found.notes),
            "## diff\n",
            f"{fence}diff\n{diff.rstrip()}\n{fence}\n" if diff.strip() else "none\n",
        ]
    )


def _section(name: str, lines: Iterable[str]) -> str:
    return f"## {name}\n\n" + ("\n".join(f"- {' '.join(line.split())}" for line in lines) or "none") + "\n"


def _issue(finding: Finding) -> str:
    where = finding.file if finding.line is None else f"{finding.file}, line {finding.line}"
    return f"{'error: ' if finding.error else ''}{where}: {finding.problem}"

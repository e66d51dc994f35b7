"""The baseline audit: what keeps a training script from being copied version by version, and the fix for it.

The audit works out the fixed texts as it goes, each check on what the one before has left; nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from progtrain.engine.errors import InputError
from progtrain.engine.script.baseline.checks import apply_settings, before, evaluation
from progtrain.engine.script.baseline.constants import dataset_and_version
from progtrain.engine.script.baseline.datapaths import follow
from progtrain.engine.script.baseline.desk import Desk, Finding
from progtrain.engine.script.baseline.outputs import check_outputs
from progtrain.engine.script.baseline.wiring import wire
from progtrain.engine.workspace import Workspace

__all__ = ["Audit", "Finding", "audit"]


@dataclass(frozen=True)
class Audit:
    #: what was found, errors first: those cannot be fixed here
    findings: tuple[Finding, ...]
    #: files as they are, as far as they were looked at
    sources: dict[Path, str] = field(repr=False)
    #: new texts of the files that a fix changes
    fixed: dict[Path, str] = field(repr=False)
    #: a line for each change
    summary: tuple[str, ...]
    #: what a user should know besides
    notes: tuple[str, ...]
    root: Path

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.error)


def audit(
    ws: Workspace,
    *,
    dataset_id: str,
    settings: dict[str, Any],
    baseline: Path | None = None,
    locked: frozenset[str] = frozenset(),
) -> Audit:
    """Checks `baseline` (default: the workspace's) and every module of the user's own that it imports.

    `settings` is `training_config` of the rules; `locked` names settings that the instruction fixes besides. Raises
    `InputError` where there is no baseline, or a file that is no Python.
    """
    script = baseline or ws.baseline_script
    if not script.is_file():
        raise InputError("there is no baseline script", file=script, fix="put your training script there")
    desk = Desk(ws, script, dataset_id)
    before(desk)
    dataset_and_version(desk)
    follow(desk)
    wire(desk)
    check_outputs(desk)
    apply_settings(desk, settings, locked)
    evaluation(desk)
    findings = sorted(desk.placed_findings(), key=lambda finding: not finding.error)
    return Audit(tuple(findings), desk.originals, desk.changed(), tuple(desk.summary), tuple(desk.notes), ws.root)

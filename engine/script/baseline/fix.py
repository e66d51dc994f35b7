"""The audit's fix as texts, and `baseline_patch_report.md`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from progtrain.engine.script.baseline.audit import Audit, Finding
from progtrain.engine.text import unified_diff

__all__ = ["Fixed", "fix", "patch_report", "unified_diff"]


@dataclass(frozen=True)
class Fixed:
    #: new texts of the files that change
    files: dict[Path, str] = field(repr=False)
    #: a line for each change
    summary: tuple[str, ...]
    #: what a user should know besides
    notes: tuple[str, ...]


def fix(audit: Audit) -> Fixed:
    """What the files would be. After it a copy of the script needs only its VERSION changed."""
    return Fixed(dict(audit.fixed), audit.summary, audit.notes)


def patch_report(audit: Audit, fixed: Fixed, diff: str) -> str:
    """`baseline_patch_report.md`: issues_found, patch_summary, files_changed, compatibility_notes and the diff."""
    files = [path.relative_to(audit.root).as_posix() for path in fixed.files]
    # a fence longer than any in the diff
    fence = "`" * max(3, *(len(run) + 1 for run in _runs_of_backticks(diff)))
    return "\n".join(
        [
            "# Baseline patch report\n",
            _section("issues_found", (_issue(finding) for finding in audit.findings)),
            _section("patch_summary", fixed.summary),
            _section("files_changed", files),
            _section("compatibility_notes", fixed.notes),
            "## diff\n",
            f"{fence}diff\n{diff.rstrip()}\n{fence}\n" if diff.strip() else "none\n",
        ]
    )


def _section(name: str, lines: Iterable[str]) -> str:
    return f"## {name}\n\n" + ("\n".join(f"- {' '.join(line.split())}" for line in lines) or "none") + "\n"


def _issue(finding: Finding) -> str:
    where = finding.file if finding.line is None else f"{finding.file}, line {finding.line}"
    return f"{'error: ' if finding.error else ''}{where}: {finding.problem}"


def _runs_of_backticks(text: str) -> list[str]:
    return ["", "", *(run for run in "".join(c if c == "`" else " " for c in text).split())]

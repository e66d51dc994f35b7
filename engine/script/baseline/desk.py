"""The audit under way and what it came to: the texts as they are being fixed, and what was found."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from progtrain.engine.script.baseline.modules import Module, load_modules
from progtrain.engine.script.editor import Edit
from progtrain.engine.workspace import Workspace


@dataclass(frozen=True)
class Finding:
    id: str
    #: relative to the workspace
    file: str
    line: int | None
    problem: str
    #: what is done about it, or what the user should do
    fix: str | None
    #: it cannot be fixed here, and the loop cannot begin with it
    error: bool = False


class Desk:
    def __init__(self, ws: Workspace, script: Path, dataset_id: str) -> None:
        self.ws = ws
        self.script = script
        self.dataset_id = dataset_id
        self.texts: dict[Path, str] = {}
        self._found: list[Finding] = []
        #: a line for each change
        self.summary: list[str] = []
        #: what a user should know besides
        self.notes: list[str] = []
        self._load()
        #: files as they are, as far as they were looked at
        self.sources = {module.path: module.text for module in self.modules}

    def _load(self) -> None:
        self.modules = load_modules(self.script, self.texts)

    @property
    def main(self) -> Module:
        return self.modules[0]

    def apply(self, module: Module, edits: Sequence[Edit]) -> None:
        """The modules are read anew afterwards: nodes held from before no longer count."""
        if edits:
            self.put(module.path, module.source.apply(edits))

    def put(self, path: Path, text: str) -> None:
        self.texts[path] = text
        self._load()

    # what was found

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Errors first: those cannot be fixed here."""
        return tuple(sorted(self._found, key=lambda finding: not finding.error))

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self._found if finding.error)

    @property
    def changed(self) -> dict[Path, str]:
        """New texts of the files that a fix changes. After it a copy of the script needs only its VERSION changed."""
        return {path: text for path, text in self.texts.items() if text != self.sources[path]}

    def problem(self, id: str, module: Module, line: int | None, problem: str, fix: str) -> None:
        """Something that is not fixed here, and must be."""
        self._add(id, module.path, line, problem, fix, error=True)

    def advise(self, id: str, module: Module, line: int | None, problem: str, fix: str) -> None:
        """Something that the user should know, and the loop can live with."""
        self._add(id, module.path, line, problem, fix)

    def fixed(self, id: str, module: Module, line: int | None, problem: str, fix: str) -> None:
        self.summary.append(f"{self.name(module.path)}: {fix}")
        self._add(id, module.path, line, problem, fix)

    def rules_problem(self, line: int | None, problem: str, fix: str) -> None:
        self._add("rules", self.ws.rules, line, problem, fix, error=True)

    def _add(self, id: str, path: Path, line: int | None, problem: str, fix: str, error: bool = False) -> None:
        place = None if line is None else self._original_line(path, line)
        finding = Finding(id, self.name(path), place, problem, fix, error)
        if finding not in self._found:
            self._found.append(finding)

    def name(self, path: Path) -> str:
        return self.ws.relative(path)

    def _original_line(self, path: Path, line: int) -> int:
        """Where a line of the text as it is now stands in the user's file."""
        if path not in self.texts:
            return line
        old, new = self.sources[path].split("\n"), self.texts[path].split("\n")
        for tag, old_start, old_end, start, end in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
            if start < line <= end:
                return min(old_start + line - start, max(old_end, 1)) if tag != "insert" else old_start + 1
        return line

"""What the app asks of the engine, behind one small interface. Every call may wait: call it from a thread."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from progtrain.engine.drafting.preview import Check as Check
from progtrain.engine.drafting.preview import preview
from progtrain.engine.errors import InputError, ProgtrainError
from progtrain.engine.files import try_read_json, write_text
from progtrain.engine.workspace import Workspace

if TYPE_CHECKING:
    import subprocess

    from progtrain.engine.schema import Decision
    from progtrain.engine.status.snapshot import Snapshot


class Instruction(NamedTuple):
    """One line of the instruction: what was understood, or that nothing enforces it."""

    text: str
    understood: str
    enforced: bool


class RulesCheck(NamedTuple):
    """How the engine reads rules and instruction."""

    problem: str = ""
    locks: tuple[tuple[str, str], ...] = ()
    lines: tuple[Instruction, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class View(Protocol):
    """The files of a workspace as a frozen value: `progtrain.engine.status.view.WorkspaceView`."""

    def snapshot(self) -> Snapshot: ...


class Engine(Protocol):
    """The ways back to the loop. They raise `ProgtrainError` for what a user can fix."""

    def start(self, dataset_id: str | None = None) -> None: ...

    def stop(self) -> None: ...

    def answer(self, decision: Decision) -> None: ...

    def preview(self, version: str, action_text: str) -> Check: ...

    def preview_candidate(self, version: str, candidate: str) -> Check: ...

    def check_rules(self, rules: str | None, instruction: str | None) -> RulesCheck: ...


class RealEngine:
    """The engine itself, imported when first needed: rewriting scripts takes packages that load slowly."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._runners: list[subprocess.Popen[bytes]] = []

    def start(self, dataset_id: str | None = None) -> None:
        from progtrain.engine.control import launch
        from progtrain.engine.control.options import Options

        self._keep(launch.start(self._workspace, Options(dataset_id=dataset_id)))

    def stop(self) -> None:
        from progtrain.engine.control import launch

        launch.stop(self._workspace)

    def answer(self, decision: Decision) -> None:
        from progtrain.engine.control import launch

        self._keep(launch.answer(self._workspace, decision))

    def _keep(self, runner: subprocess.Popen[bytes] | None) -> None:
        """A runner that has ended is collected with the next one, so that none is left as a zombie."""
        self._runners = [r for r in self._runners if r.poll() is None]
        if runner is not None:
            self._runners.append(runner)

    def preview(self, version: str, action_text: str) -> Check:
        return preview(self._workspace, version, action_text)

    def preview_candidate(self, version: str, candidate: str) -> Check:
        data = try_read_json(self._workspace.insight(version))
        found = data.get("candidates", []) if isinstance(data, dict) else []
        card = next((c for c in found if c.get("id") == candidate), None)
        if card is None:
            return Check(problems=(f"{candidate} is no longer on offer",))
        operation = dict(card["operation"])
        if card.get("base"):
            operation["base"] = card["base"]
        # JSON is YAML too
        block = json.dumps(operation, ensure_ascii=False)
        text = f"## Selected Action (only 1)\n\n### Change\n\n```yaml\n{block}\n```\n"
        return self.preview(version, text)

    def check_rules(self, rules: str | None, instruction: str | None) -> RulesCheck:
        """`None` stands for a file that is not there. Nothing in the workspace is touched."""
        from progtrain.engine.rules.rules import load

        with tempfile.TemporaryDirectory(prefix="progtrain-") as folder:
            trial = Workspace(Path(folder))
            for path, text in ((trial.rules, rules), (trial.instruction, instruction)):
                if text is not None:
                    write_text(path, text)
            try:
                read = load(trial)
            except ProgtrainError as error:
                return RulesCheck(problem=str(error).replace(f"{folder}/", ""))
        lines = tuple(
            Instruction(line.text, line.understood or "", line.understood is not None)
            for line in read.instruction.lines
        )
        return RulesCheck("", read.locks_shown(), lines, read.warnings, read.notes())


def workspace_problem(root: Path) -> str | None:
    """Why a folder cannot be opened as a workspace; None when it can."""
    if not root.exists():
        return f"{root}: there is no such folder"
    if not root.is_dir():
        return f"{root}: this is a file; give the workspace's folder"
    workspace = Workspace(root)
    signs = (workspace.rules, workspace.baseline_script, workspace.own, workspace.artifacts)
    try:
        if any(path.exists() for path in signs) or workspace.versions():
            return None
    except OSError as error:
        return f"{root}: cannot be read ({error.strerror})"
    return (
        f"{root}: not a workspace: it has neither {workspace.baseline_script.name} nor {workspace.rules.name}"
        " (progtrain init --example digits DIR makes one)"
    )


def save(path: Path, text: str, seen: str | None) -> None:
    """Writes a file of the user's. Raises `InputError` when it is no longer what was opened."""
    try:
        # as it was read: with its own line ends, and whatever is no UTF-8
        there: str | None = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        there = None
    if there != seen:
        raise InputError("somebody else has changed it meanwhile", file=path, fix="go back and edit again")
    write_text(path, text)

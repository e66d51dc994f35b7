"""The engine, as the app asks it: starting, answering, previews, and files of the user's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progtrain.engine.drafting.preview import Check, preview
from progtrain.engine.errors import Busy, InputError, ProgtrainError
from progtrain.engine.files import object_in, read_bytes, write_text
from progtrain.engine.workspace import Workspace
from progtrain.tui.host import RulesCheck

if TYPE_CHECKING:
    import subprocess

    from progtrain.engine.schema import Decision
    from progtrain.tui.experimenting import Verb


class EngineClient:
    """`host.Engine`. What it needs is imported when first asked for: the first frame waits for none of it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._runners: list[subprocess.Popen[bytes]] = []

    def start(self, dataset_id: str | None = None) -> None:
        from progtrain.engine.control import launch
        from progtrain.engine.control.launch import Options

        self._keep(launch.start(self._workspace, Options(dataset_id=dataset_id)))

    def stop(self) -> None:
        from progtrain.engine.control import launch

        launch.stop(self._workspace)

    def repeat(self, version: str) -> None:
        """With other seeds, three times. Raises `Busy` where a runner is at work."""
        from progtrain.engine.control import launch, lock

        if lock.running(self._workspace):
            raise Busy("a runner is at work", file=self._workspace.root, fix="it can be repeated when that has ended")
        self._keep(launch.start(self._workspace, launch.Options(repeat=version)))

    def answer(self, decision: Decision) -> None:
        from progtrain.engine.control import launch

        self._keep(launch.answer(self._workspace, decision))

    def experiment(self, verb: Verb, name: str, runs: Sequence[str] = (), **given: Any) -> str:
        from progtrain.tui import experimenting

        told, runner = experimenting.carry_out(self._workspace, verb, name, runs, given)
        self._keep(runner)
        return told

    def check_plan(self, name: str, text: str) -> Check:
        from progtrain.tui import experimenting

        return experimenting.check_plan(self._workspace, name, text)

    def write_records(self, version: str | None) -> str | None:
        from progtrain.engine.records import playbook, playbook_text, written
        from progtrain.engine.rules.rules import load

        ws = self._workspace
        rules = load(ws)
        written.write_log(ws, ws.reports, rules)
        versions = [version] if version else reversed(ws.versions())
        found = next((one for one in versions if ws.version(one).per_sample.is_file()), None)
        if found:
            playbook_text.write_playbook(ws, playbook.playbook(ws, rules, found))
        return found

    def export(self, tool: str) -> str:
        """By a process of its own: reading every curve would take the app's time, and its packages the app's memory."""
        import subprocess
        import sys

        command = [sys.executable, "-P", "-m", "progtrain", "-C", str(self._workspace.root), "export", tool, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            raise ProgtrainError(done.stderr.strip().removeprefix("progtrain: ") or f"exit code {done.returncode}")
        told = json.loads(done.stdout)
        changed = sum(run["outcome"] != "same" for run in told["runs"])
        return "\n".join([f"{changed} of {len(told['runs'])} versions written to {told['to']}", *told["look"]])

    def _keep(self, runner: subprocess.Popen[bytes] | None) -> None:
        """A runner that has ended is collected with the next one, so that none is left as a zombie."""
        self._runners = [r for r in self._runners if r.poll() is None]
        if runner is not None:
            self._runners.append(runner)

    def preview(self, version: str, action_text: str) -> Check:
        return preview(self._workspace, version, action_text)

    def preview_candidate(self, version: str, candidate: str) -> Check:
        found = object_in(self._workspace.insight(version)).get("candidates", [])
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
        lines = tuple((line.text, line.understood) for line in read.instruction.lines)
        return RulesCheck("", read.locks_shown(), lines, read.warnings, read.notes())


def read_own(path: Path) -> str | None:
    """A file of the user's with its own line ends; None where there is none, `�` for what is not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def save(path: Path, text: str, seen: str | None) -> None:
    """Writes a file of the user's. Raises `InputError` when it is no longer what was opened."""
    if read_own(path) != seen:
        raise InputError("somebody else has changed it meanwhile", file=path, fix="go back and edit again")
    write_text(path, text)

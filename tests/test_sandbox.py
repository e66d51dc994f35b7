"""A loop whose trainings run in a sandbox, from the command line to what the user reads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader
from progtrain.engine.jobs import sandbox
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace
from tests.test_loop import events, replace, run, scores

if why_not := sandbox.why_not():
    pytest.skip(why_not, allow_module_level=True)


def test_a_loop_goes_through_it_with_the_scores_that_it_has_without(plain: Workspace, finished: Workspace) -> None:
    assert run(plain, autopilot=True, sandbox=True, max_versions=2) == 0
    assert scores(plain) == scores(finished)
    job = json.loads(plain.job("v001-train-1").job.read_text())
    assert str(plain.version("v001").path) in job["writable"]


def test_what_a_script_writes_elsewhere_fails_with_the_reason(plain: Workspace) -> None:
    with plain.baseline_script.open("a") as script:
        script.write("\nif __name__ == '__main__':\n    open('user_instruction.md', 'w').write('Train longer.')\n")
    command = [sys.executable, "-m", "progtrain", "-C", str(plain.root), "run", "--yes", "--sandbox"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "PermissionError: [Errno 13] Permission denied: 'user_instruction.md'" in done.stdout + done.stderr
    assert "in the sandbox a training writes to Models/Artifacts/v001 and to temporary files alone" in (
        done.stdout + done.stderr
    )
    assert not (plain.root / "user_instruction.md").exists()
    # it was opened so: going on keeps it, without being told again
    assert runner.prepare(plain, Options()).rules.sandboxed


def test_the_rules_ask_for_it_too(plain: Workspace) -> None:
    replace(plain.rules, '"loop_config": {', '"loop_config": {"sandbox": true, ')
    assert runner.prepare(plain, Options()).rules.sandboxed


def test_without_any_the_loop_does_not_begin(plain: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def version() -> int:
        raise OSError(38, "this kernel has no Landlock")

    monkeypatch.setattr(sandbox.landlock, "version", version)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="this kernel has no Landlock, and bubblewrap is not installed"):
        runner.prepare(plain, Options(sandbox=True, python=sys.executable))
    assert run(plain, autopilot=True, sandbox=True, python=sys.executable) == 2
    assert not plain.versions()
    assert events(plain, "loop_failed")[0]["fix"].startswith("install bubblewrap")
    assert LineReader(plain.journal).read()[-1]["event"] == "runner_ended"

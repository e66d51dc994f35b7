"""What a loop is started with, and what changes while it is at work."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.control import launch
from progtrain.engine.control.launch import Options
from progtrain.engine.files import LineReader
from progtrain.engine.loop import runner
from progtrain.engine.loop.plan import plan
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from tests.cli.commands import progtrain


def run(ws: Workspace, **options: Any) -> int:
    return runner.run(ws, Options.model_validate(options))


def events(ws: Workspace, kind: str) -> list[dict[str, Any]]:
    return [e for e in LineReader(ws.journal).read() if e["event"] == kind]


def test_rules_changed_during_a_training_hold_from_the_next_step_on(
    plain: Workspace, edit_rules: Callable[..., None], go_on: Path
) -> None:
    process = launch.start(plain, Options(autopilot=True))
    while not plain.version("v001").logs.is_dir():
        time.sleep(0.05)
        assert process.poll() is None
    edit_rules(plain, loop_config={"max_versions": 1})
    go_on.touch()
    assert process.wait() == 0
    assert plain.versions() == ["v001"]
    assert events(plain, "loop_finished")[-1]["versions"] == 1


def test_rules_broken_during_a_training_stop_the_loop(plain: Workspace, go_on: Path) -> None:
    process = launch.start(plain, Options(autopilot=True))
    while not plain.version("v001").logs.is_dir():
        time.sleep(0.05)
        assert process.poll() is None
    plain.rules.write_text('{"loop_config": {"max_versions": 0}}')
    go_on.touch()
    assert process.wait() == 2
    assert "max_versions" in events(plain, "loop_failed")[-1]["place"]
    assert [e["step"] for e in events(plain, "step_done")][-1] == "train"


@pytest.fixture
def other_python(tmp_path: Path) -> str:
    """The same interpreter under another name."""
    path = tmp_path / "python B"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_what_a_loop_was_given_last_is_kept_for_it(plain: Workspace, other_python: str) -> None:
    assert run(plain, autopilot=True, until="evaluate", devices="1") == 0
    assert run(plain, python=other_python, max_versions=2) == 3
    assert run(plain, autopilot=True, until="evaluate") == 0
    assert run(plain, autopilot=True, until="author") == 0
    assert run(plain, autopilot=True) == 0
    job = json.loads(plain.job("v002-train-1").job.read_text())
    assert job["command"][0] == other_python
    assert job["environment"]["CUDA_VISIBLE_DEVICES"] == "1"
    assert plain.versions() == ["v001", "v002"]


def test_the_devices_of_the_shell_that_started_a_loop_are_kept(
    plain: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert run(plain, autopilot=True, until="initialize") == 0
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert run(plain, autopilot=True, until="train") == 0
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert json.loads(plain.job("v001-train-1").job.read_text())["environment"]["CUDA_VISIBLE_DEVICES"] == "2"


def test_a_refused_option_leaves_an_open_question_as_it_is(waiting: Workspace) -> None:
    before = waiting.journal.read_bytes()
    refused = progtrain(waiting, "run", "--max-versions", "9")
    assert refused.returncode == 2
    assert "--max-versions 9 is more than the rules allow (3)" in refused.stderr
    assert waiting.journal.read_bytes() == before
    assert WorkspaceView(waiting.root).snapshot().review is not None


def test_a_finished_loop_has_nothing_to_do_and_a_report_made_by_hand_is_the_newest(plain: Workspace) -> None:
    assert run(plain, autopilot=True, max_versions=1) == 0
    first = WorkspaceView(plain.root).snapshot().report
    assert run(plain, autopilot=True, max_versions=1) == 0
    assert plan(plain, Options(max_versions=1)) == []
    assert "the loop is finished" in progtrain(plain, "run", "--max-versions", "1", "--dry-run").stdout
    assert progtrain(plain, "step", "report").returncode == 0
    newest = WorkspaceView(plain.root).snapshot().report
    assert first is not None and newest is not None and newest != first and newest.is_dir()


def test_a_review_shows_what_accepting_would_do_after_an_edit_by_hand(waiting: Workspace) -> None:
    action = waiting.drafts("v001").action
    action.write_text("# Action\n\n```yaml\noperation: set\nsetting: learning_rate\nto: 0.0123\n```\n")
    shown = progtrain(waiting, "review")
    assert "+LEARNING_RATE = 0.0123" in shown.stdout
    assert json.loads(progtrain(waiting, "review", "--json").stdout)["target"] == "02_train_v002.py"
    action.write_text("# Action\n\nUse a smaller rate.\n")
    shown = progtrain(waiting, "review")
    assert "problem:" in shown.stdout and "no operation in it" in shown.stdout
    assert "checked:" not in shown.stdout and "+LEARNING_RATE" not in shown.stdout

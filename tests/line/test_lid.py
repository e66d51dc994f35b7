"""A machine that sleeps in the middle of a training: all stands still, and the clock is another one afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from progtrain.engine.control import lock
from progtrain.engine.files import read_json
from progtrain.engine.workspace import Workspace
from tests.line.conftest import at_work, events, progtrain, training, until
from tests.tui.terminal import Terminal, app

_HOUR = 3600


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """By so many seconds, as this file says, the clock of child processes is ahead."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("it takes Linux and a C compiler")
    layer, path = tmp_path / "clock.so", tmp_path / "ahead"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(layer), str(source)], check=True)
    path.write_text("0")
    monkeypatch.setenv("CLOCK_FILE", str(path))
    monkeypatch.setenv("LD_PRELOAD", str(layer))
    yield path


def _did(ws: Workspace, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(progtrain(ws, *words), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [_HOUR, -_HOUR])
def test_after_a_sleep_of_an_hour_everything_goes_on(
    audited: Workspace, go_on: Path, clock: Path, ahead: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Less than an hour is allowed to a step: only what the machine was awake counts."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    rules = read_json(audited.rules)
    rules["loop_config"] |= {"max_versions": 1, "step_timeout_minutes": 10}
    audited.rules.write_text(json.dumps(rules))
    assert _did(audited, "run", "--yes", "--detach").returncode == 0
    script, runner = training(audited), at_work(audited)
    terminal = Terminal(app(audited))
    terminal.until(b"training")
    family = [script, runner, *runner.children(recursive=True), terminal.guard, terminal.child]
    for process in family:
        process.suspend()
    clock.write_text(str(ahead))
    for path in (audited.lock, *audited.own.rglob("*")):
        os.utime(path, (path.stat().st_atime - _HOUR, path.stat().st_mtime - _HOUR))

    assert "training v001" in _did(audited, "status").stdout
    assert _did(audited, "run", "--yes").returncode == 4, "whoever sleeps has not gone"

    for process in family:
        process.resume()
    go_on.touch()
    terminal.until(b"finished")
    terminal.close()
    until(lambda: not lock.running(audited))
    assert events(audited, "step_started", step="train") == events(audited, "step_done", step="train") == 1
    assert events(audited, "attempt_failed") == 0
    assert 0 < read_json(audited.mark("v001", "train"))["seconds"] < 600, "how long it trained, not slept"
    assert not psutil.pid_exists(script.pid)

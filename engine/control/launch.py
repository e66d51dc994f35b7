"""Starting and stopping the runner, for the app and the command line."""

from __future__ import annotations

import subprocess
import time

from pydantic import BaseModel

from progtrain.engine.control import decisions
from progtrain.engine.control.lock import running
from progtrain.engine.errors import InputError
from progtrain.engine.files import read_loosely, storage_errors, write_text
from progtrain.engine.jobs.detached import spawn
from progtrain.engine.schema import Decision, StepName
from progtrain.engine.workspace import Workspace


class Options(BaseModel):
    """How a loop is to be run. What is None is taken from the open loop, else from rules and defaults."""

    autopilot: bool = False
    dataset_id: str | None = None
    max_versions: int | None = None
    until: StepName | None = None
    python: str | None = None
    model: str | None = None
    #: CUDA_VISIBLE_DEVICES of whoever asks
    devices: str | None = None
    #: whether each script starts in a new interpreter; by default not where that is safe
    cold: bool | None = None
    #: True: trainings and evaluations can write to their version's folder alone, whatever the rules say
    sandbox: bool = False
    #: not the loop: sees to it that a version has so many repeats
    repeat: str | None = None
    times: int = 3
    #: with the version's own seed
    same_seed: bool = False
    #: whether the baseline is run up to its training before changes to it are proposed
    probe: bool = True


def name_python(ws: Workspace, python: str) -> None:
    """Kept for the loop that begins here later."""
    write_text(ws.named_python, f"{python}\n")


def named_python(ws: Workspace) -> str | None:
    """The interpreter that was named when the workspace was set up."""
    try:
        return read_loosely(ws.named_python).strip() or None
    except OSError:
        return None


def start(ws: Workspace, options: Options) -> subprocess.Popen[bytes]:
    """Starts a detached runner: it survives this process, its terminal and the line.

    Raises `StorageError` when the workspace cannot be written. That another runner is at work already shows in the
    exit code of this one.
    """
    with storage_errors(ws.own):
        ws.own.mkdir(parents=True, exist_ok=True)
        return spawn("progtrain.engine.loop.runner", [str(ws.root), options.model_dump_json()], ws.runner_log)


def answer(ws: Workspace, decision: Decision) -> subprocess.Popen[bytes] | None:
    """Writes the answer and starts the loop again, except where the answer is to stop or a runner is there."""
    decisions.decide(ws, decision)
    return None if running(ws) else start(ws, Options())


def stop(ws: Workspace) -> None:
    """Asks the runner to stop. Raises `InputError` when none runs."""
    if not running(ws):
        raise InputError("no runner is at work in this workspace", file=ws.root, fix="progtrain status")
    decisions.request_stop(ws)


def wait_until_stopped(ws: Workspace, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while running(ws):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True

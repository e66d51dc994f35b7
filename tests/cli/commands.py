"""The command line as a user has it: a child process, through pipes or on a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pexpect

from progtrain.engine.workspace import Workspace

PROGTRAIN = [sys.executable, "-m", "progtrain"]


def progtrain(ws: Workspace, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGTRAIN, "-C", str(ws.root), *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        check=False,
        timeout=120,
    )


def as_json(ws: Workspace, *arguments: str) -> Any:
    done = progtrain(ws, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def on_terminal(ws: Workspace, *arguments: str, columns: int = 80, **environment: str) -> str:
    """All that it writes on a terminal of that width, escape sequences included."""
    names = {"TERM": "xterm-256color", **{k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS"}}}
    child = pexpect.spawn(
        sys.executable,
        [*PROGTRAIN[1:], "-C", str(ws.root), *arguments],
        env={**names, **environment},
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=120,
    )
    written = child.read()
    child.close()
    assert isinstance(written, str)
    return written.replace("\r\n", "\n")

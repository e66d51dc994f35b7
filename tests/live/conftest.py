"""Scripts that are run with the folder `live` on their path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

LIVE = Path(__file__).parents[2] / "engine" / "live"

Run = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="session")
def warm() -> Iterator[Callable[[dict[str, Any]], int]]:
    """Gives a job to a process that has imported Lightning already; gives its exit code."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("warm.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )

    def ask(job: dict[str, Any]) -> int:
        questions, answers = _pipes(server)
        questions.write(json.dumps(job) + "\n")
        questions.flush()
        return int(answers.readline())

    yield ask
    for pipe in _pipes(server):
        pipe.close()
    server.terminate()
    server.wait(timeout=60)


def _pipes(server: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert server.stdin is not None and server.stdout is not None
    return server.stdin, server.stdout


@pytest.fixture
def run(warm: Callable[[dict[str, Any]], int], tmp_path: Path) -> Run:
    """Runs a text as script.py, in `tmp_path / "here"`. Gives its exit code, what we wrote as JSON, and its output."""
    return lambda *args, **kwargs: _run(warm, tmp_path, *args, **kwargs)


@pytest.fixture
def probe(run: Run) -> Run:
    return lambda text, *arguments: run(text, *arguments, PROBE="probe.json")


def _run(
    warm: Callable[[dict[str, Any]], int],
    tmp_path: Path,
    text: str,
    *arguments: str,
    more: dict[str, str] | None = None,
    **files: str,
) -> tuple[int, dict[str, Any], str]:
    folder, out = tmp_path / "here", tmp_path / "out"
    folder.mkdir(exist_ok=True)
    out.mkdir(exist_ok=True)
    (folder / "script.py").write_text(text)
    code = warm(
        {
            "folder": str(folder),
            "log": str(out / "log"),
            "live": str(LIVE),
            "arguments": arguments,
            "environment": {f"PROGTRAIN_{name}_FILE": str(out / file) for name, file in files.items()} | (more or {}),
        }
    )
    log = (out / "log").read_text()
    found = out / (files.get("PROBE") or files.get("RECORD") or "none")
    assert found.exists(), log
    return code, json.loads(found.read_text()), log

"""Nothing but drafting needs llama.cpp, and drafting goes on by rules alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace


@pytest.fixture
def without_llama(tmp_path: Path) -> dict[str, str]:
    """An environment in which llama_cpp is found first where it cannot be loaded."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "llama_cpp.py").write_text("raise ImportError(\"No module named 'llama_cpp'\")\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


def progtrain(ws: Workspace, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "progtrain", "-C", str(ws.root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_the_loop_goes_on_and_says_what_to_do(plain: Workspace, without_llama: dict[str, str]) -> None:
    done = progtrain(plain, without_llama, "run", "--yes", "--until", "author")
    assert done.returncode == 0, done.stderr
    assert "llama-cpp-python cannot be loaded" in done.stderr and "pip install llama-cpp-python" in done.stderr
    assert plain.script("v002").is_file()
    assert "Drafted by rules only" in plain.version("v001").analysis.read_text()


@pytest.mark.parametrize("command", [("status",), ("run", "--dry-run"), ("journal",), ("leaderboard",)], ids=" ".join)
def test_nothing_else_needs_it(plain: Workspace, without_llama: dict[str, str], command: tuple[str, ...]) -> None:
    done = progtrain(plain, without_llama, *command)
    assert "llama" not in done.stderr and "Traceback" not in done.stderr


def test_check_says_it_and_is_ready_all_the_same(plain: Workspace, without_llama: dict[str, str]) -> None:
    done = progtrain(plain, without_llama, "check", "--json")
    rows = [row for row in json.loads(done.stdout)["rows"] if row["area"] == "model"]
    assert done.returncode == 0, done.stdout
    assert any(row["state"] == "warning" and "pip install llama-cpp-python" in row["text"] for row in rows), rows

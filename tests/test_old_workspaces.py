"""Workspaces that an earlier version made open, go on and report."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.schema import JobState, load
from progtrain.engine.status import rows
from progtrain.engine.workspace import Workspace

ARCHIVES = Path(__file__).parent / "workspaces"


def unpack(name: str, folder: Path) -> Workspace:
    with tarfile.open(ARCHIVES / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    ws = Workspace(folder / name)
    if ws.journal.is_file():
        # the interpreter that it was run with is not on this machine
        ws.journal.write_text(ws.journal.read_text().replace("/home/user/venv/bin/python", sys.executable))
    return ws


def progtrain(ws: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "progtrain", "-C", str(ws.root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def as_json(ws: Workspace, *arguments: str) -> Any:
    done = progtrain(ws, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "status", "versions", "best"),
    [
        ("fresh", "not started", [], []),
        ("review", "waiting", ["v001"], ["v001"]),
        ("finished", "finished", ["v001", "v002"], ["v002"]),
    ],
)
def test_it_opens(name: str, status: str, versions: list[str], best: list[str], tmp_path: Path) -> None:
    ws = unpack(name, tmp_path)
    told = as_json(ws, "status")
    assert told["status"] == status
    assert [row["version"] for row in told["versions"]] == versions
    assert [row["version"] for row in told["versions"] if row["is_best"]] == best
    first = rows.glance(ws)
    shown = first.versions if first else ()
    assert [(row.version, row.is_best, row.value) for row in shown] == [
        (row["version"], row["is_best"], row["value"]) for row in told["versions"]
    ]


@pytest.mark.parametrize("probe", [("--no-probe",), pytest.param((), marks=pytest.mark.slow)])
def test_a_fresh_one_is_ready(tmp_path: Path, probe: tuple[str, ...]) -> None:
    ws = unpack("fresh", tmp_path)
    checked = progtrain(ws, "check", *probe)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "train" in progtrain(ws, "run", "--dry-run").stdout


@pytest.mark.slow
def test_an_open_question_is_shown_and_accepted(tmp_path: Path) -> None:
    ws = unpack("review", tmp_path)
    review = as_json(ws, "review")
    assert review["kind"] == "review" and review["candidates"] and review["diff"]
    before = ws.script("v001").read_text()
    done = progtrain(ws, "review", "accept")
    assert done.returncode == 0, done.stderr
    assert ws.script("v001").read_text() == before
    changed = [line for line in review["diff"].splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert all(line[1:] in ws.script("v002").read_text() for line in changed)
    # the next version was trained, evaluated and drafted, and waits in its turn
    assert as_json(ws, "review")["version"] == "v002"


def test_a_finished_one_ranks_and_reports(tmp_path: Path) -> None:
    ws = unpack("finished", tmp_path)
    ranked = as_json(ws, "leaderboard")["versions"]
    assert [row["version"] for row in ranked] == ["v002", "v001"]
    reports = {path.name for path in ws.reports.iterdir()}
    again = progtrain(ws, "run")
    assert again.returncode == 0, again.stderr
    assert {path.name for path in ws.reports.iterdir()} == reports
    made = progtrain(ws, "step", "report")
    assert made.returncode == 0, made.stderr
    assert len(list(ws.reports.iterdir())) == len(reports) + 1


def test_a_finished_one_goes_on(tmp_path: Path) -> None:
    """One version more than before: it is written from the kept action, and nothing is trained again."""
    ws = unpack("finished", tmp_path)
    rules = json.loads(ws.rules.read_text())
    rules["loop_config"]["max_versions"] = 3
    ws.rules.write_text(json.dumps(rules))
    done = progtrain(ws, "run", "--yes", "--until", "author")
    assert done.returncode == 0, done.stderr
    assert ws.script("v003").is_file()
    assert not [line for line in done.stdout.splitlines() if "train:" in line]


def test_what_a_later_guard_tells_besides_is_passed_over(tmp_path: Path) -> None:
    """progtrain may be upgraded while a loop runs."""
    told = {"status": "running", "host": "here", "pid": 1, "create_time": 1.0, "started_at": "2026-01-01T00:00:00Z"}
    path = tmp_path / "state.json"
    path.write_text(json.dumps({**told, "of_a_later_version": [1]}))
    assert load(path, JobState).status == "running"

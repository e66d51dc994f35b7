"""Snapshots of other MCP servers: real child processes that die, hang, and say what is no message."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from progtrain.engine.agents import fetching, sources
from progtrain.engine.agents.sources import Call, Standing
from progtrain.engine.errors import InputError
from progtrain.engine.workspace import Workspace

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def fetch(ws: Workspace, at: datetime = NOON, seconds: float = 30.0, **options: bool) -> Standing:
    return fetching.fetch(ws, "tracker", clock=lambda: at, environment=os.environ, seconds=seconds, **options)


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 60
    while alive := [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]:
        if time.monotonic() > deadline:
            return not alive
        time.sleep(0.05)
    return True


def test_a_snapshot_is_kept_with_all_that_was_said(source: Callable[..., Workspace], tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    ws = source("good", str(pids), env=["TRACKER_VERSION"], tools=[Call(tool="status", arguments={"last": 5})])
    given = {**os.environ, "TRACKER_VERSION": "7"}
    found = fetching.fetch(ws, "tracker", clock=lambda: NOON, environment=given)
    assert (found.state, found.age_hours, found.reason) == ("fresh", 0.0, "")
    kept = json.loads(sources.folder_of(ws, "tracker").snapshot.read_text())
    assert {key: kept[key] for key in ("fetched_at", "protocol", "server", "stderr_tail")} == {
        "fetched_at": "2026-11-27T12:00:00+00:00",
        "protocol": "2025-06-18",
        "server": {"name": "tracker", "version": "7"},
        "stderr_tail": "called: status\n",
    }
    assert kept["tools"] == [{"name": "status", "read_only": True}, {"name": "wipe", "read_only": False}]
    call = kept["calls"][0]
    assert (call["tool"], call["arguments"], call["is_error"], len(call["sha256"])) == (
        "status",
        {"last": 5},
        False,
        64,
    )
    # it, and what it started
    assert gone([int(pid) for pid in pids.read_text().split()])


@pytest.mark.parametrize(
    ("way", "reason", "stderr"),
    [
        ("dies", "it ended with exit code 3", "no module named tracker"),
        ("dies-in-call", "it ended with exit code 9", "out of memory while reading runs"),
        ("hangs", "it did not answer within 3 s", "waiting for the database"),
        ("garbage", "it printed what is no message: Welcome to the tracker!", ""),
        ("other-tools", "its tools changed: + upload", ""),
        pytest.param("huge", "it answered with more than 4,000,000 bytes at once", "", marks=pytest.mark.slow),
        pytest.param("endless", "it answered with more than 4,000,000 bytes at once", "", marks=pytest.mark.slow),
        ("errors", "no tool answered: [{", ""),
        ("nonsense", "1 validation error for CallToolResult", ""),
    ],
)
def test_whatever_a_server_does_the_snapshot_stays(
    source: Callable[..., Workspace], tmp_path: Path, way: str, reason: str, stderr: str
) -> None:
    ws = source("good")
    assert fetch(ws).state == "fresh"
    folder = sources.folder_of(ws, "tracker")
    before = folder.snapshot.read_bytes()
    source(way, str(tmp_path / "pids"))
    found = fetch(ws, NOON + timedelta(hours=2), seconds=3.0 if way == "hangs" else 30.0)
    assert found.state == ("refused" if way == "other-tools" else "stale")
    assert (found.age_hours, reason in found.reason) == (2.0, True), found.reason
    assert folder.snapshot.read_bytes() == before
    assert stderr in json.loads(folder.last_fetch.read_text())["stderr_tail"]
    facts = list(sources.facts_of(ws, found))
    assert all("fetched 2 h ago, stale" in fact.meaning for fact in facts)
    assert bool(facts) == (way != "other-tools")
    assert gone([int(pid) for pid in (tmp_path / "pids").read_text().split()])


def test_another_list_of_tools_is_taken_when_the_user_says_so(source: Callable[..., Workspace]) -> None:
    ws = source("good")
    fetch(ws)
    source("other-tools")
    assert fetch(ws, NOON + timedelta(hours=1)).state == "refused"
    assert fetch(ws, NOON + timedelta(hours=2), accept_tools=True).state == "fresh"
    assert [path.name for path in sources.folder_of(ws, "tracker").history.iterdir()] == [
        "2026-11-27T12-00-00-00-00.json"
    ]


def test_only_what_the_user_named_and_the_server_calls_read_only_is_called(source: Callable[..., Workspace]) -> None:
    ws = source("unmarked")
    assert "does not mark it as read-only" in fetch(ws).reason
    source("unmarked", trusted=["status"])
    assert fetch(ws).state == "fresh"
    source("good", tools=[Call(tool="status"), Call(tool="gone")])
    fetch(ws, accept_tools=True)
    calls = json.loads(sources.folder_of(ws, "tracker").snapshot.read_text())["calls"]
    assert [(call["tool"], call["is_error"]) for call in calls] == [("status", False), ("gone", True)]
    assert {fact.source.split(", ")[1] for fact in sources.facts_of(ws, fetch(ws))} == {"call 1"}


def test_what_a_server_marks_as_read_only_is_not_called_for_that(source: Callable[..., Workspace]) -> None:
    ws = source("lies")
    assert fetch(ws).state == "fresh"
    kept = json.loads(sources.folder_of(ws, "tracker").snapshot.read_text())
    assert all(tool["read_only"] for tool in kept["tools"])
    assert kept["stderr_tail"] == "called: status\n"


def test_a_mark_that_changes_is_another_list_of_tools(source: Callable[..., Workspace]) -> None:
    ws = source("good")
    fetch(ws)
    source("lies")
    found = fetch(ws, NOON + timedelta(hours=1))
    assert (found.state, found.reason) == ("refused", "its tools changed: marked anew: wipe")


def test_a_server_that_cannot_be_started_is_a_reason(source: Callable[..., Workspace]) -> None:
    ws = source("good", command=["/no/such/program"])
    found = fetch(ws)
    assert (found.state, "could not be started" in found.reason) == ("never fetched", True)


def test_a_variable_that_is_not_set_is_an_error(source: Callable[..., Workspace]) -> None:
    ws = source("good", env=["PROGTRAIN_NOT_SET"])
    with pytest.raises(InputError, match="PROGTRAIN_NOT_SET is not set"):
        fetch(ws)

"""`progtrain evidence` and `progtrain mcp` on the command line."""

from __future__ import annotations

import json
import sys
from datetime import timedelta

import pytest

from progtrain.engine.agents import sources
from progtrain.engine.cli.main import main
from progtrain.engine.clock import now
from progtrain.engine.workspace import Workspace
from tests.agents.conftest import SERVER, keep

SERVED = ["--", sys.executable, str(SERVER), "good"]


def call(ws: Workspace, *arguments: str) -> int:
    return main(["-C", str(ws.root), "evidence", *arguments])


def test_a_source_is_added_listed_and_removed(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--max-age", "90m", "--tool", 'status={"last": 5}', "--tool", "wipe", "--trust", "wipe", "--env", "TOKEN"]
    assert call(ws, "add", "board", *given, *SERVED) == 0
    assert "progtrain evidence fetch board asks it" in capsys.readouterr().out
    assert json.loads(sources.folder_of(ws, "board").source.read_text()) == {
        "command": SERVED[1:],
        "tools": [{"tool": "status", "arguments": {"last": 5}}, {"tool": "wipe", "arguments": {}}],
        "trusted": ["wipe"],
        "env": ["TOKEN"],
        "max_age_hours": 1.5,
    }
    assert call(ws, "list") == 0
    assert "never fetched" in capsys.readouterr().out
    assert call(ws, "add", "board", *given, *SERVED) == 2
    assert "there is a source 'board' already" in capsys.readouterr().err
    assert call(ws, "remove", "board") == 0
    assert sources.names(ws) == []
    assert call(ws, "remove", "board") == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["Board", "--tool", "status"], "is no name for a source"),
        (["board", "--tool", "status=5"], "is no tool with its arguments"),
        (["board", "--tool", "status={"], "is no tool with its arguments"),
        (["board", "--tool", "={}"], "is no tool with its arguments"),
        (["board", "--tool", "status", "--trust", "wipe"], "'wipe' is not among the tools"),
        (["board", "--tool", "status", "--max-age", "soon"], "'soon' is no age"),
        (["board", "--tool", "status", "--env", "TOKEN=hush"], "it takes the name of a variable, without a value"),
        (["board"], "Missing option '--tool'"),
    ],
)
def test_what_is_wrong_is_said(
    ws: Workspace, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert call(ws, "add", *arguments, *SERVED) == 2
    told = capsys.readouterr().err
    assert reason in told and "hush" not in told
    assert not ws.mcp_evidence.exists()


def test_fetching_says_whether_all_is_fresh(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(ws, "add", "board", "--tool", "status", *SERVED) == 0
    assert call(ws, "fetch", "--json") == 0
    rows = json.loads(capsys.readouterr().out.partition("\n")[2])["rows"]
    assert [(row["name"], row["state"], row["reason"]) for row in rows] == [("board", "fresh", "")]
    assert call(ws, "add", "gone", "--tool", "status", "--", sys.executable, str(SERVER), "dies") == 0
    assert call(ws, "fetch") == 1
    told = capsys.readouterr().out
    assert "never fetched" in told and "it ended with exit code 3; on stderr: Traceback: no module named" in told
    assert call(ws, "fetch", "nobody") == 2


def test_a_tool_that_did_not_answer_is_named_though_another_did(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--tool", "status", "--tool", "wipe", "--tool", "nosuch"]
    assert call(ws, "add", "board", *asked, "--", sys.executable, str(SERVER), "good") == 0
    assert call(ws, "fetch") == 0
    told = capsys.readouterr().out
    assert "wipe: not called: the server does not mark it as read-only (--trust)" in told
    assert "nosuch: the server has no such tool" in told


def test_a_stale_source_says_its_age(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    keep(ws, {"accuracy": 0.9}, now() - timedelta(hours=30))
    assert call(ws, "list") == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == [
        "tracker",
        "stale",
        "30",
        "h",
        "older",
        "than",
        "24",
        "h",
    ]


@pytest.mark.parametrize("arguments", [["mcp"], ["evidence", "fetch"]])
def test_without_the_package_it_says_how_to_install_it(
    ws: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    for name in [*(n for n in sys.modules if n.startswith("mcp.")), "progtrain.engine.agents.fetching"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delitem(sys.modules, "progtrain.engine.agents.server", raising=False)
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert main(["-C", str(ws.root), *arguments]) == 2
    assert "which is not installed\n  fix: pip install 'progtrain[mcp]'" in capsys.readouterr().err

"""The command line as a user has it: real processes in a real workspace."""

from __future__ import annotations

import json
import os
import pty
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace
from tests.advisor import scripted
from tests.cli.commands import as_json, progtrain


def test_run_in_autopilot_prints_steps_and_leaderboard(plain: Workspace) -> None:
    done = progtrain(plain, "run", "--yes", "--max-versions", "1")
    assert done.returncode == 0, done.stderr
    assert "v001  train: trained in" in done.stdout
    assert "accuracy, higher is better" in done.stdout
    assert "finished: the report is in Models/Report/" in done.stdout


def test_the_loop_by_hand(waiting: Workspace) -> None:
    """Run, look, choose, redraft, accept: all without a screen."""
    done = progtrain(waiting, "run")
    assert done.returncode == 3
    assert "progtrain review shows it" in done.stdout
    shown = progtrain(waiting, "review")
    assert "Selected Action (only 1)" in shown.stdout and "--- 02_train_v001.py" in shown.stdout
    review = as_json(waiting, "review", "--json")
    other = next(card["id"] for card in review["candidates"] if card["id"] != review["chosen"])
    assert progtrain(waiting, "review", "choose", other).returncode == 0
    assert as_json(waiting, "review", "show", "--json")["chosen"] == other
    assert progtrain(waiting, "review", "redraft", "--hint", "smaller steps").returncode == 0
    assert progtrain(waiting, "review", "hints").stdout == "1. smaller steps\n"
    assert progtrain(waiting, "review", "forget", "2").returncode == 2
    assert progtrain(waiting, "review", "forget", "1").stdout == "taken back: smaller steps\n"
    assert as_json(waiting, "review", "hints", "--json")["rows"] == []
    assert "the same draft, token for token" in progtrain(waiting, "model", "redo", "v001", "--round", "1").stdout
    assert progtrain(waiting, "review", "accept").returncode == 0
    assert waiting.script("v002").is_file()
    assert as_json(waiting, "status", "--json")["status"] == "waiting"


def test_an_edit_is_refused_with_line_and_fix(waiting: Workspace) -> None:
    bad = waiting.root / "bad.md"
    bad.write_text("# Selected Action\n\nnothing here\n")
    done = progtrain(waiting, "review", "edit", "--action", str(bad))
    assert done.returncode == 2
    assert "fix:" in done.stderr and "Traceback" not in done.stderr
    assert as_json(waiting, "status", "--json")["status"] == "waiting"


def test_status_of_a_finished_loop(finished: Workspace) -> None:
    status = as_json(finished, "status", "--json")
    assert status["status"] == "finished"
    assert [row["version"] for row in status["versions"]] == ["v001", "v002"]
    assert status["versions"][0]["verdict_previous"] is None
    assert status["versions"][1]["delta_previous"] is not None
    assert sum(row["is_best"] for row in status["versions"]) == 1


def test_leaderboard_diff_samples_and_journal(finished: Workspace) -> None:
    rows = as_json(finished, "leaderboard", "--json")["versions"]
    values = [row["value"] for row in rows]
    assert values == sorted(values, reverse=True)
    changes = as_json(finished, "diff", "--json")["changes"]
    assert 1 <= len(changes) <= 6
    assert "+++ 02_train_v002.py" in progtrain(finished, "diff").stdout
    samples = as_json(finished, "samples", "--wrong", "--json")["rows"]
    assert samples and all(row["correct"] == "0" for row in samples)
    losses = [float(row["loss"]) for row in samples]
    assert losses == sorted(losses, reverse=True)
    assert "progtrain step train --version v001" in progtrain(finished, "journal", "--all", "--commands").stdout


def test_the_leaderboard_has_external_models(finished: Workspace, tmp_path: Path) -> None:
    ws = Workspace(Path(shutil.copytree(finished.root, tmp_path / "copy")))
    for name, value in (("rival", 0.9999), ("unseen", None)):
        folder = ws.external / name
        folder.mkdir(parents=True)
        if value is not None:
            score = {"metrics": [{"name": "accuracy", "value": value}]}
            (folder / "eval_score.json").write_text(json.dumps(score), encoding="utf-8")
    lines = [line.split() for line in progtrain(ws, "leaderboard").stdout.splitlines()]
    places = {line[1]: (line[0], " ".join(line[2:])) for line in lines if len(line) > 2 and line[0].isdigit()}
    assert places["external/rival"] == ("1", "0.9999 external model")
    assert places["external/unseen"][0] == "4" and places["external/unseen"][1].endswith(
        "external model, not evaluated yet"
    )
    # a verdict on a score that is gone is none
    ws.version("v002").eval_score.unlink()
    (row,) = [line for line in progtrain(ws, "leaderboard").stdout.splitlines() if " v002 " in line]
    assert "no verdict" in row
    external = as_json(ws, "leaderboard", "--json")["external"]
    assert [row["name"] for row in external] == ["rival", "unseen"]


def test_a_step_can_be_run_alone(finished: Workspace) -> None:
    before = finished.version("v002").eval_score.stat().st_mtime_ns
    done = progtrain(finished, "step", "evaluate", "--version", "v002")
    assert done.returncode == 0, done.stderr
    assert finished.version("v002").eval_score.stat().st_mtime_ns > before


def test_check_lists_what_is_to_be_fixed(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    plain.instruction.write_text("- Never change the batch size.\n- Mind classes 3 and 8.\n")
    edit_rules(plain, training_config={"batch_size": 16, "warp_factor": 9})
    done = progtrain(plain, "check")
    assert done.returncode == 2
    assert "warp_factor" in done.stdout and "fix:" in done.stdout
    assert "Never change the batch size." in done.stdout and "batch_size" in done.stdout
    assert "told to the advisor, not enforced" in done.stdout


def test_check_says_what_code_edits_mean(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(plain, advisor_config={"allow_code_edits": True})
    assert "the bundled model cannot write code" in progtrain(plain, "check").stdout
    scripted.write(plain.root / "mine.gguf", {})
    edit_rules(plain, advisor_config={"allow_code_edits": True, "model": "mine.gguf"})
    assert "with --yes it runs without anybody having read it" in progtrain(plain, "check").stdout


def test_dry_run_tells_and_writes_nothing(plain: Workspace) -> None:
    before = {p: p.stat().st_mtime_ns for p in plain.root.rglob("*")}
    done = progtrain(plain, "run", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "02_train_v001.py" in done.stdout
    assert {p: p.stat().st_mtime_ns for p in plain.root.rglob("*")} == before


def test_a_log_of_nothing_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    done = progtrain(Workspace(tmp_path), "log")
    assert (done.returncode, "there is no version yet" in done.stderr) == (2, True)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("samples", "--version", "v009"), 2, "there is no version 'v009'"),
        (("samples", "--version", "nine"), 2, "there is no version 'nine'"),
        (("repeat", "v009"), 2, "there is no version 'v009'"),
        (("review",), 0, "nothing is asked at present"),
        (("review", "accept"), 2, "nothing is asked at present"),
        (("stop",), 0, "no runner is at work"),
        (("model", "info", "no-such.gguf"), 2, "there is no such file"),
        (("run", "--max-versions", "99"), 2, "more than the rules allow"),
        (("run", "--until", "nowhere"), 2, "nowhere"),
        (("frobnicate",), 2, "No such command"),
    ],
)
def test_errors_are_one_clear_message(finished: Workspace, arguments: tuple[str, ...], code: int, text: str) -> None:
    done = progtrain(finished, *arguments)
    assert done.returncode == code
    assert text in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_broken_rules_name_file_key_and_fix(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(plain, loop_config={"max_versions": "three"})
    done = progtrain(plain, "run")
    assert done.returncode == 2
    assert "user_defined_rules.json, key loop_config.max_versions" in done.stdout + done.stderr
    assert progtrain(plain, "check").returncode == 2
    assert "key loop_config.max_versions" in progtrain(plain, "status").stdout


def test_debug_shows_the_traceback(finished: Workspace) -> None:
    assert "Traceback" in progtrain(finished, "--debug", "samples", "--version", "v009").stderr


def test_two_runners_at_once(plain: Workspace) -> None:
    started = progtrain(plain, "run", "--yes", "--detach", SECONDS_PER_EPOCH="0.5")
    assert started.returncode == 0
    _until(lambda: as_json(plain, "status", "--json")["running"])
    second = progtrain(plain, "run")
    assert second.returncode == 4 and "another runner is at work" in second.stderr
    assert progtrain(plain, "stop").returncode == 0
    assert as_json(plain, "status", "--json")["status"] == "stopped"


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    assert progtrain(ws, "init", str(tmp_path)).returncode == 0
    assert json.loads(ws.rules.read_text())["loop_config"]["max_versions"] == 10
    again = progtrain(ws, "init", "--example", "wine", str(tmp_path))
    assert again.returncode == 2 and "nothing is overwritten" in again.stderr


def test_what_scripts_print_never_reaches_the_terminal_as_control(plain: Workspace) -> None:
    text = plain.eval_script.read_text()
    plain.eval_script.write_text(
        text.replace("def main():", "def main():\n    raise SystemExit('\\x1b[2J\\x1b]0;gotcha\\x07bad')", 1)
    )
    done = progtrain(plain, "run", "--yes")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert "bad" in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal that is closed sends SIGHUP")
def test_closing_the_terminal_does_not_end_the_loop(plain: Workspace) -> None:
    """The command runs on a terminal of its own, which goes away in mid-training."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["SECONDS_PER_EPOCH"] = "0.3"
        arguments = ["-m", "progtrain.engine.cli.main", "-C", str(plain.root), "run", "--yes", "--max-versions", "1"]
        os.execv(sys.executable, [sys.executable, *arguments])
    _until(lambda: plain.live("v001").parent.exists())
    os.close(terminal)
    os.waitpid(child, 0)
    _until(lambda: as_json(plain, "status", "--json")["status"] == "finished")


def _until(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)

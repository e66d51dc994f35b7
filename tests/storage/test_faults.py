"""A disk that is full at some instant, fails, has no locks or links, or is slow: nothing is lost, and it goes on."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.files import LineReader
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace
from tests.conftest import prepare_plain
from tests.storage.conftest import Faulty
from tests.test_loop import scores
from tests.tui.terminal import Terminal, app

RUN = ("run", "--yes", "--max-versions", "2")


def _seed() -> int:
    return int(os.environ.get("PROGTRAIN_SEED") or random.randrange(10**6))


def _workspace(folder: Path) -> Workspace:
    ws = Workspace(folder / "wörk space")
    ws.root.mkdir(parents=True)
    prepare_plain(ws)
    return ws


def _ends_as_it_should(ws: Workspace, finished: Workspace) -> None:
    """With the fault gone: the same scores, one report, nothing of ours left lying about."""
    assert runner.run(ws, Options(autopilot=True, max_versions=2)) == 0
    assert scores(ws) == scores(finished)
    assert len(list(ws.reports.iterdir())) == 1
    left = [path for path in ws.root.rglob(".*") if path.name.endswith(".tmp") or path.name.startswith(".evaluating-")]
    assert left == []
    starts = [e for e in LineReader(ws.journal).read() if e.get("event") == "step_done" and e.get("step") == "train"]
    assert len({e["version"] for e in starts}) == len(starts), "a training that was done was done again"


def _fails_well(ws: Workspace, faulty: Faulty, number: int, error: int, times: int | None = None) -> int:
    """The fault at one operation, and for so many more. Gives the exit code."""
    faults = f"at={number},errno={error}" + (f",for={times}" if times else "")
    done = faulty(ws, faults, *RUN)
    said = done.stdout + done.stderr
    assert "Traceback" not in said and "an error in progtrain itself" not in said, (number, said)
    # a script whose own file fails has failed by itself; a single fault may pass without harm
    assert done.returncode in (0, 1, 5), (number, said)
    if done.returncode == 5:
        assert "fix:" in said, (number, said)
    return done.returncode


def test_a_disk_that_fails_at_any_operation_loses_nothing(tmp_path: Path, faulty: Faulty, finished: Workspace) -> None:
    seed = _seed()
    sys.stdout.write(f"PROGTRAIN_SEED={seed}\n")
    rng = random.Random(seed)
    ws = _workspace(tmp_path)
    _fails_well(ws, faulty, rng.randrange(1, 400), rng.choice([errno.ENOSPC, errno.EIO, errno.EDQUOT]))
    _ends_as_it_should(ws, finished)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, None], ids=["once", "from then on"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_a_disk_that_fails_at_each_operation_loses_nothing(
    error: int, times: int | None, tmp_path: Path, faulty: Faulty, finished: Workspace
) -> None:
    counted = _workspace(tmp_path / "counted")
    faulty(counted, f"at=1000000,errno={error}", *RUN)
    operations = (tmp_path / "count").stat().st_size
    codes = []
    # PROGTRAIN_EVERY=1: each of them, which takes an hour
    every, seed = int(os.environ.get("PROGTRAIN_EVERY") or 23), _seed()
    for number in range(1 + seed % every, operations, every):
        ws = _workspace(tmp_path / str(number))
        codes.append(_fails_well(ws, faulty, number, error, times))
        _ends_as_it_should(ws, finished)
        shutil.rmtree(ws.root)
    told = ", ".join(f"exit code {code}: {codes.count(code)} times" for code in sorted(set(codes)))
    sys.stdout.write(f"{operations} operations, one in {every} failed, PROGTRAIN_SEED={seed}; {told}\n")


def test_status_knows_why_it_ended_on_a_full_disk(tmp_path: Path, faulty: Faulty) -> None:
    ws = _workspace(tmp_path)
    assert runner.run(ws, Options(autopilot=True, until="analyze")) == 0
    # there is room for a line, but for no file in a new folder
    assert faulty(ws, "mkdir=28", *RUN).returncode == 5
    said = faulty(ws, "", "status").stdout
    assert "failed" in said and "the disk is full" in said and "free some space" in said


def test_without_room_for_a_line_in_the_journal_its_process_says_it(tmp_path: Path, faulty: Faulty) -> None:
    ws = _workspace(tmp_path)
    assert runner.run(ws, Options(autopilot=True, until="initialize")) == 0
    assert faulty(ws, "write=28", *RUN, folder=ws.journal).returncode == 5
    said = faulty(ws, "", "status").stdout
    assert "failed" in said and f"{ws.journal}: the disk is full" in said and "free some space" in said
    assert faulty(ws, "", "run", "--yes", "--until", "train").returncode == 0
    assert "the disk is full" not in faulty(ws, "", "status").stdout


def test_a_stick_without_modes_holds_a_workspace(tmp_path: Path, faulty: Faulty) -> None:
    """One that somebody else has mounted says so to whoever wants to change a mode."""
    ws = _workspace(tmp_path)
    assert faulty(ws, "chmod=1", "run", "--yes", "--max-versions", "2", "--until", "author").returncode == 0
    assert ws.script("v002").is_file()
    assert (ws.drafts("v001").round(1).path / "draft.json").is_file(), "what is copied has no mode either"


def test_a_file_system_without_links_takes_an_answer_once(tmp_path: Path, faulty: Faulty) -> None:
    ws = _workspace(tmp_path)
    assert faulty(ws, "link=1", "run", "--max-versions", "2").returncode == 3
    assert faulty(ws, "link=1", "review", "accept").returncode in (0, 3)
    assert len(ws.versions()) == 2
    assert [path.name for path in ws.inbox.iterdir() if path.suffix == ".tmp"] == []


def test_without_locks_two_runners_are_still_kept_apart(tmp_path: Path, faulty: Faulty) -> None:
    ws = _workspace(tmp_path)
    faults = f"flock={errno.ENOLCK}"
    assert faulty(ws, faults, "run", "--yes", "--detach", "--max-versions", "2").returncode == 0
    try:
        assert faulty(ws, faults, "run", "--yes").returncode == 4
        assert "no runner" not in faulty(ws, faults, "status").stdout
        assert "the file system has no locks" in faulty(ws, faults, "check", "--no-probe").stdout
    finally:
        faulty(ws, faults, "stop", "--wait", "60")


@pytest.mark.slow
def test_a_slow_network_folder_only_takes_longer(tmp_path: Path, faulty: Faulty, finished: Workspace) -> None:
    ws = _workspace(tmp_path)
    assert faulty(ws, "slow=8", *RUN).returncode == 0
    assert scores(ws) == scores(finished)


# a network folder whose server is gone


@pytest.fixture
def hung(waiting: Workspace, layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is there as long as nothing in the workspace answers; not yet."""
    hangs = tmp_path / "hangs"
    told = {"FAULTY_FOLDER": str(waiting.root), "FAULTY_HANGS": str(hangs), "FAULTY": "", "LD_PRELOAD": str(layer)}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return hangs


def test_status_says_which_path_does_not_answer(waiting: Workspace, hung: Path) -> None:
    hung.touch()
    command = [sys.executable, "-P", "-m", "progtrain.engine.cli.main", "-C", str(waiting.root), "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 5
    assert f"progtrain: {waiting.root}" in done.stderr and "has not answered for a while" in done.stderr
    assert "fix: see whether it is mounted" in done.stderr


@pytest.mark.slow
def test_the_app_says_which_path_does_not_answer_and_goes_on_when_it_does(waiting: Workspace, hung: Path) -> None:
    """It answers keys meanwhile, and ends at once."""
    shown = Terminal(app(waiting), (120, 40))
    try:
        shown.until(b"press enter or r", 60)
        hung.touch()
        shown.until(b"has not answered", 60)
        since = len(shown.written)
        os.write(shown.master, b"?")
        shown.until(b"Previous hit", 60, since)
        hung.unlink()
        since = len(shown.written)
        os.write(shown.master, b"\x1b")
        shown.until(b"press enter or r", 60, since)
        hung.touch()
        os.write(shown.master, b"q")
        shown.until(b"ended with ", 60)
        assert shown.ended() == 0
    finally:
        shown.close()


@pytest.mark.slow
def test_the_app_does_not_begin_where_nothing_answers(waiting: Workspace, hung: Path) -> None:
    hung.touch()
    shown = Terminal(app(waiting))
    try:
        shown.until(b"ended with ", 120)
        assert shown.ended() == 5
        assert b"has not answered for a while" in shown.written
    finally:
        shown.close()

"""Whatever a probed script does to files is told and taken back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import LIVE
from tests.live.test_sitecustomize import python

FILES = {"old.csv": "1,2\n", "log.txt": "first\n", "sub/deep.txt": "deep", "sub/more/x.bin": "x", "linked.txt": "aim"}
SLEEP = "import time\ntime.sleep(60)\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "link").symlink_to("linked.txt")
    return folder


def probe(here: Path, text: str) -> dict[str, Any]:
    done = python(here, text, PROGTRAIN_PROBE_FILE=str(here.parent / "probe.json"))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((here.parent / "probe.json").read_text())
    assert found["faults"] == []
    return found["files"]


def unchanged(here: Path) -> bool:
    found = {path.relative_to(here).as_posix() for path in here.rglob("*") if not path.is_dir() or path.is_symlink()}
    same = all((here / name).read_text() == content for name, content in FILES.items())
    return same and found == {*FILES, "link", "script.py"} and (here / "link").readlink() == Path("linked.txt")


CHANGES = [
    ("open('old.csv', 'w').write('x')", ["old.csv"]),
    ("open('old.csv', 'r+').write('x')", ["old.csv"]),
    ("f = open('log.txt', 'a'); f.write('x'); f.flush(); f.write('y')", ["log.txt"]),
    ("open('link', 'w').write('x')", ["linked.txt"]),
    ("import os; os.remove('old.csv'); open('old.csv', 'w').write('y')", ["old.csv"]),
    ("import os; os.remove('link')", []),
    ("import shutil; shutil.rmtree('sub'); import os; os.makedirs('sub/new'); open('sub/new/a', 'w').close()", ["sub"]),
    (
        "import os; open('t.tmp', 'w').close(); os.replace('t.tmp', 'old.csv'); os.rename('old.csv', 'older.csv')",
        ["old.csv"],
    ),
    ("import os; os.rename('sub', 'moved'); open('moved/deep.txt', 'a').write('more')", ["moved/deep.txt"]),
    ("import os; os.rename('sub/deep.txt', 'log.txt'); open('log.txt', 'w').close()", ["log.txt"]),
    ("import os; os.rename('log.txt', 'l.1'); f = open('log.txt', 'a'); f.write('new'); f.flush()", []),
    ("import os; os.mkdir('b'); os.rename('old.csv', 'b/old.csv'); open('b/old.csv', 'a').write('x')", ["b/old.csv"]),
    ("import os, shutil; os.mkdir('b'); os.rename('old.csv', 'b/old.csv'); shutil.rmtree('b')", ["b"]),
    (
        "import os\nfor i in 'ab':\n    open('t', 'w').close()\n    os.replace('t', 'out')\n    open('t', 'w').close()",
        [],
    ),
    ("open('log.txt', 'a').write('x'); open('log.txt', 'w').write('y'); open('log.txt', 'a').write('z')", ["log.txt"]),
    ("import os; os.symlink('old.csv', 'new_link'); os.link('old.csv', 'hard')", []),
    ("import os\ntry: os.rename('sub', 'old.csv')\nexcept OSError: pass", None),
    ("import sqlite3; c = sqlite3.connect('db.sqlite'); c.execute('create table t (x)'); c.commit()", []),
    ("import os; os.truncate('old.csv', 1)", ["old.csv"]),
]


@pytest.mark.parametrize("text, restored", CHANGES)
def test_changes_are_taken_back(here: Path, text: str, restored: list[str] | None) -> None:
    files = probe(here, text)
    assert unchanged(here)
    assert restored is None or files["restored"] == restored
    assert files["not_restored"] == [] and sorted(path.name for path in here.parent.iterdir()) == ["here", "probe.json"]


def test_what_is_read_is_told_and_no_code(here: Path) -> None:
    (here / "helper.py").write_text("WORD = open('linked.txt').read()\n")
    text = """
import csv, json, helper, os, email.mime.text
rows = list(csv.reader(open("old.csv")))
os.listdir("sub")
open("new.txt", "w").write("x")
open("new.txt").read()
try: open("not there.txt")
except OSError: pass
"""
    files = probe(here, text)
    assert (files["read"], files["listed"]) == (["linked.txt", "old.csv"], ["sub"])
    assert (files["written"], files["removed"]) == (["new.txt"], ["new.txt"])


def test_a_probe_that_was_killed_is_taken_back_by_the_next(here: Path) -> None:
    text = "open('old.csv', 'w').write('x')\nopen('new.txt', 'w').close()\nprint('now', flush=True)\n" + SLEEP
    (here / "script.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(LIVE), "PROGTRAIN_PROBE_FILE": str(here.parent / "probe.json")}
    process = subprocess.Popen([sys.executable, "script.py"], cwd=here, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"now\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert not unchanged(here)
    probe(here, "print('hello')")
    assert unchanged(here)


def test_a_request_to_end_leaves_nothing_either(here: Path) -> None:
    text = "open('old.csv', 'w').write('x')\nprint('now', flush=True)\n" + SLEEP
    (here / "script.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(LIVE), "PROGTRAIN_PROBE_FILE": str(here.parent / "probe.json")}
    process = subprocess.Popen([sys.executable, "script.py"], cwd=here, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    assert process.wait(60) == 143 and time.monotonic() - begun < 45
    process.stdout.close()
    assert unchanged(here) and json.loads((here.parent / "probe.json").read_text())["reached"] == "killed"


PROGRAMS: list[tuple[str, list[str]]] = [
    ("os.system('mkdir -p new/deep; touch new/deep/a.py; echo more >> old.csv')", ["old.csv"]),
    ("os.system('rm -r sub link; echo x > linked.txt')", ["link", "linked.txt", "sub", "sub/deep.txt", "sub/more"]),
    ("subprocess.run(['mv', 'old.csv', 'sub/older.csv'], check=True)", ["old.csv"]),
    ("open('out', 'w').close(); os.remove('log.txt'); os.system('rm out; touch log.txt')", ["log.txt"]),
    ("os.rename('sub', 'moved'); os.system('echo x > moved/deep.txt; echo y > old.csv')", ["old.csv"]),
    ("os.mkdir('out'); subprocess.run('touch out/b; mv old.csv out/', shell=True)", ["old.csv"]),
    ("os.posix_spawn('/bin/rm', ['rm', 'old.csv'], os.environ); os.wait()", ["old.csv"]),
    ("subprocess.run([sys.executable, '-I', '-c', 'open(\"old.csv\", \"w\")'])", ["old.csv"]),
    # interpreters that listen too
    ('subprocess.run([sys.executable, \'-c\', \'open("old.csv", "w"); open("new.py", "w")\'])', ["old.csv"]),
    ("subprocess.run([sys.executable, '-c', 'import os; os.system(\"rm old.csv\")'])", ["old.csv"]),
]


@pytest.mark.parametrize("text, restored", PROGRAMS)
def test_what_other_programs_change_is_taken_back(here: Path, text: str, restored: list[str]) -> None:
    files = probe(here, "import os, subprocess, sys\n" + text)
    assert unchanged(here), files
    assert set(restored) <= set(files["restored"]) and files["not_restored"] == []


def test_what_a_person_may_have_written_meanwhile_is_told_and_stays(here: Path) -> None:
    text = "import os\nos.system('echo x > notes.md; echo y >> script.py; echo z >> old.csv')"
    files = probe(here, text)
    assert (here / "notes.md").exists() and (here / "script.py").read_text().endswith("y\n")
    assert (files["not_restored"], files["restored"]) == (["notes.md", "script.py"], ["old.csv"])


@pytest.mark.parametrize("copying", [False, True], ids=["works there", "copies into it"])
def test_where_somebody_else_is_at_work_nothing_of_it_is_touched(here: Path, tmp_path: Path, copying: bool) -> None:
    """A training that runs beside a check keeps its checkpoints, and what is downloaded meanwhile stays."""
    at_work = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', *sys.argv[2:]], cwd=sys.argv[1]).wait()"
    copied = here / "downloaded.bin"
    what = ["import sys; file = open(sys.argv[1], 'wb'); input()", str(copied)] if copying else ["input()"]
    where = Path("/") if copying else here
    process = subprocess.Popen([sys.executable, "-c", at_work, str(where), *what], stdin=subprocess.PIPE)
    try:
        for _ in range(3000):
            there = any(path.name.isdigit() and works_in(path, here) for path in Path("/proc").iterdir())
            if copied.exists() if copying else there:
                break
            time.sleep(0.02)
        files = probe(here, "import os\nos.system('mkdir new; touch new/best.ckpt; rm old.csv')")
    finally:
        process.communicate()
    assert (here / "new" / "best.ckpt").exists() and not (here / "old.csv").exists()
    assert files["not_restored"] == ["new", "old.csv"] and "is at work in the folder too" in files["not_restored_why"]
    assert copied.exists() is copying


def works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink() == folder
    except OSError:
        return False


def test_a_program_that_is_left_behind_writes_no_more(here: Path) -> None:
    loop = "while true; do echo x >> old.csv; sleep 0.01; done"
    text = f"import os, subprocess, time\nsubprocess.Popen({loop!r}, shell=True)\n"
    probe(here, text + "while os.path.getsize('old.csv') < 10: time.sleep(0.01)")
    assert unchanged(here)
    time.sleep(0.1)
    assert unchanged(here)

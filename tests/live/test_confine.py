"""A process that has given up rights, as the kernel sees it: real files, real refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from progtrain.engine.live import progtrain_confine as confine

LIVE = Path(confine.__file__).parent

try:
    confine.version()
except OSError as error:
    pytest.skip(str(error.strerror), allow_module_level=True)


def _told(tmp_path: Path, restricted: str, *tries: str) -> list[str]:
    """What becomes of each statement in a process with fewer rights: "done", or the name of its error."""
    code = f"""
import json, os, subprocess, sys
sys.path.insert(0, {str(LIVE)!r})
import progtrain_confine
progtrain_confine.restrict({restricted})
told = []
for statement in {tries!r}:
    try:
        exec(statement)
        told.append("done")
    except Exception as error:
        told.append(type(error).__name__)
print(json.dumps(told))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    told: list[str] = json.loads(done.stdout)
    return told


def test_nothing_is_changed_outside_the_folders_that_stay_writable(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "kept.txt").write_text("as it was")
    (tmp_path / "mine/way-out").symlink_to(tmp_path)
    told = _told(
        tmp_path,
        f"writable=[{str(tmp_path / 'mine')!r}, '/dev']",
        "open('mine/a', 'w').write('x'); os.makedirs('mine/d'); os.rename('mine/a', 'mine/d/b')",
        "open('/dev/null', 'w').write('x')",
        "open('kept.txt').read()",
        "open('new.txt', 'w')",
        "open('kept.txt', 'a')",
        "open('mine/way-out/kept.txt', 'w')",
        "os.truncate('kept.txt', 0)",
        "os.unlink('kept.txt')",
        "os.rename('mine/d/b', 'kept.txt')",
        "os.rename('kept.txt', 'mine/stolen')",
        "os.mkdir('folder')",
        "os.symlink('kept.txt', 'link')",
        "subprocess.run(['sh', '-c', 'echo x > kept.txt'], check=True, stderr=subprocess.DEVNULL)",
    )
    assert told[:3] == ["done"] * 3
    assert "done" not in told[3:]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.txt", "mine"]
    assert (tmp_path / "kept.txt").read_text() == "as it was"


def test_hidden_files_are_not_read_by_any_way_that_leads_there(tmp_path: Path) -> None:
    (tmp_path / "data/valid").mkdir(parents=True)
    (tmp_path / "data/train").mkdir()
    (tmp_path / "data/valid/labels.csv").write_text("1,0,1")
    (tmp_path / "data/train/labels.csv").write_text("0,0,1")
    (tmp_path / "short").symlink_to(tmp_path / "data/valid")
    (tmp_path / "up").symlink_to(tmp_path / "data")
    told = _told(
        tmp_path,
        f"hidden=[{str(tmp_path / 'data/valid')!r}, {str(tmp_path / 'never-there')!r}]",
        "open('data/train/labels.csv').read(); import csv; open('new', 'w').write('x')",
        "os.listdir('data/valid')",
        "open('data/valid/labels.csv').read()",
        "open('short/labels.csv').read()",
        "open('up/valid/labels.csv').read()",
        "os.link('data/valid/labels.csv', 'mine'); open('mine').read()",
        "os.rename('data/valid', 'moved'); open('moved/labels.csv').read()",
        "subprocess.run(['cat', 'data/valid/labels.csv'], check=True, stderr=subprocess.DEVNULL)",
    )
    assert told[:2] == ["done"] * 2
    assert "done" not in told[2:]


def test_a_single_file_may_be_hidden_or_stay_writable(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    told = _told(
        tmp_path,
        f"writable=[{str(tmp_path / 'a')!r}], hidden=[{str(tmp_path / 'b')!r}]",
        "open('a', 'w').write('x')",
        "open('c').read()",
        "open('b').read()",
        "open('c', 'w')",
    )
    assert told == ["done", "done", "PermissionError", "PermissionError"]

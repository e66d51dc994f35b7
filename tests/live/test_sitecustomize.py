"""The folder on the path of a script: what ran before still runs, and without a question of ours nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.conftest import LIVE


def python(folder: Path, text: str, *path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `text` as script.py in `folder`, with our folder and then `path` on its path."""
    (folder / "script.py").write_text(text)
    found = {name: value for name, value in os.environ.items() if not name.startswith("PROGTRAIN_")}
    found["PYTHONPATH"] = os.pathsep.join(map(str, (LIVE, *path)))
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env={**found, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def other(tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.from_other = __file__\n")
    return folder


def test_without_our_variables_nothing_of_ours_is_imported(tmp_path: Path, other: Path) -> None:
    text = (
        "import sys\nprint(sys.from_other, [n for n in sys.modules if n.startswith('progtrain')], len(sys.meta_path))"
    )
    done = python(tmp_path, text, other)
    plain = subprocess.run(
        [sys.executable, "-c", "import sys; print(len(sys.meta_path))"], capture_output=True, text=True
    )
    assert done.stdout.split() == [str(other / "sitecustomize.py"), "[]", plain.stdout.strip()]


def test_the_other_sitecustomize_runs_with_a_probe_too(tmp_path: Path, other: Path) -> None:
    text = "import sys, sitecustomize\nprint(sys.from_other == sitecustomize.__file__)"
    done = python(tmp_path, text, other, PROGTRAIN_PROBE_FILE=str(tmp_path / "probe.json"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    assert json.loads((tmp_path / "probe.json").read_text())["reached"] == "ended"


def test_an_error_of_the_other_one_is_told_as_ever(tmp_path: Path, other: Path) -> None:
    (other / "sitecustomize.py").write_text("1 / 0\n")
    done = python(tmp_path, "print('ran')", other, PROGTRAIN_PROBE_FILE=str(tmp_path / "probe.json"))
    assert done.stdout == "ran\n" and "ZeroDivisionError" in done.stderr
    assert (tmp_path / "probe.json").exists()


def test_a_probe_that_cannot_be_set_up_does_not_become_a_training(tmp_path: Path) -> None:
    environment = {"PROGTRAIN_PROBE_FILE": str(tmp_path / "probe.json"), "PROGTRAIN_MEASURE": "{"}
    done = python(tmp_path, "print('ran')", **environment)
    assert (done.returncode, done.stdout) == (70, "") and "the probe cannot be set up: JSONDecodeError" in done.stderr


def test_several_may_wait_for_one_module(tmp_path: Path) -> None:
    text = (
        "import progtrain_hooks as hooks\nfor word in ('one', 'two'):\n"
        "    hooks.when_imported('wave', lambda module, word=word: print(word, module.__name__))\nimport wave"
    )
    assert python(tmp_path, text).stdout.split() == ["one", "wave", "two", "wave"]


def test_modules_are_hooked_without_being_changed(tmp_path: Path) -> None:
    (tmp_path / "lib" / "transformers").mkdir(parents=True)
    (tmp_path / "lib" / "transformers" / "__init__.py").write_text("")
    (tmp_path / "lib" / "transformers" / "trainer.py").write_text("WORD = 'as it is'\n")
    text = """
import inspect, transformers.trainer as t
print(t.WORD, type(t.__spec__.loader).__name__, inspect.getsource(t).strip())
import surely_not_there
"""
    done = python(tmp_path, text, tmp_path / "lib", PROGTRAIN_LIVE_FILE=str(tmp_path / "live.jsonl"))
    assert done.stdout == "as it is SourceFileLoader WORD = 'as it is'\n"
    assert "No module named 'surely_not_there'" in done.stderr and "progtrain" not in done.stderr


def test_an_error_is_told_where_the_script_has_its_own_hook_for_it(tmp_path: Path) -> None:
    text = "import sys\nsys.excepthook = lambda *error: print('mine', error[1])\nraise KeyError('epochs')\n"
    done = python(tmp_path, text, PROGTRAIN_PROBE_FILE=str(tmp_path / "probe.json"))
    found = json.loads((tmp_path / "probe.json").read_text())
    assert (done.returncode, done.stdout, found["reached"]) == (1, "mine 'epochs'\n", "exception")
    assert (found["exception"]["type"], found["exception"]["line"]) == ("KeyError", 3)


def test_a_child_of_the_script_tells_of_no_probe(tmp_path: Path) -> None:
    text = """
import os, subprocess, sys
code = "print('in the child')"
done = subprocess.run([sys.executable, "-c", code], capture_output=True)
print(done.stdout.decode().strip(), "PROGTRAIN_PROBE_FILE" in os.environ)
if os.fork() == 0:
    open("from_child.txt", "w").close()
    sys.exit(0)
os.wait()
"""
    done = python(tmp_path, text, PROGTRAIN_PROBE_FILE=str(tmp_path / "probe.json"))
    assert (done.returncode, done.stdout) == (0, "in the child False\n")
    assert json.loads((tmp_path / "probe.json").read_text())["faults"] == []

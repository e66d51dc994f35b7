"""`progtrain check`: everything that is wrong, at once and before anything is trained."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from progtrain.engine.cli import imports
from progtrain.engine.workspace import Workspace
from tests.cli.commands import as_json, progtrain

EditRules = Callable[..., None]


def errors(ws: Workspace, *arguments: str) -> list[str]:
    done = progtrain(ws, "check", "--json", *arguments)
    found = json.loads(done.stdout)
    assert (done.returncode == 0) == found["ready"]
    return [row["text"] for row in found["rows"] if row["state"] == "error"]


def replace_baseline(ws: Workspace, top: str) -> None:
    ws.baseline_script.write_text(top + "\n" + ws.baseline_script.read_text())


def test_a_workspace_that_is_ready(plain: Workspace) -> None:
    assert errors(plain) == []


@pytest.mark.parametrize("name", ["train", "valid"])
def test_an_empty_folder_of_data_is_an_error_before_the_training(plain: Workspace, name: str) -> None:
    folder = plain.split("toy_v1", name)
    shutil.rmtree(folder)
    (folder / "below").mkdir(parents=True)
    assert errors(plain) == [f"{folder}: the folder holds no file"]
    done = progtrain(plain, "run", "--yes")
    assert done.returncode == 2 and f"{folder}: the folder holds no file" in done.stderr
    assert not plain.versions()


def test_a_model_that_is_not_there_is_told_once(plain: Workspace, edit_rules: EditRules) -> None:
    edit_rules(plain, advisor_config={"model": "nowhere.gguf"}, loop_config={"max_versions": 2})
    assert progtrain(plain, "check").stdout.count("nowhere.gguf") == 1
    done = progtrain(plain, "run", "--yes")
    assert done.returncode == 0 and (done.stdout + done.stderr).count("nowhere.gguf: ") == 1
    assert "until it is there, the rules alone draft" in done.stderr


def test_a_metric_that_only_the_script_knows_is_told(plain: Workspace, edit_rules: EditRules) -> None:
    own = {"name": "agreement", "higher_is_better": True}
    edit_rules(plain, eval_config={"metrics": ["accuracy", "smape", "bce", "macro_f1", "fid", own]})
    told = [row["text"] for row in as_json(plain, "check", "--json")["rows"] if "is not worked out" in row["text"]]
    assert [text.split()[0] for text in told] == ["fid", "agreement"]


def test_a_module_that_is_missing_is_named_with_its_line(plain: Workspace) -> None:
    replace_baseline(plain, '"""Trains."""\nimport no_such_package.sub as x')
    (found,) = errors(plain)
    assert found == "02_train_baseline.py, line 2: there is no module no_such_package"


def test_a_module_that_a_module_of_ones_own_imports(plain: Workspace) -> None:
    replace_baseline(plain, "import helpers")
    (plain.root / "helpers.py").write_text("raise SystemExit('this is not to be run')\nfrom gone.away import x\n")
    assert errors(plain) == ["helpers.py, line 2: there is no module gone"]


@pytest.mark.parametrize(
    "optional",
    [
        "try:\n    import gone\nexcept ImportError:\n    gone = None",
        "try:\n    import gone\nexcept (KeyError, ModuleNotFoundError):\n    import gone2",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gone",
        pytest.param("import sys\nif sys.version_info < (3, 1):\n    import gone", marks=pytest.mark.slow),
        pytest.param(
            "import contextlib\nwith contextlib.suppress(ImportError):\n    import gone", marks=pytest.mark.slow
        ),
        pytest.param("def later():\n    import gone", marks=pytest.mark.slow),
        "import progtrain_live",
        pytest.param("import xml.dom, csv", marks=pytest.mark.slow),
    ],
)
def test_what_need_not_be_there_is_no_error(plain: Workspace, optional: str) -> None:
    replace_baseline(plain, optional)
    assert errors(plain) == []


def test_imports_below_the_main_guard_and_in_other_tries_are_needed(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "try:\n    import one\nexcept KeyError:\n    pass\nfinally:\n    import two\n"
        'if __name__ == "__main__":\n    import three\nfrom . import not_this\n'
    )
    assert {name: line for name, (_, line) in imports.needed(script).items()} == {"one": 2, "two": 6, "three": 8}


def test_all_errors_are_listed(plain: Workspace, edit_rules: EditRules) -> None:
    """In rules, data, scripts and the model, whatever is wrong with the others."""
    edit_rules(plain, loop_config={"max_versions": "three", "branch_from": "best?"}, eval_config={"metrics": 7})
    edit_rules(plain, training_config={"optimizer": {}})
    shutil.rmtree(plain.split("toy_v1", "train"))
    plain.split("toy_v1", "train").mkdir()
    plain.stats("toy_v1").write_text("{")
    replace_baseline(plain, "import gone")
    found = errors(plain, "--model", "none.gguf", "--python", "/nowhere/python")
    for text in (
        "key loop_config.max_versions",
        "key loop_config.branch_from",
        "key eval_config.metrics",
        "key training_config.optimizer",
        "the folder holds no file",
        "stats.json, line 1",
        "none.gguf: there is no such file",
        "/nowhere/python",
    ):
        assert [error for error in found if text in error], text
    assert len(found) == 8
    assert "02_train_baseline.py, line 1: there is no module gone" in errors(plain)


def test_a_data_set_that_is_not_named_hides_nothing_else(plain: Workspace, edit_rules: EditRules) -> None:
    edit_rules(plain, dataset_config={"dataset_id": None})
    replace_baseline(plain, "import gone")
    found = errors(plain)
    assert len(found) == 2 and "no dataset_id" in found[0] and "no module gone" in found[1]


# models


@pytest.mark.parametrize("command", [("run",), ("step", "train"), ("run", "--dry-run")], ids=" ".join)
def test_a_model_that_is_not_there_is_refused_at_once(plain: Workspace, command: tuple[str, ...]) -> None:
    done = progtrain(plain, *command, "--model", "none.gguf")
    assert done.returncode == 2 and done.stdout == ""
    assert "none.gguf, --model: there is no such file" in done.stderr
    assert not plain.own.exists()


def test_a_model_of_the_rules_that_is_not_there_is_told_before_the_training(
    plain: Workspace, edit_rules: EditRules
) -> None:
    edit_rules(plain, advisor_config={"model": "none.gguf"})
    row = next(row for row in as_json(plain, "check", "--json")["rows"] if row["area"] == "model")
    assert row["state"] == "warning" and "none.gguf" in row["text"]
    done = progtrain(plain, "run", "--yes", "--until", "train")
    assert done.returncode == 0
    assert "none.gguf; until it is there, the rules alone draft" in done.stderr


def test_an_interpreter_in_the_workspace_is_found_and_named(plain: Workspace) -> None:
    other = plain.root / ".venv" / "bin" / "python"
    other.parent.mkdir(parents=True)
    other.symlink_to(sys.executable)
    (note,) = [row["text"] for row in as_json(plain, "check", "--json")["rows"] if "your scripts' own" in row["text"]]
    assert note.startswith("there are interpreters that may be your scripts' own: progtrain run --python ")
    assert str(other) in note


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_check_that_is_ended_ends_the_script_that_it_runs(plain: Workspace, number: signal.Signals) -> None:
    plain.baseline_script.write_text(
        "import os, time, torch\nopen('here', 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )
    command = [sys.executable, "-m", "progtrain", "-C", str(plain.root), "check"]
    checking = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    here, until = plain.root / "here", time.monotonic() + 60
    while not (here.exists() and here.read_text()):
        assert time.monotonic() < until and checking.poll() is None
        time.sleep(0.05)
    script = psutil.Process(int(here.read_text()))
    checking.send_signal(number)
    assert checking.wait(60) == 128 + number
    assert not script.is_running()
    assert not here.exists()

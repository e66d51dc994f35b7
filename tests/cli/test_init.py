"""`progtrain init` where it cannot write, and an example whose packages are not installed."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from progtrain.engine import examples
from progtrain.engine.workspace import Workspace
from tests.cli.commands import PROGTRAIN, progtrain


@pytest.mark.parametrize("example", [(), ("--example", "wine")], ids=["empty", "example"])
def test_a_place_that_cannot_be_written_is_one_message(tmp_path: Path, example: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("")
    done = progtrain(Workspace(tmp_path), "init", *example, str(tmp_path / "file" / "below"))
    assert done.returncode == 5
    assert "cannot be written" in done.stderr and "fix:" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 2


def test_an_example_without_its_packages_writes_nothing_and_can_go_on(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare")
    python = str(tmp_path / "bare" / "bin" / "python")
    ws = Workspace(tmp_path / "new")
    done = progtrain(Workspace(tmp_path), "init", "--example", "digits", "--python", python, str(ws.root))
    assert done.returncode == 2
    assert "sklearn" in done.stderr and "-m pip install 'progtrain[examples]'" in done.stderr
    assert not ws.root.exists()
    assert progtrain(Workspace(tmp_path), "init", "--example", "digits", str(ws.root)).returncode == 0
    assert ws.stats("digits_v1").is_file()


def test_an_example_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    assert progtrain(ws, "init", "--example", "wine", str(tmp_path)).returncode == 0
    ws.baseline_script.unlink()
    again = progtrain(ws, "init", "--example", "wine", str(tmp_path))
    assert again.returncode == 0
    assert [line for line in again.stdout.splitlines() if line.startswith("wrote /")] == [f"wrote {ws.baseline_script}"]


def test_a_folder_with_a_name_that_needs_quotes(tmp_path: Path) -> None:
    done = subprocess.run([*PROGTRAIN, "init", "a b"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "next: cd 'a b' && progtrain check" in done.stdout


def test_the_interpreter_must_be_one(tmp_path: Path) -> None:
    done = progtrain(Workspace(tmp_path), "init", "--example", "wine", "--python", "/bin/true", str(tmp_path / "x"))
    assert done.returncode == 2 and "no Python" in done.stderr and sys.executable not in done.stderr
    assert not (tmp_path / "x").exists()


def test_rules_that_nobody_has_filled_in_are_known_as_such_also_those_of_before_repeats(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    examples.write_empty(tmp_path)
    assert examples.is_empty_rules(ws.rules)
    rules = json.loads(ws.rules.read_text())
    assert rules["eval_config"]["repeats"] == "auto" and "branch_from" not in rules["loop_config"]
    del rules["eval_config"]["repeats"]
    rules["loop_config"]["branch_from"] = "latest"
    ws.rules.write_text(json.dumps(rules))
    assert examples.is_empty_rules(ws.rules)
    rules["loop_config"]["max_versions"] = 3
    ws.rules.write_text(json.dumps(rules))
    assert not examples.is_empty_rules(ws.rules)

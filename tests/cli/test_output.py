"""What reaches a terminal or a pipe: no control characters of others, no escape sequence where none is wanted."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from progtrain.engine.cli.main import COMMANDS, Commands
from progtrain.engine.cli.main import progtrain as group
from progtrain.engine.cli.output import shell, table
from progtrain.engine.workspace import Workspace
from tests.cli.commands import PROGTRAIN, on_terminal, progtrain

HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9bm"
CLI = Path(__file__).parents[2] / "engine" / "cli"


@pytest.mark.parametrize("arguments", [("run", "--dry-run"), ("step", "train"), ("check",), ("status",)], ids=" ".join)
def test_a_hostile_key_in_the_rules_is_told_without_its_escapes(plain: Workspace, arguments: tuple[str, ...]) -> None:
    key = json.dumps(HOSTILE + "twice")
    plain.rules.write_text(f"{{{key}: 1, {key}: 2}}")
    written = on_terminal(plain, *arguments, NO_COLOR="1")
    assert "twice" in written
    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f]", written) == []


@pytest.mark.parametrize(
    "arguments",
    [("samples", "--version", HOSTILE), ("run", "--until", HOSTILE), (HOSTILE,), ("run", "--python", HOSTILE)],
    ids=["version", "choice", "command", "path"],
)
def test_what_is_typed_comes_back_without_its_escapes(plain: Workspace, arguments: tuple[str, ...]) -> None:
    written = on_terminal(plain, *arguments, NO_COLOR="1")
    assert "\x1b" not in written and "\x9b" not in written and "\x07" not in written


def test_json_has_no_control_characters_either(plain: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(plain, dataset_config={"dataset_id": f"d{HOSTILE}"})
    done = progtrain(plain, "status", "--json")
    assert "\x9b" not in done.stdout and "\x1b" not in done.stdout
    assert json.loads(done.stdout)["dataset_id"] == f"d{HOSTILE}"


@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1"}, pytest.param({"TERM": "dumb"}, marks=pytest.mark.slow)], ids=str
)
def test_no_escape_sequence_where_none_is_wanted(plain: Workspace, environment: dict[str, str]) -> None:
    live = '{"epoch": 1, "epochs": 6, "step": 3, "steps": 60}'
    text = plain.baseline_script.read_text()
    writing = f"    Path(os.environ['PROGTRAIN_LIVE_FILE']).write_text('{live}\\n')\n    main()\n"
    plain.baseline_script.write_text(text.replace("    main()\n", writing))
    run = on_terminal(plain, "run", "--yes", "--max-versions", "1", SECONDS_PER_EPOCH="0.2", **environment)
    assert "epoch 1/6  step 3/60" in run
    pages = [on_terminal(plain, *command, **environment) for command in (["docs", "commands"], ["check"], ["status"])]
    assert [text for text in (run, *pages) if "\x1b" in text] == []


def test_on_a_terminal_headings_are_bold(finished: Workspace) -> None:
    assert "\x1b[1m" in on_terminal(finished, "leaderboard")
    assert "\x1b" not in progtrain(finished, "leaderboard").stdout


@pytest.mark.parametrize("command", ["leaderboard", "journal --all", "--help", "docs file_formats", "status --json"])
def test_a_reader_that_goes_away_is_no_error(finished: Workspace, command: str) -> None:
    """Whether it goes before the first line or while progtrain ends."""
    for reader in ("true", "head -n 1", "sleep 0.5"):
        line = f"{shell(*PROGTRAIN, '-C', finished.root)} {command} | {reader} >/dev/null; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, timeout=60)
        assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_journal_that_is_no_file_is_one_message_and_status_goes_on(plain: Workspace) -> None:
    plain.journal.parent.mkdir()
    plain.journal.mkdir()
    shown = progtrain(plain, "status")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f": {plain.journal}: cannot be read: it is a folder" in shown.stdout and "fix:" in shown.stdout
    done = progtrain(plain, "journal")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr and "fix:" in done.stderr and str(plain.journal) in done.stderr


def test_a_terminal_without_unicode_gets_other_signs(finished: Workspace) -> None:
    done = progtrain(finished, "status", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "v001" in done.stdout


# tables


def test_wide_characters_are_two_cells() -> None:
    text = table(("model", "n"), [("模型", 1), ("abcd", 22), ("é", 3)], right=(1,))
    assert text == "model   n\n模型    1\nabcd   22\né       3"
    assert {cell_len(line) for line in text.splitlines()} == {9}


def test_a_long_last_cell_is_folded_below_itself() -> None:
    text = table(("version", "action"), [("v001", "one two three four five six seven")], width=30)
    assert text == "version  action\nv001     one two three four\n         five six seven"


def test_no_line_is_wider_than_the_terminal() -> None:
    rows = [("模型" * 20, "x" * 40, "word " * 30)]
    text = table(("a", "b", "c"), rows, width=50)
    assert max(cell_len(line) for line in text.splitlines()) <= 50
    assert "…" in text


def test_a_pipe_gets_whole_cells(finished: Workspace) -> None:
    assert progtrain(finished, "status", COLUMNS="20").stdout == progtrain(finished, "status", COLUMNS="200").stdout
    assert max(map(len, on_terminal(finished, "leaderboard", columns=60, NO_COLOR="1").splitlines())) <= 60


# commands that are printed to be copied, and the list of commands


def test_printed_commands_can_be_copied(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    assert "cd 'a b' && progtrain check" in progtrain(ws, "init", str(tmp_path / "x")).stdout.replace(
        str(tmp_path / "x"), "'a b'"
    )
    done = subprocess.run([*PROGTRAIN, "init", "a b"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "cd 'a b' && progtrain check" in done.stdout


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    assert isinstance(group, Commands)
    context = group.make_context("progtrain", [], resilient_parsing=True)
    for name, text in COMMANDS.items():
        found = group.get_command(context, name)
        assert found is not None and found.help is not None
        assert found.help.split("\n\n")[0] == text


def test_only_one_module_writes() -> None:
    writing = re.compile(r"click\.(echo|secho)\(|(?<![\w.])print\(|sys\.std(out|err)\.write")
    assert [p.name for p in sorted(CLI.glob("*.py")) if writing.search(p.read_text())] == ["imports.py", "output.py"]


def test_python_m_progtrain_and_the_version(tmp_path: Path) -> None:
    import progtrain as package

    done = subprocess.run([*PROGTRAIN, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split()[-1] == package.__version__

"""A workspace from anybody: whatever lies in it, those who look at it say so in a line, and end."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from progtrain.engine.control.launch import Options
from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader, lines_of, opened, read_bytes, read_json, read_text, try_read_json
from progtrain.engine.jobs import alive
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace
from progtrain.engine.yaml_text import read_mapping
from tests.cli.commands import PROGTRAIN
from tests.conftest import prepare_plain
from tests.hostile import looking, mutations


@pytest.mark.parametrize("name", ["finished", "review"])
def test_files_that_were_changed_are_lived_with(name: str, tmp_path: Path) -> None:
    looking.try_out(looking.unpacked(name, tmp_path), tmp_path, range(20), looking.other_bytes, 3)


def test_what_is_no_file_is_lived_with(tmp_path: Path) -> None:
    looking.try_out(looking.unpacked("review", tmp_path), tmp_path, range(12), looking.no_file, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["finished", "review"])
def test_five_thousand_hostile_files_are_lived_with(name: str, in_memory: Path) -> None:
    """10,000 for the two of them, 50,000 commands."""
    whole = looking.unpacked(name, in_memory)
    sys.stdout.write(looking.try_out(whole, in_memory, range(1000, 6000), looking.other_bytes, 5))


@pytest.mark.slow
def test_five_hundred_times_no_file_is_lived_with(in_memory: Path) -> None:
    whole = looking.unpacked("finished", in_memory)
    sys.stdout.write(looking.try_out(whole, in_memory, range(1000, 1500), looking.not_to_be_read, 5))


# one at a time


@pytest.mark.parametrize("kind", mutations.OTHERS)
def test_only_ordinary_files_are_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    mutations.OTHERS[kind](path)
    with looking.ending(kind):
        with pytest.raises(InputError) as caught:
            read_text(path)
        assert try_read_json(path) is None
        with pytest.raises(OSError):
            list(lines_of(path))
        assert LineReader(path).look() == []
    assert caught.value.file == str(path)
    assert kind == "nowhere" or caught.value.fix


@pytest.mark.parametrize("name", ["state.json", "claimed"])
def test_what_a_guard_has_told_is_waited_for_by_nobody(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    with looking.ending(name):
        assert alive.told_in(tmp_path) == {}
    path.unlink()
    path.write_text('{"pid": 7}')
    assert alive.told_in(tmp_path) == {"pid": 7}


def test_no_more_is_read_than_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * (1 << 20) + b"y")
    with pytest.raises(OSError, match="larger than 1 MiB"):
        opened(path, 1 << 20)
    with pytest.raises(OSError, match="larger than 1 MiB"):
        read_bytes(path, 1 << 20)
    with pytest.raises(OSError, match="larger than 1 MiB"):
        list(lines_of(path, 1 << 20))
    # what says that it is empty and is not, as the files of the kernel do
    assert read_bytes("/proc/self/status").startswith(b"Name:")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9" * 5000, "a number of 5000 digits"),
        ('{"a": [1, ' + "9" * 400 + "]}", "a number of 400 digits"),
        ("[" * 200 + "]" * 200, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 5000, "nested too deeply"),
        ("\0", "Expecting value"),
    ],
)
def test_json_that_nobody_wrote_is_one_line(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as caught:
        read_json(path)
    assert caught.value.file == str(path) and caught.value.fix and "\n" not in caught.value.located
    assert try_read_json(path) is None


def test_a_hostile_line_of_a_log_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    bad = ["9" * 5000, "[" * 100_000, '{"a": ' + "9" * 400 + "}", '{"a":' * 200 + "1" + "}" * 200, "\0", "[1, 2]"]
    path.write_text("\n".join(['{"a": 1}', *bad, '{"b": 2}']) + "\n")
    assert LineReader(path).read() == [{"a": 1}, {"b": 2}]


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "stand for too many values"),
        ("a: &a [*a]", "stands in what it stands for"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("- " * 100_000, "nested too deeply"),
        ("? " * 100_000, "nested too deeply"),
        ("\n".join(" " * n + "a:" for n in range(300)), "nested too deeply"),
        ("a: " + "9" * 5000, "a number of 5000 digits"),
        ("a: " + ":".join(["1"] * 3000), "digits"),
        ("a: 2024-13-45", "month"),
        ("a: " + "x" * 3_000_000, "larger than"),
        ("a: 1\n---\nb: 2", "second document"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: \0", "characters are not allowed"),
    ],
)
def test_yaml_that_nobody_wrote_is_one_line(text: str, reason: str) -> None:
    """libyaml's own reader ends the process at a hundred thousand brackets."""
    with looking.ending(reason), pytest.raises(InputError, match=reason) as caught:
        read_mapping(text, "experiment.yaml")
    assert caught.value.file == "experiment.yaml" and caught.value.fix


def test_half_a_character_is_written_and_read_as_it_was(tmp_path: Path) -> None:
    from progtrain.engine.files import append_line, write_json

    value = {"path": os.fsdecode(b"caf\xe9.csv"), "half": "\ud800"}
    write_json(tmp_path / "a.json", value)
    append_line(tmp_path / "a.jsonl", value)
    assert read_json(tmp_path / "a.json") == value == LineReader(tmp_path / "a.jsonl").read()[0]


def test_gigabytes_of_nothing_take_no_memory(tmp_path: Path) -> None:
    """A child with 1.5 GiB of address space, and 2 GiB of zero bytes in place of each file that `status` reads."""
    ws = looking.unpacked("review", tmp_path)
    for path in (ws.journal, ws.version("v001").eval_score, ws.drafts("v001").review, ws.eval_script, ws.rules):
        path.unlink(missing_ok=True)
        mutations.OTHERS["sparse"](path)
    done = subprocess.run(
        [*PROGTRAIN, "-C", str(ws.root), "status"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29)),
    )
    assert done.returncode == 0, done.stderr
    assert "user_defined_rules.json" in done.stdout and "larger than" in done.stdout


@pytest.mark.parametrize(
    "name", ["user_defined_rules.json", ".progtrain/journal.jsonl", "Models/Artifacts/v001/spec.json"]
)
def test_a_file_that_may_not_be_read_is_one_line(name: str, tmp_path: Path) -> None:
    ws = looking.unpacked("finished", tmp_path)
    (ws.root / name).chmod(0)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGTRAIN, "-C", str(ws.root), *command],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            preexec_fn=looking.without_roots_rights,
        )

    shown = run("status")
    assert shown.returncode == 0, shown.stderr
    done = run("run", "--dry-run")
    assert "Traceback" not in done.stderr and done.returncode in (0, 2, 5), done.stderr
    if name != "Models/Artifacts/v001/spec.json":
        assert done.returncode == 5 and f"{name}: no permission to read" in done.stderr and "fix:" in done.stderr
        assert "no permission to read" in shown.stdout


def test_titles_clipboards_and_turned_text_reach_no_terminal(tmp_path: Path) -> None:
    ws = looking.unpacked("finished", tmp_path)
    evil = mutations.ESCAPES
    rules = json.loads(ws.rules.read_text())
    for wrong in ({**rules, evil: 1}, {"eval_config": {"primary_metric": evil}}, {"seed": evil}):
        ws.rules.write_text(json.dumps(wrong))
        for command in (("status",), ("run", "--dry-run"), ("leaderboard",), ("check", "--help")):
            looking.look(ws, command, "rules")


@pytest.mark.parametrize(
    "kind", ["step_done", "loop_failed", "warning", "repeat_done", "loop_waiting", "version_authored", "step_started"]
)
def test_a_line_of_the_journal_that_lacks_all_else_is_shown(kind: str, tmp_path: Path) -> None:
    ws = looking.unpacked("finished", tmp_path)
    ws.journal.write_text(json.dumps({"event": kind, "base": "v001", "text": [1], "step": [], "place": {}}) + "\n")
    for command in (("journal",), ("journal", "--json"), ("status",)):
        looking.look(ws, command, kind)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"9" * 5000])
def test_status_says_which_file_is_damaged(content: bytes, tmp_path: Path) -> None:
    ws = looking.unpacked("finished", tmp_path)
    score = ws.version("v002").eval_score
    score.write_bytes(content)
    said = looking.look(ws, ("status",), "a score")
    assert f"warning: {score}" in said and "v001" in said


@pytest.mark.slow
def test_a_loop_goes_through_in_folders_whose_names_are_not_utf8(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / os.fsdecode(b"caf\xe9 \x1b]0;OWNED\x07 [bold]"))
    ws.root.mkdir()
    prepare_plain(ws)
    (ws.split("toy_v1", "train") / os.fsdecode(b"n\xe9.txt")).write_text("x")
    assert runner.run(ws, Options(autopilot=True, max_versions=2)) == 0
    for command in looking.COMMANDS:
        looking.look(ws, command, "as it is")

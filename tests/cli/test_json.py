"""What `--json` prints is what docs/json.md says, key by key."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import pytest

from progtrain.engine.analysis.types import Verdict
from progtrain.engine.control.journal import Kind
from progtrain.engine.status.snapshot import Progress
from progtrain.engine.workspace import Workspace
from tests.cli.commands import as_json, progtrain

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
SECTIONS = {m[1]: m[2] for m in re.finditer(r"^##+ (.+)\n((?:(?!##).*\n)*)", PAGE, re.MULTILINE)}
TYPES = {str: "text", bool: "true or false", int: "number", float: "number", list: "list", dict: "object"}


def documented(section: str) -> dict[str, str]:
    """Key -> type, with the keys of the sections that a type leads to."""
    found: dict[str, str] = {}
    for key, kind in re.findall(r"^\| `([^`]+)` \| ([^|]*?) \|", SECTIONS[section], re.MULTILINE):
        linked = re.search(r"\[(.+?)\]\(#a-(\w+)\)", kind)
        plain = re.sub(r"\[(.+?)\]\(.+?\)", r"\1", kind)
        if linked:
            inner = documented(f"A {linked[2]}")
            prefix = "" if key == "*" else f"{key}."
            found |= {f"{prefix}{name}": type_ for name, type_ in inner.items()}
        if not linked or key != "*":
            found[key] = plain
    return found


def keys(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            name = f"{path}.{key}" if path else key
            yield name, inner
            yield from keys(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield f"{path}[]", inner
            yield from keys(inner, f"{path}[]")


def pattern(key: str) -> str:
    return key.replace("[", "[[]")


def check(value: dict[str, Any]) -> set[str]:
    """Each key is documented with its type. Returns the documented keys that are there."""
    schema = value.pop("schema")
    allowed = documented(schema)
    seen = set()
    for name, inner in keys(value):
        told = name if name in allowed else next((key for key in allowed if fnmatchcase(name, pattern(key))), None)
        assert told is not None, f"{schema}: {name} is not documented"
        kind = allowed[told]
        expected = "null" if inner is None else TYPES[type(inner)]
        assert expected in kind or kind == "any", f"{schema}: {name} is {inner!r}, documented as {kind}"
        seen.add(told)
    return seen


@pytest.fixture(scope="module")
def waiting(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """It waits for the review of its second version, and has a hint."""
    ws = Workspace(tmp_path_factory.mktemp("json") / "waiting")
    shutil.copytree(finished.root, ws.root)
    assert progtrain(ws, "run", "--json").returncode == 3
    assert progtrain(ws, "review", "redraft", "--hint", "smaller steps").returncode == 0
    return ws


@pytest.mark.parametrize(
    "arguments",
    [
        ("review",),
        ("review", "hints"),
        ("status",),
        ("model", "redo", "v002"),
        ("diff",),
        ("samples", "-n", "2"),
        ("journal", "--all"),
        ("jobs",),
        ("log",),
        ("playbook", "v001"),
        ("run", "--dry-run"),
        ("model", "info"),
        pytest.param(("model", "bench"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_what_is_printed_is_documented(waiting: Workspace, arguments: tuple[str, ...]) -> None:
    value = as_json(waiting, *arguments, "--json")
    schema = value["schema"]
    seen = check(value)
    absent = {key for key in documented(schema) if "[]" not in key and ".*" not in key} - seen
    # a training at work, and an action that adds rows, are not there
    assert {key for key in absent if not key.startswith("progress.") and "addition." not in key} == set()


def test_a_finished_loop_has_no_question(finished: Workspace) -> None:
    assert as_json(finished, "review", "--json") == {"schema": "progtrain.review/1", "question": None}
    check(as_json(finished, "status", "--json"))


def test_the_leaderboard(finished: Workspace, tmp_path: Path) -> None:
    ws = Workspace(Path(shutil.copytree(finished.root, tmp_path / "copy")))
    (ws.external / "rival").mkdir(parents=True)
    score = {"metrics": [{"name": "accuracy", "value": 0.9}]}
    (ws.external / "rival" / "eval_score.json").write_text(json.dumps(score))
    (ws.external / "rival" / "_eval").mkdir()
    protocol = {"served_by": {"router": 0.9, "fallback": 0.1}}
    (ws.external / "rival" / "_eval" / "protocol.json").write_text(json.dumps(protocol))
    path = tmp_path / "run.csv"
    path.write_text("step,val_accuracy\n0,0.25\n1,0.5\n")
    assert check(as_json(ws, "import", "csv", str(path), "--json")) >= {"runs[].final.*", "runs[].comparable"}
    value = as_json(ws, "leaderboard", "--json")
    assert value["external"][0]["mixed"] is True
    absent = {"external[].*", "evidence[].params.*", "evidence[].notes[]", "versions[].served_by.*"}
    assert {key for key in documented(value["schema"]) if "warnings[]" not in key} <= check(value) | absent
    (ws.external / "rival" / "eval_score.json").write_bytes(ws.version("v001").eval_score.read_bytes())
    value = as_json(ws, "compare", "v001", "v002", "external/rival", "--json")
    assert {key for key in documented(value["schema"]) if not re.match(r"(repeats|models)\[\]", key)} <= check(value)
    (ws.external / "rival" / "eval_score.json").write_text(json.dumps(score))
    shown = progtrain(ws, "leaderboard").stdout
    assert [line.split()[:2] for line in shown.splitlines() if "rival" in line] == [["–", "external/rival"]]
    assert "external model, mixed, not ranked: router 90 %, fallback 10 %" in shown


def test_repeats(finished: Workspace, tmp_path: Path) -> None:
    ws = Workspace(Path(shutil.copytree(finished.root, tmp_path / "copy")))
    value = as_json(ws, "repeat", "v001", "--times", "1", "--json")
    assert documented(value["schema"]).keys() <= check(value)
    shown = progtrain(ws, "leaderboard").stdout
    assert "v001: " in shown and "over 2 runs with other seeds" in shown


def test_what_check_prints(plain: Workspace) -> None:
    value = json.loads(progtrain(plain, "check", "--json").stdout)
    assert value["ready"] is True
    assert check(value) == {"ready", "rows", *(f"rows[]{key}" for key in ("", ".area", ".state", ".text", ".fix"))}


def test_a_run_prints_its_events_and_its_outcome(plain: Workspace) -> None:
    done = progtrain(plain, "run", "--yes", "--until", "evaluate", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (lines[0]["schema"], lines[0]["event"]) == ("progtrain.event/1", "runner_started")
    assert {"step_done", "loop_stopped"} <= {line.get("event") for line in lines}
    assert lines[-1]["schema"] == "progtrain.run/1"
    assert (lines[-1]["exit_code"], lines[-1]["status"], lines[-1]["version"]) == (0, "stopped", "v001")
    for line in lines:
        check(line)


def test_a_run_that_waits_names_its_question(waiting: Workspace) -> None:
    done = progtrain(waiting, "run", "--json")
    last = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == last["exit_code"] == 3
    assert last["question"] == as_json(waiting, "review", "--json")["question"]


def test_every_event_is_documented() -> None:
    assert set(get_args(Kind)) == set(re.findall(r"^\| `(\w+)` \| (?:`[^|]*`)? ?\|$", PAGE, re.MULTILINE))


def test_what_the_finished_example_does_not_show_is_documented() -> None:
    """A training at work, and every verdict that there is."""
    told = documented("progtrain.status/1")
    assert {f"progress.{name}" for name in Progress._fields} == {
        key for key in told if re.match(r"progress\.\w+$", key)
    }
    for section, key in (("A version", "verdict_previous"), ("progtrain.compare/1", "metrics[].verdict")):
        (line,) = (line for line in SECTIONS[section].splitlines() if line.startswith(f"| `{key}` "))
        assert [verdict for verdict in get_args(Verdict) if f"`{verdict}`" not in line] == []


def test_the_exam_is_documented() -> None:
    from progtrain.advisor.process import ModelInfo
    from progtrain.engine.cli.exam import Mark

    told = documented("progtrain.model_check/1")
    assert set(ModelInfo.model_fields) <= set(told)
    assert {f"exam.marks[].{name}" for name in Mark.model_fields} <= set(told)


def test_every_schema_is_documented() -> None:
    """Also those whose output is made by the slower commands."""
    cli = Path(__file__).parents[2] / "engine" / "cli"
    printed = {
        name
        for path in cli.glob("*.py")
        for name in re.findall(r'print_json\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert {f"progtrain.{name}/1" for name in printed} == {name for name in SECTIONS if name.startswith("progtrain.")}

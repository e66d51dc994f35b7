"""Versions written as tables and event files, and what is refused: all that needs no other package."""

from __future__ import annotations

import csv
import json
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.cli.main import main
from progtrain.engine.errors import InputError, ProgtrainError
from progtrain.engine.trackers import export, export_csv, export_events, export_tensorboard, runs
from progtrain.engine.workspace import Workspace
from progtrain.tui.client import EngineClient
from tests.cli.commands import progtrain
from tests.cli.test_json import check, documented
from tests.trackers import event_file


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _points(run: runs.Run) -> list[tuple[str, int, float, float]]:
    return [(name, step, at / 1000, value) for step, _, at, told in runs.rows(run) for name, value in told.items()]


# ---- tables


def test_tables_hold_every_point_every_setting_and_every_result(finished: Workspace, tmp_path: Path) -> None:
    found = runs.read(finished)
    assert [outcome for _, outcome in export_csv.write(found, tmp_path / "out")] == ["new", "new"]
    curves = _table(tmp_path / "out/curves.csv")
    for run in found:
        own = [row for row in curves if row["run_id"] == run.id]
        read = [(row["name"], int(row["step"]), float(row["time"]), float(row["value"])) for row in own]
        assert read == _points(run)
    last = _table(tmp_path / "out/runs.csv")[1]
    assert (last["base"], last["base_run_id"]) == ("v001", found[0].id)
    assert last["lineage"] == "v002 = v001 + add input_standardisation"
    assert last["started_at"] == "2026-11-27T06:43:05.000+00:00"
    params = {row["name"]: json.loads(row["value"]) for row in _table(tmp_path / "out/params.csv")[:8]}
    assert params == dict(found[0].params)
    final = {
        row["name"]: float(row["value"]) for row in _table(tmp_path / "out/metrics.csv") if row["version"] == "v002"
    }
    assert final == {f"eval/{name}": value for name, value in found[1].final.items()}


def test_a_second_export_never_doubles_and_leaves_other_runs_alone(finished: Workspace, tmp_path: Path) -> None:
    found = runs.read(finished)
    tables = [tmp_path / name for name in export_csv.TABLES]
    other = found[1]._replace(id="0123456789ab", project='other, "one"', digest="x")
    list(export_csv.write([other, *found], tmp_path))
    before = [path.read_bytes() for path in tables]
    assert {outcome for _, outcome in export_csv.write(found, tmp_path)} == {"same"}
    assert [path.read_bytes() for path in tables] == before
    changed = found[0]._replace(digest="changed")
    assert [outcome for _, outcome in export_csv.write([changed, found[1]], tmp_path)] == ["updated", "same"]
    assert [len(_table(path)) for path in tables] == [3, 24, 960, 15]
    assert {row["project"] for row in _table(tmp_path / "runs.csv")} == {"finished", 'other, "one"'}


# ---- event files


def test_checksums_are_those_of_the_standard() -> None:
    known = [b"123456789", b"", bytes(32), b"\xff" * 32, bytes(range(32))]
    plain = [0xE3069283, 0, 0x8A9136AA, 0x62A8AB43, 0x46DD794E]
    assert [event_file.crc32c(data) for data in known] == plain
    assert export_events.checksums(known) == [struct.pack("<I", event_file.masked(data)) for data in known]


def test_event_files_hold_every_point_with_its_step_and_time(finished: Workspace, tmp_path: Path) -> None:
    found = runs.read(finished)
    assert [outcome for _, outcome in export_tensorboard.write(found, tmp_path)] == ["new", "new"]
    for run in found:
        folder = tmp_path / f"{run.version}-{run.id}"
        read = event_file.scalars(folder / f"events.out.tfevents.{run.id}")
        logged = _points(run)
        last = max(step for _, step, _, _ in logged)
        final = [(f"eval/{name}", last, run.evaluated / 1000, value) for name, value in run.final.items()]
        assert [point[:3] for point in read] == [point[:3] for point in logged + final]
        in_32_bits = [struct.unpack("<f", struct.pack("<f", point[3]))[0] for point in logged + final]
        assert [point[3] for point in read] == in_32_bits
        assert {"per_sample.csv", "action-extract.md"} <= {path.name for path in folder.iterdir()}


def test_an_event_file_is_written_again_only_where_something_changed(finished: Workspace, tmp_path: Path) -> None:
    run = runs.read(finished)[0]
    list(export_tensorboard.write([run], tmp_path))
    file = next(tmp_path.glob("*/events.*"))
    before, stamp = file.read_bytes(), file.stat().st_mtime_ns
    assert [outcome for _, outcome in export_tensorboard.write([run], tmp_path)] == ["same"]
    assert file.stat().st_mtime_ns == stamp
    assert [outcome for _, outcome in export_tensorboard.write([run._replace(digest="new")], tmp_path)] == ["updated"]
    assert file.read_bytes() == before
    assert len(list(tmp_path.glob("*/events.*"))) == 1


def test_numbers_that_are_not_finite_are_written_as_such(finished: Workspace, tmp_path: Path) -> None:
    log = finished.version("v001").path / "logs/version_0/metrics.csv"
    log.write_text("step,loss\n0,nan\n1,inf\n2,1e300\n3,-inf\n4,-1e300\n5,0\n")
    run = runs.read(finished, ["v001"])[0]
    list(export_tensorboard.write([run], tmp_path))
    values = [value for tag, _, _, value in event_file.scalars(next(tmp_path.glob("*/events.*"))) if tag == "loss"]
    inf = float("inf")
    assert values[0] != values[0]
    assert values[1:5] == [inf, inf, -inf, -inf]


# ---- where to


@pytest.mark.parametrize(
    ("tool", "to", "reason"),
    [
        ("mlflow", "file:./mlruns", "mlflow itself refuses it"),
        ("mlflow", "http://localhost:5000", "nothing leaves this machine unasked"),
        ("mlflow", "postgresql://host/db", "nothing leaves this machine unasked"),
        ("wandb", "https://api.wandb.ai", "written to a folder"),
        ("csv", "http://example.org/x", "written to a folder"),
    ],
)
def test_places_that_a_tool_cannot_or_may_not_write_are_refused(
    finished: Workspace, tool: str, to: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        export.target(finished, tool, to, False, "finished")
    assert refused.value.fix


@pytest.mark.parametrize("to", [None, "{}", "{}/mlflow.db", "sqlite:///{}/mlflow.db"])
def test_mlflow_goes_into_a_file_of_sqlite(finished: Workspace, to: str | None, tmp_path: Path) -> None:
    place = export.target(finished, "mlflow", to and to.format(tmp_path), False, "finished")
    folder = tmp_path if to else finished.exports / "mlflow"
    assert (place.to, place.folder, place.network) == (f"sqlite:///{folder}/mlflow.db", folder, False)


# ---- the command


Called = Callable[..., tuple[int, str, str]]


@pytest.fixture
def called(finished: Workspace, capsys: pytest.CaptureFixture[str]) -> Called:
    """`progtrain export ...` in this process, which saves a second each: exit code, output and errors."""

    def call(*words: str) -> tuple[int, str, str]:
        code = main(["-C", str(finished.root), "export", *words])
        return code, *capsys.readouterr()

    return call


def _seen(value: dict[str, Any]) -> set[str]:
    schema = value["schema"]
    seen = check(value)
    assert {key for key in documented(schema) if "[]" not in key} <= seen
    return seen


def test_the_command_writes_into_the_workspace_and_says_how_to_look(finished: Workspace, called: Called) -> None:
    dry = json.loads(called("tensorboard", "--dry-run", "--json")[1])
    assert not finished.exports.exists()
    assert [(row["outcome"], row["points"]) for row in dry["runs"]] == [("planned", 320), ("planned", 320)]
    _seen(dry)
    done = progtrain(finished, "export", "tensorboard", "--versions", "v002")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "v002  new"
    assert f"tensorboard --logdir {finished.exports / 'tensorboard'}" in done.stdout
    again = json.loads(called("tensorboard", "--json")[1])
    assert [row["outcome"] for row in again["runs"]] == ["new", "same"]
    _seen(again)
    assert "v002 = v001 + add input_standardisation" in called("csv", "--dry-run")[1]


@pytest.mark.parametrize("tool", ["mlflow", "trackio", "wandb"])
def test_a_tracker_that_is_not_there_is_told_with_the_interpreter_and_how_to_install_it(
    called: Called, tool: str
) -> None:
    code, output, errors = called(tool, "--python", sys.executable)
    assert (code, output) == (2, "")
    assert f"{tool} is not installed in this interpreter" in errors
    assert f"{sys.executable} -m pip install {tool}" in errors


def test_a_server_that_is_away_is_one_error_soon(called: Called) -> None:
    begun = time.monotonic()
    words = ("--to", "http://127.0.0.1:9", "--allow-network", "--python", sys.executable)
    code, _, errors = called("mlflow", *words)
    assert code == 1
    assert "no server answers at 127.0.0.1, port 9" in errors
    assert "--to mlflow.db" in errors
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("#!/bin/sh\necho this is no answer\nexit 3\n", 1, "ended with exit code 3 before it was done"),
        ("#!/bin/sh\necho its cause >&2\nexit 4\n", 1, "it said last: its cause"),
        ("no program", 2, "the interpreter does not start"),
    ],
)
def test_an_interpreter_that_is_none_is_one_error(
    called: Called, tmp_path: Path, script: str, code: int, said: str
) -> None:
    program = tmp_path / "python"
    program.write_text(script)
    program.chmod(0o755)
    ended, _, errors = called("trackio", "--python", str(program))
    assert ended == code
    assert said in errors
    assert "Traceback" not in errors


def test_versions_that_are_not_there_are_named(finished: Workspace, called: Called) -> None:
    code, _, errors = called("csv", "--versions", "v001,v009")
    assert code == 2
    assert "'v009' is no version of this workspace" in errors
    assert not finished.exports.exists()
    assert called("csv", "--versions", " , ")[0] == 2


def test_the_app_exports_by_the_command(finished: Workspace) -> None:
    engine = EngineClient(finished)
    assert engine.export("csv") == f"2 of 2 versions written to {finished.exports / 'csv'}"
    finished.exports.joinpath("tensorboard").write_text("a file")
    with pytest.raises(ProgtrainError, match="is written to a folder, and this is a file"):
        engine.export("tensorboard")

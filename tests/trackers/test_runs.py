"""Versions as plain values: ids that stay, curves with their times, origin."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.trackers import runs
from progtrain.engine.workspace import Workspace


def _log(ws: Workspace, version: str, text: str) -> None:
    (ws.version(version).path / "logs/version_0/metrics.csv").write_text(text)


def _edit_spec(ws: Workspace, version: str, **changes: object) -> None:
    path = ws.version(version).spec
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_version_is_told_with_what_it_came_from_and_what_it_brought(finished: Workspace) -> None:
    first, second = runs.read(finished)
    assert (second.base, second.base_id) == ("v001", first.id)
    assert second.lineage == "v002 = v001 + add input_standardisation"
    assert first.lineage == "v001 = baseline"
    assert second.params["learning_rate"] == 0.001
    assert second.final["accuracy"] == 1.0
    assert second.final["latency_ms"] == pytest.approx(0.15984, abs=1e-5)
    assert second.facts["verdict"] == "better"
    assert {path.name for path in second.artifacts} == {"per_sample.csv", "action-extract.md", "result-analysis.md"}


def test_ids_stay_where_a_workspace_moves_and_change_with_the_checkpoint(finished: Workspace, tmp_path: Path) -> None:
    before = runs.read(finished)
    moved = Workspace(Path(shutil.move(finished.root, tmp_path / "elsewhere")))
    assert [(run.id, run.digest != "") for run in runs.read(moved)] == [(run.id, True) for run in before]
    _edit_spec(moved, "v002", checkpoint={"best_sha256": "0" * 64})
    first, second = runs.read(moved)
    assert first.id == before[0].id
    assert second.id != before[1].id
    assert all(len(run.id) == 12 and int(run.id, 16) >= 0 for run in before)


def test_what_changes_a_run_changes_its_digest(finished: Workspace) -> None:
    (before, _), (again, _) = runs.read(finished), runs.read(finished)
    assert again.digest == before.digest
    finished.version("v001").per_sample.write_text("sample_id\n")
    assert runs.read(finished)[0].digest != before.digest


def test_every_number_of_the_log_comes_with_its_step_and_the_time_by_progress(finished: Workspace) -> None:
    run = runs.read(finished)[1]
    with (finished.version("v002").path / "logs/version_0/metrics.csv").open(newline="") as file:
        logged = [
            (int(row.pop("step")), int(row.pop("epoch")), {name: float(value) for name, value in row.items() if value})
            for row in csv.DictReader(file)
        ]
    read = list(runs.rows(run))
    assert [(step, epoch, numbers) for step, epoch, _, numbers in read] == logged
    assert run.times == "progress"
    seen = [json.loads(line) for line in finished.live("v002").read_text().splitlines()[1:]]
    look = next(line for line in seen if line["step"] == 10)
    assert {at for step, _, at, _ in read if step == 10} == {round(look["t"] * 1000)}
    times = [at for _, _, at, _ in read]
    assert times == sorted(times)
    assert run.started <= times[0] <= times[-1] <= run.ended


def test_a_log_that_holds_times_is_believed(finished: Workspace) -> None:
    _log(finished, "v001", "step,timestamp,loss\n0,1795744093.1704,2.5\n7,1795744094.5,nan\n")
    run = runs.read(finished)[0]
    (first, second) = runs.rows(run)
    assert run.times == "log"
    assert first == (0, None, 1795744093170, {"loss": 2.5})
    assert second[:3] == (7, None, 1795744094500)
    assert second[3]["loss"] != second[3]["loss"]


def test_where_nobody_saw_the_times_they_are_spread_over_the_training(finished: Workspace) -> None:
    finished.live("v001").unlink()
    _log(finished, "v001", "step,time,loss\n0,0.5,3\n5,0.6,2\n10,0.7,1\n11,0.8")
    _edit_spec(
        finished, "v001", training_started_at="2026-11-27T06:00:00+00:00", created_at="2026-11-27T06:00:10+00:00"
    )
    run = runs.read(finished)[0]
    begin = run.started
    assert (run.times, run.ended - begin) == ("spread", 10_000)
    # seconds since the start are a number like any other, and a torn line is none
    assert list(runs.rows(run)) == [
        (0, None, begin, {"time": 0.5, "loss": 3.0}),
        (5, None, begin + 5_000, {"time": 0.6, "loss": 2.0}),
        (10, None, begin + 10_000, {"time": 0.7, "loss": 1.0}),
    ]


def test_a_training_that_was_taken_up_again_reached_a_step_when_it_did_so_last(finished: Workspace) -> None:
    looks = [(0, 100), (10, 110), (20, 120), (10, 500), (20, 510)]
    text = "".join(json.dumps({"t": 1795744000 + t, "step": step}) + "\n" for step, t in looks)
    finished.live("v001").write_text(text)
    _log(finished, "v001", "step,loss\n0,3\n10,2\n15,1\n")
    assert [at - 1795744000_000 for _, _, at, _ in runs.rows(runs.read(finished)[0])] == [100_000, 500_000, 505_000]


def test_only_what_was_trained_is_told(finished: Workspace) -> None:
    shutil.copy(finished.script("v002"), finished.script("v003"))
    assert [run.version for run in runs.read(finished)] == ["v001", "v002"]
    assert [run.version for run in runs.read(finished, ["v002"])] == ["v002"]
    with pytest.raises(InputError, match="'v003' has not been trained"):
        runs.read(finished, ["v003"])
    with pytest.raises(InputError, match="is no version of this workspace"):
        runs.read(finished, ["../../etc"])


def test_a_workspace_without_progtrains_own_folder_is_told_too(finished: Workspace) -> None:
    shutil.rmtree(finished.own)
    first, second = runs.read(finished)
    assert (second.base, second.lineage) == (None, "v002 (nobody knows what it was made from)")
    assert first.times == "spread"


def test_an_empty_workspace_says_what_to_do(ws: Workspace) -> None:
    with pytest.raises(InputError, match="no version has been trained yet"):
        runs.read(ws)

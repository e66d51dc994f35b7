"""What is read before the first frame, and what is kept of a view."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from progtrain.engine.analysis.measure.curves import read_metrics
from progtrain.engine.status.rows import glance
from progtrain.engine.status.snapshot import Snapshot, StepView, VersionView
from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.model import Model
from progtrain.tui.plot.series import OverTime, Series
from progtrain.tui.preferences import read_view, write_view
from progtrain.tui.reading.curves import CurveKey
from progtrain.tui.reading.metrics_file import MetricsFile
from progtrain.tui.reading.prefetch import Prefetch
from progtrain.tui.reading.sample_files import find_raw
from progtrain.tui.watch import Watcher
from tests.tui.fakes import FakeEngine, FakeView, fill, settle, snapshot, write_curves

T = TypeVar("T")


def test_a_glance_has_the_fields_of_a_snapshot(ws: Workspace) -> None:
    fill(ws)
    _trains(ws)
    seen = glance(ws)
    assert seen is not None and [v.version for v in seen.versions] == ["v001", "v002", "v003", "v004"]
    for light, whole in ((seen, Snapshot), (seen.versions[0], VersionView), (seen.steps[0], StepView)):
        assert type(light) is whole


def test_a_child_hands_over_history_and_curves_and_reading_goes_on_from_there(ws: Workspace) -> None:
    fill(ws)
    _trains(ws)
    ahead = Prefetch(ws.root)
    seen = _until_there(ahead, ahead.history)
    assert seen is not None and seen.version == "v004" and seen == glance(ws, lambda: _at(seen))
    handed = _until_there(ahead, ahead.curves)
    assert handed is not None
    feed, rows = handed
    assert {row.key.chart for row in rows} == {"loss", "accuracy", "learning rate"} and feed.share == 1
    assert _until_there(ahead, ahead.curves) is None and ahead.ended
    with (ws.version("v004").logs / "version_0" / "metrics.csv").open("a") as file:
        file.write("12,400,0.5,,,\n")
    assert [list(row.ys) for row in feed.read()] == [[0.5]]


def _trains(ws: Workspace) -> None:
    event = {"at": "2026-11-20T17:42:00+00:00", "event": "step_started", "version": "v004", "step": "train"}
    with ws.journal.open("a") as journal:
        journal.write(json.dumps(event) + "\n")


def _at(seen: Snapshot) -> datetime:
    return datetime.fromisoformat("2026-11-20T17:42:00+00:00") + timedelta(seconds=seen.since_seconds or 0)


def test_an_empty_workspace_gives_no_history(ws: Workspace) -> None:
    ahead = Prefetch(ws.root)
    assert _until_there(ahead, ahead.history) is None and ahead.ended


def test_a_long_log_comes_in_slices_that_are_one_curve_in_the_end(ws: Workspace) -> None:
    fill(ws)
    _trains(ws)
    path = ws.version("v004").logs / "version_0" / "metrics.csv"
    values = [random.Random(i).random() for i in range(250_000)]
    path.write_text("step,train_loss\n" + "".join(f"{i},{value!r}\n" for i, value in enumerate(values)))
    drawn: list[tuple[int, float]] = []
    model = Model(ws.root)
    watcher = Watcher(ws, FakeView(snapshot(ws.root)).snapshot, model.apply, every=0.1, ahead=Prefetch(ws.root))
    key = CurveKey("v004", "loss", "train", "log")
    watcher.drawn.set()
    watcher.start()
    deadline = time.monotonic() + 60
    while not drawn or drawn[-1][0] < len(values):
        assert time.monotonic() < deadline
        seen = len(model.curves.get(key, ())), model.reading.get("v004", 1.0)
        if not drawn or seen != drawn[-1]:
            drawn.append(seen)
        time.sleep(0.002)
    watcher.stop()
    for thread in threading.enumerate():
        if thread.name == "watch":
            thread.join(20)
    assert list(model.curves[key].ys) == values
    parts = [length for length, _ in drawn if length]
    assert len(parts) > 1, "it came at once"
    # of what is not read to its end, that is said
    assert all(share < 1 for length, share in drawn if 0 < length < parts[-2])


def _until_there(ahead: Prefetch, take: Callable[[], T | None]) -> T | None:
    """What comes next, or None when nothing more does."""
    deadline = time.monotonic() + 60
    while (found := take()) is None and not ahead.ended:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "rows",
    [
        ["epoch,step,a,b", "0,0,1.0,", "0,1,,2.0", "1,2,nan,inf"],
        ["epoch,step,a", "0,0,1", "0,1,2,3", "0", "", "0,3,word", "0,4,5"],
        ["step,a", "0,1", "step,b", "1,2"],
        ['step,"a b"', '0,"1.5"'],
        ["a", "1", "2"],
        ["step,a", *(f"{i},{random.Random(i).random()}" for i in range(20_000))],
    ],
)
def test_it_reads_what_the_engine_reads(tmp_path: Path, rows: list[str], ending: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(ending.join(rows) + ending, newline="")
    file, engine = MetricsFile(path), read_metrics(path)
    columns = file.read()
    assert columns is not None and set(columns) == set(engine.columns) and file.epochs == engine.epochs
    for name, points in engine.columns.items():
        xs, ys = columns[name]
        assert list(xs) == [step for step, _, _ in points]
        assert repr(list(ys)) == repr([value for _, _, value in points])


def test_new_rows_come_alone_and_a_torn_one_waits(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,a\n0,1\n1,2")
    file = MetricsFile(path)
    first = file.read()
    assert first is not None and file.fresh and list(first["a"][1]) == [1.0]
    assert file.read() is None
    with path.open("a") as more:
        more.write("5\n")
    second = file.read()
    assert second is not None and not file.fresh and list(second["a"][1]) == [25.0]
    path.unlink()
    assert file.read() == {} and file.fresh


@pytest.mark.parametrize(
    "rewritten",
    [
        "epoch,step,train_loss,val_loss\n0,1,0.9,\n0,1,,0.95\n1,2,0.8,\n1,2,,0.9\n",
        "epoch,step,train_loss\n0,1,0.1\n",
        "epoch,step,train_loss\n0,1,0.1\n1,2,0.2\n2,3,0.3\n3,4,0.4\n4,5,0.5\n",
    ],
    ids=["new column", "shorter", "another training"],
)
def test_it_starts_over_when_the_file_was_written_anew(tmp_path: Path, rewritten: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train_loss\n0,1,0.9\n1,2,0.8\n")
    file = MetricsFile(path)
    file.read()
    path.write_text(rewritten)
    news, anew = file.read(), MetricsFile(path).read()
    assert news is not None and anew is not None and file.fresh
    assert list(news["train_loss"][1]) == list(anew["train_loss"][1])
    path.unlink()
    assert file.read() == {} and file.fresh
    assert MetricsFile(tmp_path / "logs" / "metrics.csv").read() is None


def test_steps_become_seconds_between_known_moments() -> None:
    steps, times = Series(), Series()
    steps.extend([0, 50, 100, 200], [4.0, 3.0, 2.0, 1.0])
    times.extend([0, 100], [0.0, 10.0])
    over = OverTime(steps, times)
    assert list(over.series().xs) == [0.0, 5.0, 10.0]
    times.extend([200], [40.0])
    assert list(over.series().xs) == [0.0, 5.0, 10.0, 40.0]


def test_a_sample_is_found_in_the_validation_data(ws: Workspace) -> None:
    import numpy as np

    folder = ws.split("d", "valid")
    folder.mkdir(parents=True)
    (folder / "rows.csv").write_text("id,x\ns-1,2.5\n")
    (folder / "s-2.txt").write_text("a text")
    np.savez(folder / "all.npz", ids=np.array(["s-3"]), images=np.zeros((1, 4, 4)), labels=np.array([7]))
    row, text, item = (shown for name in ("s-1", "s-2", "s-3") for shown in find_raw(ws, "d", name, 20, 10))
    assert row.text == "id: s-1\nx: 2.5"
    assert text.text == "a text"
    assert item.picture and item.picture.width == 4 and "labels: 7" in item.text
    assert find_raw(ws, "d", "s-4", 20, 10) == ()


async def test_a_workspace_is_looked_at_as_it_was_the_last_time(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    fill(ws)
    for expected in ("step", "epoch"):
        app = ProgtrainApp(
            ws.root,
            snapshot=FakeView(snapshot(ws.root)).snapshot,
            engine=FakeEngine(),
            every=0.3,
            seen=read_view(ws.root),
        )
        async with app.run_test(size=(120, 40)) as pilot:
            await settle(pilot, lambda app=app: bool(app.model.curves))  # type: ignore[misc]
            assert app.screen.query_one("#curve").look.axis == expected  # type: ignore[attr-defined]
            if expected == "step":
                await pilot.press("x")
                await settle(pilot, lambda: read_view(ws.root).get("loop", {}).get("axis") == "epoch")


def test_a_broken_view_is_no_view(ws: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    write_view(ws.root, {"theme": "nord"})
    assert read_view(ws.root)["theme"] == "nord"
    for path in tmp_path.rglob("*.json"):
        path.write_text(json.dumps([1])[:-1])
    assert read_view(ws.root) == {}


async def test_files_that_vanish_under_the_app_are_states(ws: Workspace) -> None:
    """The whole workspace goes; then it is there again with other columns."""
    fill(ws)
    app = ProgtrainApp(ws.root, engine=FakeEngine(), every=0.3)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        away = ws.root.with_name("away")
        ws.root.rename(away)
        await pilot.pause(1.0)
        for key in ("2", "3", "4", "5", "6", "r", "1"):
            await pilot.press(key)
            await pilot.pause(0.1)
        away.rename(ws.root)
        write_curves(ws, "v004", rows=120)
        await settle(pilot, lambda: bool(app.model.snapshot and app.model.snapshot.versions))

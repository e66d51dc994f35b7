"""Clocks jump: times that cannot be true are not told, and nothing waits for them."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from progtrain.engine.clock import Clock
from progtrain.engine.jobs.alive import began
from progtrain.engine.status.rows import glance
from progtrain.engine.status.snapshot import Progress
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.look import words
from progtrain.tui.model import Model, Update
from progtrain.tui.widgets.steps import StepStrip, what_to_do
from tests.tui.fakes import FakeEngine, fill, settle, snapshot
from tests.tui.walks import fill_all, shows_review, tell, walk

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
#: the journal of `fill_all` ends at 17:45 of that day
JUMPS = [-timedelta(days=400), -timedelta(hours=1), timedelta(), timedelta(days=400), timedelta(days=365 * 7000)]


def clock_at(moment: datetime) -> Clock:
    return lambda: moment


@pytest.mark.parametrize("jump", [JUMPS[0], *(pytest.param(jump, marks=pytest.mark.slow) for jump in JUMPS[1:])])
async def test_the_app_opens_and_goes_on_at_any_time(ws: Workspace, jump: timedelta) -> None:
    fill_all(ws)
    moments = [NOON]
    app = ProgtrainApp(ws.root, engine=FakeEngine(), every=0.3, clock=lambda: moments[-1])
    async with app.run_test(size=(120, 40)) as pilot:
        await shows_review(pilot)
        moments.append(NOON + jump)
        tell(ws, {"event": "runner_started"}, {"event": "step_started", "version": "v003", "step": "train"})
        await settle(pilot, lambda: app.model.snapshot is not None and app.model.snapshot.status == "runner gone")
        assert "--:--" not in app.screen.query_one(StepStrip).render().plain
        await walk(pilot)


@pytest.mark.parametrize(
    "status", ["drafting", "repairing", "training", "evaluating", "stopped", "failed", "runner gone"]
)
@pytest.mark.parametrize("age", [-3600.0, -0.5, 0.0, 41.0, 1e6, 1e12, 1e300])
def test_an_age_is_told_or_left_out(tmp_path: Path, status: str, age: float) -> None:
    model = Model(tmp_path, clock_at(NOON))
    model.apply(Update(snapshot=snapshot(tmp_path, status, since_seconds=age, progress=None)))
    assert model.snapshot is not None
    said = what_to_do(model.snapshot, model.since)
    assert "--" not in said and "-1" not in said
    if age < 0:
        assert model.since is None and " for " not in said and " at " not in said
    elif age == 41.0:
        assert model.since == NOON - timedelta(seconds=41) and (" for 00:41" in said or " at 11:59" in said)


@pytest.mark.parametrize("at", ["2026-11-20T13:00:00+00:00", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00"])
def test_views_tell_ages_by_the_clock_that_they_are_given(ws: Workspace, at: str) -> None:
    fill(ws)
    tell(ws, {"event": "step_started", "version": "v001", "step": "train", "at": at})
    wanted = (NOON - datetime.fromisoformat(at)).total_seconds()
    assert WorkspaceView(ws.root, clock_at(NOON)).snapshot().since_seconds == wanted
    seen = glance(ws, clock_at(NOON))
    assert seen is not None and seen.since_seconds == wanted


@pytest.mark.parametrize("at", ["yesterday", "", "2026-11-20T13:00:00", 5, None])
def test_a_time_that_is_none_is_left_out(ws: Workspace, at: object) -> None:
    fill(ws)
    tell(ws, {"event": "step_started", "version": "v001", "step": "train", "at": at})
    assert WorkspaceView(ws.root).snapshot().since_seconds is None
    seen = glance(ws)
    assert seen is not None and seen.since_seconds is None


@pytest.mark.parametrize("left", [None, -5.0, 0.0, 29.0, 1e9, math.inf])
@pytest.mark.parametrize("rate", [None, -3.0, 0.0, 1310.0, 1e12])
def test_time_left_and_speed_are_told_when_they_can_be_true(
    tmp_path: Path, left: float | None, rate: float | None
) -> None:
    progress = Progress(epoch=1, epochs=2, step=5, steps=10, samples_per_second=rate, seconds_left=left)
    strip = StepStrip(signs=words.UNICODE)
    said = strip.progress_line(snapshot(tmp_path, "training", progress=progress), 100).plain
    assert ("left" in said) == (left is not None and 0 <= left < math.inf)
    assert ("samples/s" in said) == (rate is not None and rate > 0)
    assert "--" not in said


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "00:00"),
        (41.9, "00:41"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (90_000, "1d 01h"),
        (-1, "--:--"),
        (None, "--:--"),
    ],
)
def test_durations(seconds: float | None, told: str) -> None:
    assert words.clock(seconds) == told


class Trainer:
    """As much of Lightning's as the callback looks at."""

    global_rank = 0
    world_size = 1
    global_step = 0
    current_epoch = 0
    max_epochs = 2
    estimated_stepping_batches = 10
    accumulate_grad_batches = 1
    should_stop = False
    sanity_checking = False

    def __init__(self) -> None:
        self.callback_metrics: dict[str, float] = {}
        self.optimizers: list[Any] = []
        self.fit_loop = type("Loop", (), {"min_epochs": 1, "epoch_loop": type("Epoch", (), {"min_steps": 1})()})()


def test_a_clock_set_back_neither_silences_the_live_callback_nor_its_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = _live_module()
    path, stop = tmp_path / "live.jsonl", tmp_path / "stop"
    callback, trainer = live.ProgtrainLive(str(path), str(stop)), Trainer()
    callback.on_fit_start(trainer, None)
    callback._begun = time.monotonic() - 10.0
    trainer.global_step = 1
    callback.on_train_batch_end(trainer, None, None, "ab", 0)
    monkeypatch.setattr("time.time", lambda: 0.0)
    callback._written -= 1.0  # a second goes by, while the clock goes back by fifty years
    callback._looked -= 1.0
    trainer.global_step = 2
    stop.touch()
    callback.on_train_batch_end(trainer, None, None, "ab", 1)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    callback.teardown(trainer, None, "fit")
    assert [line["step"] for line in lines] == [1, 2] and trainer.should_stop
    assert all(
        9 < line["seconds"] < 60 and line["seconds_left"] > 0 and line["samples_per_second"] > 0 for line in lines
    )


def _live_module() -> ModuleType:
    found = importlib.util.spec_from_file_location("live", Path(__file__).parents[2] / "engine/live/progtrain_live.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="there is no /proc")
def test_a_guard_is_recognised_after_the_clock_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the machine was started is told by its clock; how long after it a process began is not."""
    before = began(os.getpid())
    stat = Path("/proc/stat").read_text()
    boot = next(line for line in stat.splitlines() if line.startswith("btime"))
    (tmp_path / "stat").write_text(stat.replace(boot, f"btime {int(boot.split()[1]) + 3600}"))
    (tmp_path / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    created = psutil.Process().create_time()
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert psutil.Process().create_time() > created + 3000, "the clock was set"
    assert before is not None and began(os.getpid()) == before

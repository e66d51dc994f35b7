"""Going through the whole app, for tests of what must hold on every screen."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from tests.tui.fakes import fill, settle

#: keys that lead through every screen and every pane of it
EVERY_SCREEN = (
    ("1", "tab", "tab", "tab"),
    ("2",),
    ("3", "tab", "shift+tab"),
    ("4", "tab", "tab", "tab"),
    ("5", "k"),
    ("6", "tab", "tab"),
    ("7", "enter", "tab", "t", "tab", "escape", "e", "escape"),
    ("r", "tab", "2", "1", "tab", "tab", "tab", "f", "escape"),
    ("1", "tab", "enter"),  # a comparison
    ("tab", "tab", "tab", "question_mark", "escape", "escape"),
)


async def walk(pilot: Pilot[None]) -> None:
    """Every screen once. What goes wrong on one of them ends the app, and with it the test."""
    for keys in EVERY_SCREEN:
        for key in keys:
            await pilot.press(key)
        await pilot.pause(0.05)
    for _ in range(5):
        await pilot.press("escape")
    await pilot.pause()
    assert pilot.app.is_running and isinstance(pilot.app, ProgtrainApp)
    assert pilot.app.current_mode == "loop"


def tell(ws: Workspace, *events: dict[str, object]) -> None:
    """Appends to the journal."""
    with ws.journal.open("a", encoding="utf-8") as journal:
        for event in events:
            journal.write(json.dumps({"at": "2026-11-20T17:45:00.000+00:00", **event}) + "\n")


def let_it_wait(ws: Workspace) -> None:
    """A filled workspace comes to wait for the review of v003."""
    ws.script("v004").unlink()
    for version, value in (("v001", 0.94), ("v002", 0.95), ("v003", 0.96)):
        score = {
            "dataset_id": "digits_v1",
            "created_at": "2026-11-20T17:00:00+00:00",
            "num_samples": 60,
            "latency_ms": 0.4,
            "metrics": [{"name": "accuracy", "value": value, "higher_is_better": True}, {"name": "loss", "value": 0.1}],
        }
        ws.version(version).eval_score.write_text(json.dumps(score))
    rules = json.loads(ws.rules.read_text()) | {"eval_config": {"primary_metric": "accuracy"}}
    ws.rules.write_text(json.dumps(rules))
    tell(
        ws,
        {"event": "version_authored", "version": "v003", "base": "v002", "action": "dropout 0.1", "reason": "the gap"},
        {"event": "step_started", "version": "v003", "step": "train"},
        {"event": "step_done", "version": "v003", "step": "train", "seconds": 41.0},
        {"event": "step_started", "version": "v003", "step": "extract"},
        {"event": "loop_waiting", "kind": "review"},
    )


def fill_all(ws: Workspace) -> None:
    """Files of every kind that the app reads, as a loop leaves them."""
    fill(ws)
    let_it_wait(ws)
    external = ws.external / "resnet"
    external.mkdir(parents=True)
    shutil.copy(ws.version("v001").eval_score, external / "eval_score.json")
    ws.live("v003").parent.mkdir(parents=True)
    ws.live("v003").write_text('{"step": 5, "epoch": 1, "metrics": {"train_loss": 0.9}, "learning_rate": [0.1]}\n')
    ws.drafts("v003").events.write_text('{"event": "text", "text": "written"}\n')
    ws.version("v003").protocol.write_text('{"evaluator_sha256": "x"}')
    job = ws.job("v003-train-1")
    job.path.mkdir()
    job.log.write_text("one line\n")
    job.state.write_text('{"status": "ended"}')


def files_of(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


async def shows_review(pilot: Pilot[None]) -> None:
    app = pilot.app
    assert isinstance(app, ProgtrainApp)
    await settle(pilot, lambda: app.model.snapshot is not None and app.model.snapshot.review is not None)


@asynccontextmanager
async def never_freezing(seconds: float = 5.0) -> AsyncIterator[None]:
    """The app's thread never computes for longer at a stretch: in its own time, so that a busy machine is fair."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.05)
            longest = max(longest, time.thread_time() - before)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
    assert longest < seconds, f"the app's thread computed for {longest:.1f} s"

"""Makes docs/pictures from the real app on a real loop: `python -m benchmarks.pictures`."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from progtrain.engine import examples
from progtrain.engine.clock import now
from progtrain.engine.control import decisions
from progtrain.engine.control.launch import Options
from progtrain.engine.loop import runner
from progtrain.engine.schema import Decision
from progtrain.engine.status.snapshot import Snapshot
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp

_FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
_SIZE = (120, 40)
_VERSIONS = 3


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    # the app shows the folder's name: always the same one
    home = Path(tempfile.gettempdir()) / "progtrain-pictures"
    home.mkdir()
    try:
        ws = Workspace(home / "digits")
        _run_until_review(ws)
        _FOLDER.mkdir(parents=True, exist_ok=True)
        # the user's own saved view must not be in the pictures
        os.environ["XDG_STATE_HOME"] = str(home)
        asyncio.run(_take(ws))
    finally:
        shutil.rmtree(home)


def _run_until_review(ws: Workspace) -> None:
    """The loop as a user walks it who accepts every draft, up to the review of the third version."""
    examples.write("digits", ws.root)
    subprocess.run([sys.executable, ws.pipeline_script.name], cwd=ws.root, check=True, capture_output=True)
    for _ in range(4 * _VERSIONS):
        runner.run(ws, Options())
        seen = WorkspaceView(ws.root).snapshot()
        if seen.review is None:
            raise SystemExit(f"the loop does not wait for a review: {seen.status} {seen.reason}")
        print(f"{seen.version}: {seen.review.kind} waits", flush=True)
        if seen.review.kind == "review" and seen.version == f"v{_VERSIONS:03d}":
            return
        decisions.decide(ws, Decision(question=seen.review.question, answer="accept", at=now()))
    raise SystemExit(f"the review of v{_VERSIONS:03d} never came")


async def _take(ws: Workspace) -> None:
    app = ProgtrainApp(ws.root)
    async with app.run_test(size=_SIZE) as pilot:

        async def until(there: Callable[[Snapshot], bool]) -> None:
            for _ in range(200):
                await pilot.pause(0.1)
                if app.model.snapshot is not None and there(app.model.snapshot):
                    await pilot.pause(0.7)
                    return
            raise SystemExit("the app does not show the workspace")

        def save(name: str) -> None:
            svg = app.export_screenshot(title=f"progtrain: {name}", simplify=True)
            (_FOLDER / f"{name}.svg").write_text(_at_home(svg), encoding="utf-8")
            print(f"docs/pictures/{name}.svg", flush=True)

        await until(lambda seen: seen.status == "waiting" and bool(app.model.curves))
        save("loop")
        await pilot.press("r")
        await until(lambda seen: app.model.documents is not None)
        save("review")
        await pilot.press("escape", "2")
        await until(lambda seen: True)
        save("leaderboard")


def _at_home(svg: str) -> str:
    """Fonts from the reader's machine: pictures in a README load nothing from elsewhere."""
    # blanks at the beginning of a text count
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)
    begin, end = svg.find("@font-face"), svg.rfind("@font-face")
    if begin < 0:
        return svg
    close = svg.index("}", end) + 1
    return svg[:begin] + svg[close:]


if __name__ == "__main__":
    main()

"""How the main screens look, as text with its styles. To renew them after a wanted change (git shows what differs):

RENEW=1 .venv/bin/pytest tests/tui/test_snapshots.py
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.style import Style
from textual.pilot import Pilot

from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.look import colours
from progtrain.tui.look.themes import DARK_16
from progtrain.tui.model import Update
from progtrain.tui.reading.machine import Machine
from tests.tui.fakes import FakeEngine, FakeView, fill, settle, snapshot

HERE = Path(__file__).parent / "snapshots"

#: what a colour means, as one letter; colours of versions are digits
MEANINGS = {
    **{colours.version_colour(f"v{number:03d}"): str(number) for number in range(4, 0, -1)},
    colours.NOW: "n",
    colours.NEEDS_YOU: "w",
    colours.GOOD: "g",
    colours.BAD: "b",
    colours.QUIET: "q",
}

SCREENS = {
    "loop": ("training", "1"),
    "review": ("waiting", "r"),
    "leaderboard": ("finished", "2"),
    "samples": ("finished", "3"),
}
SIZES = [(80, 24), (120, 40), (200, 60)]


def letter(style: Style | None) -> str:
    """What a reader sees of a cell's style: its meaning, capital where bold; `_` on another ground than most cells."""
    if style is None:
        return " "
    colour = style.color
    numbered = colour is not None and colour.number is not None
    found = f"{colour.number:x}" if numbered else MEANINGS.get(colour.name.lower() if colour else "", " ")
    if style.reverse:
        return "_"
    return found.upper() if style.bold and found != " " else "!" if style.bold else found


def picture(app: ProgtrainApp) -> str:
    """Each line of the screen, and below it what is coloured or bold in it."""
    lines: list[str] = []
    rows = [[(segment.text, segment.style) for segment in strip] for strip in app.screen._compositor.render_strips()]
    grounds = Counter(style.bgcolor for row in rows for text, style in row if style for _ in text)
    plain = grounds.most_common(1)[0][0]
    for row in rows:
        text = "".join(part for part, _ in row).rstrip()
        marks = "".join(
            (letter(style) if style is None or style.bgcolor == plain or letter(style) != " " else "_") * len(part)
            for part, style in row
        )
        lines.append(f"|{text}")
        if marks.strip():
            lines.append(f":{marks.rstrip()}")
    return "\n".join(lines) + "\n"


async def still(pilot: Pilot[None], app: ProgtrainApp) -> None:
    """What changes by itself stands still, and what differs between machines is the same."""
    await settle(pilot, lambda: bool(app.model.curves) and app.model.documents is not None)
    app.watcher.stop()
    await pilot.pause(0.4)
    app.model.root = Path("/home/me/digits")
    app.model.apply(Update(machine=Machine(87.0, 2 << 30, 8 << 30)))
    for screen in app.screen_stack:
        screen.refresh_view()  # type: ignore[attr-defined]
    seen = ""
    while seen != (seen := picture(app)):
        app.screen.refresh(layout=True)
        await pilot.pause(0.3)


def compare(name: str, seen: str) -> None:
    path = HERE / f"{name}.txt"
    if os.environ.get("RENEW"):
        HERE.mkdir(exist_ok=True)
        path.write_text(seen, encoding="utf-8")
    assert seen.splitlines() == path.read_text(encoding="utf-8").splitlines(), (
        "the screen looks different; if it should: RENEW=1 .venv/bin/pytest tests/tui/test_snapshots.py"
    )


async def look(ws: Workspace, screen: str, size: tuple[int, int], sixteen: str | None = None) -> str:
    fill(ws)
    status, key = SCREENS[screen]
    view = FakeView(snapshot(ws.root, status, log=ws.job("v004-train-1").log))
    noon = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    app = ProgtrainApp(
        ws.root, snapshot=view.snapshot, engine=FakeEngine(), every=0.3, clock=lambda: noon, sixteen=sixteen, keys={}
    )
    async with app.run_test(size=size) as pilot:
        await settle(pilot, lambda: bool(app.model.log))
        await pilot.press(key)
        await pilot.pause(0.5)
        await still(pilot, app)
        return picture(app)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", SCREENS)
async def test_a_screen_looks_as_it_should(ws: Workspace, screen: str, size: tuple[int, int]) -> None:
    compare(f"{screen}_{size[0]}x{size[1]}", await look(ws, screen, size))


@pytest.mark.parametrize("screen", ["loop", "review"])
async def test_a_screen_looks_as_it_should_in_16_colours(ws: Workspace, screen: str) -> None:
    compare(f"{screen}_16_colours", await look(ws, screen, (120, 40), sixteen=DARK_16))

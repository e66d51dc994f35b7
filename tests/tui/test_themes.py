"""Colours on every ground: 16 of them, light and dark, none; and the size that the terminal really has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.segment import Segment
from textual.theme import BUILTIN_THEMES

from progtrain.engine.errors import InputError
from progtrain.engine.workspace import Workspace
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.look import themes
from progtrain.tui.look.colours import MARKS, ON_BLACK, ON_LIGHT, ON_WHITE, version_colour, version_mark
from progtrain.tui.preferences import read_look
from progtrain.tui.widgets.picture import PictureView
from tests.tui.fakes import fill, make_app, settle, snapshot
from tests.tui.terminal import app
from tests.tui.test_terminal import Tmux, _own_folders, needs_tmux, tmux

__all__ = ["_own_folders", "tmux"]

#: the 16 colours as terminals really have them
PALETTES = {
    "Linux console": "000000 aa0000 00aa00 aa5500 0000aa aa00aa 00aaaa aaaaaa"
    " 555555 ff5555 55ff55 ffff55 5555ff ff55ff 55ffff ffffff",
    "xterm": "000000 cd0000 00cd00 cdcd00 0000ee cd00cd 00cdcd e5e5e5"
    " 7f7f7f ff0000 00ff00 ffff00 5c5cff ff00ff 00ffff ffffff",
    "PuTTY": "000000 bb0000 00bb00 bbbb00 0000bb bb00bb 00bbbb bbbbbb"
    " 555555 ff5555 55ff55 ffff55 5555ff ff55ff 55ffff ffffff",
    "Tango": "000000 cc0000 4e9a06 c4a000 3465a4 75507b 06989a d3d7cf"
    " 555753 ef2929 8ae234 fce94f 729fcf ad7fa8 34e2e2 eeeeec",
}


def contrast(one: str, other: str) -> float:
    """As the Web Content Accessibility Guidelines have it: 1 to 21."""

    def light(code: str) -> float:
        parts = [int(code.lstrip("#")[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(share * value for share, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", PALETTES)
def test_on_sixteen_colours_all_can_be_read(palette: str) -> None:
    colours = PALETTES[palette].split()
    assert min(contrast(colours[number], colours[0]) for number in ON_BLACK.values()) >= 3.5
    assert min(contrast(colours[number], colours[15]) for number in ON_WHITE.values()) >= 3.5


def test_on_a_light_theme_all_can_be_read() -> None:
    light = BUILTIN_THEMES["textual-light"].to_color_system().generate()
    for ground in ("background", "surface", "panel"):
        assert min(contrast(colour, light[ground]) for colour in ON_LIGHT.values()) >= 4.5


def test_versions_are_told_apart_by_colour_and_without_colour() -> None:
    names = [f"v{number:03d}" for number in range(1, 9)]
    assert len({ON_BLACK[version_colour(name)] for name in names}) == len(names)
    assert {version_mark(name) for name in names} == set(MARKS)
    assert len({version_mark(name, ascii_only=True) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("environ", "few"),
    [
        ({"TERM": "linux"}, True),
        ({"TERM": "xterm"}, True),
        ({"TERM": "screen"}, True),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "screen-256color"}, False),
        ({"TERM": "xterm-kitty"}, False),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, False),
    ],
)
def test_terminals_of_sixteen_colours_are_known_by_their_environment(environ: dict[str, str], few: bool) -> None:
    assert themes.few_colours(environ) is few


@pytest.mark.parametrize(
    ("told", "theme"), [({}, "ansi-16"), ({"COLORFGBG": "15;0"}, "ansi-16"), ({"COLORFGBG": "0;15"}, "ansi-16-light")]
)
def test_the_ground_is_what_the_terminal_tells(told: dict[str, str], theme: str) -> None:
    assert themes.fitting(told) == theme


def cells(app: ProgtrainApp) -> list[Segment]:
    return [segment for strip in app.screen._compositor.render_strips() for segment in strip if segment.text]


@pytest.mark.parametrize("theme", ["ansi-16", pytest.param("ansi-16-light", marks=pytest.mark.slow)])
async def test_only_the_sixteen_colours_are_used_and_no_cell_is_left_to_the_terminal(ws: Workspace, theme: str) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root, "waiting"), sixteen=theme)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        assert app.theme == theme
        for keys in ("1", "2", "3", "4", "5", "6", "r", "f", "escape,?", "escape,ctrl+p", "escape,escape,2,C"):
            await pilot.press(*keys.replace("?", "question_mark").split(","))
            await pilot.pause(0.3)
            for segment in cells(app):
                if not any(char.isalnum() for char in segment.text):
                    continue  # lines that Textual blends are turned into one of the 16 when they are sent
                assert segment.style is not None, (keys, segment)
                for colour in (segment.style.color, segment.style.bgcolor):
                    known = colour is not None and colour.triplet is None and not colour.is_default
                    assert known and 0 <= (colour.number or 0) < 16, (keys, segment)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("seen", "wanted", "shown"),
    [
        ({"theme": "nord"}, None, "ansi-16"),
        ({"theme": "nord", "theme_16": "ansi-16-light"}, None, "ansi-16-light"),
        ({}, "dracula", "ansi-16"),
        ({}, "ansi-16-light", "ansi-16-light"),
        ({"theme_16": "gone"}, None, "ansi-16"),
    ],
)
async def test_on_sixteen_colours_only_themes_made_of_them_are_taken(
    ws: Workspace, seen: dict[str, str], wanted: str | None, shown: str
) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root), seen=dict(seen), theme=wanted, sixteen="ansi-16")
    async with app.run_test() as pilot:
        await settle(pilot)
        assert app.theme == shown


async def test_a_theme_from_the_palette_is_kept_for_this_kind_of_terminal(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    views = tmp_path / "progtrain" / "views"
    fill(ws)
    app = make_app(ws, snapshot(ws.root), seen={"theme": "nord"}, sixteen="ansi-16")
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("ctrl+p")
        await pilot.pause(0.2)
        await pilot.press(*"theme")
        await pilot.pause(0.5)
        await pilot.press("enter")
        await pilot.pause(0.3)
        await pilot.press(*"ansi-16-light")
        await pilot.pause(0.5)
        await pilot.press("enter")
        await settle(pilot, lambda: app.theme == "ansi-16-light")
        await settle(pilot, lambda: any(views.glob("*.json")))
    kept = json.loads(next(views.glob("*.json")).read_text())
    assert kept["theme"] == "nord" and kept["theme_16"] == "ansi-16-light"


async def test_a_theme_of_ones_own_preferences_holds_where_none_was_chosen(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root), theme="textual-light")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert app.theme == "textual-light"
        used = {s.style.color.triplet.hex for s in cells(app) if s.style and s.style.color and s.style.color.triplet}
        assert used & set(ON_LIGHT.values()) and not used & set(ON_LIGHT)


async def test_without_colours_on_few_there_are_none_and_pictures_are_letters(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    fill(ws)
    seen = {"samples": {"filter": {"outcome": "kept"}}}
    app = make_app(ws, snapshot(ws.root, "finished"), sixteen="ansi-16", seen=seen)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("3")
        await settle(pilot, lambda: len(app.screen.query(PictureView)) == 1)
        await pilot.pause(0.2)
        for segment in cells(app):
            for colour in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                assert colour is None or colour.is_default, segment
        assert "▀" not in app.screen.query_one(PictureView).render().plain
        # the cursor is still seen
        assert any(segment.style and segment.style.reverse for segment in cells(app))


def test_preferences_are_read_and_what_means_nothing_is_told(tmp_path: Path) -> None:
    assert read_look(tmp_path) == (None, True)
    file = tmp_path / "app.toml"
    file.write_text('theme = "ansi-16"\npixels = false\n')
    assert read_look(tmp_path) == ("ansi-16", False)
    for text, told in (("colour = 1", "key colour: there is no such"), ("pixels = 1", "key pixels"), ("x", "app.toml")):
        file.write_text(text)
        with pytest.raises(InputError, match=told):
            read_look(tmp_path)


@needs_tmux
@pytest.mark.parametrize("term", ["screen", "xterm", "linux"])
def test_a_terminal_of_sixteen_colours_gets_no_other(ws: Workspace, tmux: Tmux, term: str) -> None:
    fill(ws)
    tmux.open(["env", "-u", "COLORTERM", f"TERM={term}", *app(ws)])
    tmux.until(lambda screen: "v004" in screen)
    screen = tmux.run("capture-pane", "-p", "-e", "-N")
    assert "\x1b[38;" not in screen and "\x1b[48;" not in screen and "\x1b[40m" in screen
    # the fonts of the Linux console have no braille
    assert (term == "linux") == screen.replace("\x1b", "").isascii()


@needs_tmux
def test_a_theme_that_does_not_exist_is_one_line(ws: Workspace, tmux: Tmux, tmp_path: Path) -> None:
    fill(ws)
    (tmp_path / "config" / "progtrain").mkdir(parents=True)
    (tmp_path / "config" / "progtrain" / "app.toml").write_text('theme = "mauve"\n')
    tmux.open(app(ws), (200, 24))
    screen = tmux.until(lambda screen: "ended with 2" in screen)
    assert "app.toml, key theme: no theme mauve; there are ansi-16" in screen.replace("\n", "")


@needs_tmux
def test_a_size_that_the_shell_exports_does_not_beat_the_real_one(ws: Workspace, tmux: Tmux) -> None:
    fill(ws)
    tmux.open(["env", "COLUMNS=200", "LINES=60", *app(ws)], (90, 30))
    screen = tmux.until(lambda screen: "v004" in screen and "Keys" in screen)
    assert screen.rstrip("\n").splitlines()[-1].startswith(("s Start", "tab"))

"""Opening, keys of one's own, looking only, ASCII, palette, leaving."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.workspace import Workspace
from progtrain.tui import clipboard
from progtrain.tui.commands import Commands, dataset_of
from progtrain.tui.keys import key_names
from progtrain.tui.preferences import read_keys
from progtrain.tui.screens.help import HelpScreen
from progtrain.tui.screens.review import ReviewScreen
from progtrain.tui.start import main
from tests.tui.fakes import FakeEngine, fill, make_app, settle, snapshot


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda p: None, "there is no such folder"),
        (lambda p: p.write_text("x"), "this is a file"),
        (lambda p: p.mkdir(), "not a workspace"),
    ],
)
def test_a_folder_that_is_no_workspace_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, told: str
) -> None:
    target = tmp_path / "there"
    make(target)  # type: ignore[operator]
    with pytest.raises(SystemExit) as ended:
        main([str(target)])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and told in said and said.count("\n") == 1


def test_outside_a_terminal_it_says_so(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    fill(ws)
    with pytest.raises(SystemExit) as ended:
        main([str(ws.root)])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "not a terminal" in said and said.count("\n") == 1


def test_a_broken_keymap_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("keys = 3")
    with pytest.raises(InputError, match="a table"):
        read_keys(tmp_path)
    (tmp_path / "keys.toml").write_text("[keys]\nquit = 3")
    with pytest.raises(InputError, match="a key is a text"):
        read_keys(tmp_path)
    (tmp_path / "keys.toml").write_text("[keys\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(tmp_path)
    assert read_keys(tmp_path / "none") == {}


def test_no_binding_is_only_on_a_key_that_terminals_take() -> None:
    """Tmux, screen, flow control and the shell want ctrl+b, a, s, j; alt and ctrl+enter often do not arrive."""
    taken = {"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+j", "ctrl+enter"}
    for line in key_names():
        keys = line.split('"')[3].split(",")
        assert any(key not in taken and not key.startswith("alt+") for key in keys), line


async def test_keys_can_be_remapped(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text('[keys]\n"loop.start_or_stop" = "f9"\n"screen.rules" = "R"\n')
    fill(ws)
    engine = FakeEngine()
    app = make_app(ws, snapshot(ws.root, "stopped"), engine=engine, keys=read_keys(tmp_path))
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("s")
        await pilot.pause()
        assert engine.asked == []
        await pilot.press("f9")
        await settle(pilot, lambda: bool(engine.asked))
        await pilot.press("R")
        await pilot.pause()
        assert app.current_mode == "rules"


async def test_readonly_only_looks(ws: Workspace) -> None:
    """Every way to write is closed."""
    fill(ws)
    engine = FakeEngine()
    app = make_app(ws, snapshot(ws.root, "waiting"), engine=engine, readonly=True)
    before = ws.rules.read_text()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "read-only" in app.screen.query_one("#status").plain  # type: ignore[attr-defined]
        await pilot.press("r")
        await pilot.pause(0.1)
        for key in ("a", "e", "E", "enter", "b", "h", "x", "2", "enter"):
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(app.screen, ReviewScreen)
        await pilot.press("escape", "4")
        await pilot.press("e", "i")
        app.start_loop()
        app.stop_loop()
        await pilot.pause(0.2)
        assert engine.asked == [] and ws.rules.read_text() == before and app.current_mode == "rules"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_ascii_screens_hold_nothing_but_ascii(ws: Workspace, size: tuple[int, int]) -> None:
    fill(ws)
    for version in ("v001", "v002", "v003", "v004"):
        ws.script(version).write_text("A = 1\n")
    app = make_app(ws, snapshot(ws.root, log=ws.job("v004-train-1").log), ascii_only=True)
    async with app.run_test(size=size) as pilot:
        await settle(pilot, lambda: bool(app.model.curves))
        for key in ("1", "2", "3"):
            await pilot.press(key)
            await pilot.pause(0.3)
            text = "\n".join(
                "".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()
            )
            assert text.isascii(), {c for c in text if not c.isascii()}


async def test_help_lists_the_keys_of_the_screen_below(ws: Workspace) -> None:
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        for word in (
            "Start/stop",
            "Log scale",
            "Smoothing",
            "Search output",
            "Leaderboard",
            "Quit; the loop goes on by itself",
        ):
            assert word in app.screen._text().plain
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)


@pytest.mark.parametrize(
    ("typed", "dataset"),
    [
        ("/progressive-training?dataset_id=digits_v2", "digits_v2"),
        ("/progressive-training?dataset_id=", None),
        ("/progressive-training", None),
        ("/other?dataset_id=x", None),
    ],
)
def test_the_palette_command_takes_a_dataset(typed: str, dataset: str | None) -> None:
    assert dataset_of(typed) == dataset


async def test_the_palette_exports_and_says_where_it_lies(ws: Workspace) -> None:
    fill(ws)
    engine = FakeEngine()
    app = make_app(ws, snapshot(ws.root, "finished"), engine=engine)
    async with app.run_test() as pilot:
        await settle(pilot)
        hits = {str(hit.text): hit async for hit in Commands(app.screen).search("export to tensorboard")}
        hits["export to tensorboard"].command()
        await settle(pilot, lambda: len(app._notifications) == 2)
        told = [note.message for note in app._notifications]
    assert engine.asked == [("export", "tensorboard")]
    assert told == ["exporting to tensorboard", "2 of 2 versions written to Models/exports/tensorboard"]


async def test_the_loop_starts_from_the_palette(ws: Workspace) -> None:
    fill(ws)
    engine = FakeEngine()
    app = make_app(ws, snapshot(ws.root, "not started"), engine=engine)
    async with app.run_test() as pilot:
        await settle(pilot)
        hits = [hit async for hit in Commands(app.screen).search("/progressive-training?dataset_id=v2")]
        assert len(hits) == 1
        await pilot.press("ctrl+p")
        await pilot.pause(0.2)
        await pilot.press(*"/progressive-training")
        await pilot.pause(0.5)
        await pilot.press("enter")
        await settle(pilot, lambda: bool(engine.asked))
        assert engine.asked == [("start", None)]
        hits[0].command()
        await settle(pilot, lambda: len(engine.asked) == 2)
        assert engine.asked[1] == ("start", "v2")


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_leaving_while_a_training_runs_says_that_it_goes_on(ws: Workspace, key: str) -> None:
    fill(ws)
    engine = FakeEngine()
    app = make_app(ws, snapshot(ws.root), engine=engine)
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press(key)
        await pilot.pause()
    assert not app.is_running and engine.asked == []
    assert "v004 training: it goes on without the app" in app.farewell()


def test_copies_reach_the_terminal_through_tmux_and_screen() -> None:
    plain = "\x1b]52;c;aGk=\x07"
    assert clipboard.sequences("hi", {}) == plain
    assert clipboard.sequences("hi", {"TMUX": "x"}) == f"{plain}\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\"
    assert clipboard.sequences("hi", {"TERM": "screen-256color"}) == f"\x1bP{plain}\x1b\\"
    assert clipboard.sequences("x" * 100_000, {}) is None


async def test_a_copy_also_lies_in_a_file(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fill(ws)
    app = make_app(ws, snapshot(ws.root))
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("2", "y")
        await settle(pilot, lambda: (tmp_path / "progtrain" / "copied.txt").exists())
        assert (tmp_path / "progtrain" / "copied.txt").read_text().startswith("version,accuracy,loss\nv001,0.9444")


HEAVY = ("torch", "lightning", "pandas", "llama_cpp", "numpy", "sklearn", "libcst", "PIL", "textual_plot")

_IMPORTS = """
import asyncio, sys
from collections.abc import Sequence
from pathlib import Path
from progtrain.tui.app import ProgtrainApp

async def main():
    app = ProgtrainApp(Path(sys.argv[1]))
    until = sys.argv[2].split()
    if not until:
        app.watcher.start = lambda: None
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        for _ in range(600):
            if until and (app.model.snapshot is None or not sys.modules.keys() >= set(until)):
                await pilot.pause(0.1)
        print("imported:", *(name for name in sys.argv[3:] if name in sys.modules))

asyncio.run(main())
"""


def imported(ws: Workspace, names: Sequence[str], *, until: Sequence[str] = ()) -> list[str]:
    """Which of these modules a fresh app has imported by its first frame, nothing looked at yet; with `until`, when
    it has looked at the workspace and imported those.
    """
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS, str(ws.root), " ".join(until), *names],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "imported:" in done.stdout, done.stdout + done.stderr
    return done.stdout.partition("imported:")[2].split()


def test_nothing_heavy_is_imported_before_the_first_frame(ws: Workspace) -> None:
    fill(ws)
    assert imported(ws, HEAVY) == []


def test_other_screens_are_imported_before_a_key_asks_for_them_and_none_of_the_scientific_packages(
    ws: Workspace,
) -> None:
    fill(ws)
    names = ["progtrain.tui.screens.review", "rich.markdown", "progtrain.tui.screens.samples"]
    assert imported(ws, [*names, *HEAVY[:6]], until=names) == names


def test_what_connects_to_servers_is_not_imported_with_textual_and_is_there_for_who_asks_for_it() -> None:
    code = (
        "import sys; from progtrain.tui.start import _without_tls; _without_tls(); import textual.app;"
        "print('ssl' in sys.modules); import ssl; print(ssl.create_default_context().check_hostname)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def run_in_terminal(arguments: list[str], keys: list[bytes], seconds: float = 90.0) -> tuple[bytes, int]:
    """The real program in a real pseudo-terminal; what it wrote, and its exit code."""
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="80", LINES="24")
        os.execv(sys.executable, [sys.executable, "-m", "progtrain.tui.start", *arguments])
    return asyncio.run(_talk(pid, master, keys, seconds))


async def _talk(pid: int, master: int, keys: list[bytes], seconds: float) -> tuple[bytes, int]:
    written = bytearray()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def read() -> None:
        try:
            data = os.read(master, 65536)
        except OSError:
            data = b""
        if not data:
            loop.remove_reader(master)
            ended.set()
        written.extend(data)

    loop.add_reader(master, read)
    while b"reading" not in written and b"nothing started" not in written and b"v00" not in written:
        await asyncio.wait_for(asyncio.sleep(0.1), seconds)
        if ended.is_set():
            break
    for key in keys:
        await asyncio.sleep(1.0)
        if ended.is_set():
            break
        os.write(master, key)
    await asyncio.wait_for(ended.wait(), seconds)
    os.close(master)
    return bytes(written), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_real_program_opens_and_leaves_in_a_real_terminal(ws: Workspace) -> None:
    fill(ws)
    written, code = run_in_terminal([str(ws.root)], [b"2", b"q"])
    assert code == 0
    assert (b"\x1b[?1049h" in written and written.rstrip().endswith(b"l")) or b"\x1b[?1049l" in written

"""progtrain-tui: looks at a workspace and answers the loop's questions. It holds nothing and starts nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.filter import LineFilter, NoColor
from textual.screen import Screen
from textual.widget import Widget

from progtrain.engine.clock import Clock, now
from progtrain.engine.errors import ProgtrainError
from progtrain.engine.files import write_text
from progtrain.engine.status.snapshot import WORKING
from progtrain.engine.workspace import Workspace
from progtrain.tui import clipboard, comparing, preferences
from progtrain.tui.actions import available_actions
from progtrain.tui.client import EngineClient
from progtrain.tui.commands import Commands
from progtrain.tui.host import Engine, Host
from progtrain.tui.look import themes, words
from progtrain.tui.look.filters import OnlyText
from progtrain.tui.look.sanitize import clean_line, clean_text
from progtrain.tui.model import Model, Update
from progtrain.tui.reading.prefetch import Prefetch
from progtrain.tui.screens.base import BaseScreen
from progtrain.tui.screens.table import FIRST, SCREENS, import_screens, screen_bindings, screen_class
from progtrain.tui.watch import HANGING_SECONDS, Watcher

if TYPE_CHECKING:
    from progtrain.engine.schema import Decision
    from progtrain.engine.status.snapshot import Snapshot
    from progtrain.engine.status.view import WorkspaceView

T = TypeVar("T")


_NO_COLOR = NoColor()
#: styles of what no first frame shows
_LATER_STYLES = Path(__file__).with_name("later.tcss")


def _maker(name: str) -> Callable[[], Screen[Any]]:
    return lambda: screen_class(name)()


class ProgtrainApp(App[None]):
    """A `host.Host`: what screens ask of it stands there."""

    TITLE = "progtrain"
    CSS_PATH = "app.tcss"
    # Textual's own annotation makes these instance variables to mypy
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-huge")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-middle"), (34, "-high")]  # noqa: RUF012
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {Commands}
    DEFAULT_MODE = FIRST
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        name: _maker(name) for name in SCREENS if name != FIRST
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "leave", "Quit", tooltip="Quit; the loop goes on by itself", show=False, id="quit"),
        Binding("question_mark", "help", "Keys", id="help"),
        *screen_bindings(),
        Binding("c", "compare", "Compare", tooltip="Compare marked versions", show=False, id="compare"),
        Binding(
            "C",
            "choose_versions",
            "Compare versions",
            tooltip="Choose versions to compare",
            show=False,
            id="compare.choose",
        ),
    ]

    def __init__(
        self,
        root: Path,
        *,
        snapshot: Callable[[], Snapshot] | None = None,
        engine: Engine | None = None,
        readonly: bool = False,
        ascii_only: bool = False,
        keys: dict[str, str] | None = None,
        every: float = 1.0,
        ahead: Prefetch | None = None,
        seen: dict[str, Any] | None = None,
        clock: Clock = now,
        theme: str | None = None,
        sixteen: str | None = None,
        pixels: type[Widget] | None = None,
        loaded: Callable[[], None] = lambda: None,
    ) -> None:
        """`snapshot`: what to show instead of the engine's own view of `root`.

        `seen`: how this workspace was looked at the last time; changes to it are kept where it is given.
        `theme`: the user's, where none is remembered. `sixteen`: the one for a terminal of 16 colours; None where it
        has more. `pixels`: draws pictures as pixels; None: half blocks do. `loaded` is called when what
        stays in memory is there: after the first frame, and after the engine's first look.
        """
        super().__init__()
        self._loaded = loaded
        for own in themes.THEMES:
            self.register_theme(own)
        self._theme, self._sixteen = theme, sixteen
        self.animation_level = "none"
        self.workspace, self.model = Workspace(root), Model(root, clock)
        self.engine: Engine = engine or EngineClient(self.workspace)
        self.readonly, self._ascii = readonly, ascii_only
        self._gate = OnlyText(ascii_only=ascii_only)
        self.pixels = None if ascii_only or sixteen is not None else pixels
        self._seen, self._keeps_view = seen or {}, seen is not None
        self.signs = words.ASCII if ascii_only else words.UNICODE
        look, prepare = snapshot or _engine_view(root, clock), import_screens
        self.watcher = Watcher(
            self.workspace, look, self._post, every=every, ahead=ahead, prepare=prepare, loaded=loaded
        )
        self.keys = keys or {}
        self.set_keymap(self.keys)

    def get_line_filters(self) -> Sequence[LineFilter]:
        fitted = themes.recolour(self.current_theme)
        before = (_NO_COLOR,) if self._plain else (*super().get_line_filters(), *([fitted] if fitted else []))
        # the same one as long as nothing differs: Textual keeps what a filter has made of a line
        if self._gate.before != before:
            self._gate = OnlyText(ascii_only=self._ascii, before=before)
        return [self._gate]

    @property
    def _plain(self) -> bool:
        """Without any colour: on terminals that have more, Textual turns them into greys."""
        return self.no_color and self.current_theme.ansi

    @property
    def letters(self) -> bool:
        """Pictures are drawn with letters, for half blocks would say nothing."""
        return self._ascii or self._plain

    @property
    def _theme_key(self) -> str:
        return "theme" if self._sixteen is None else "theme_16"

    def _first_theme(self) -> str:
        """What was chosen for this workspace, or by the user for all; on 16 colours only what is made of them."""
        for wanted in (self._seen.get(self._theme_key), self._theme):
            found = self.available_themes.get(wanted) if isinstance(wanted, str) else None
            if found is not None and (found.ansi or self._sixteen is None):
                return found.name
        return self._sixteen or self.theme

    def on_load(self) -> None:
        self.theme = self._first_theme()
        marked = self._seen.get("marked")
        self.model.marked = {v for v in marked if isinstance(v, str)} if isinstance(marked, list) else set()
        self.model.apply(self.watcher.first())

    def get_default_screen(self) -> Screen[Any]:
        """The first screen. Were it a mode from the start, Textual would parse all CSS twice."""
        return screen_class(FIRST)()

    def on_mount(self) -> None:
        self.add_mode(FIRST, _maker(FIRST))
        self.call_after_refresh(self._drawn)
        self.watch(self, "theme", lambda theme: self.remember(self._theme_key, theme), init=False)

    def size_classes(self) -> tuple[str, str]:
        """The style classes for the terminal's width and height, which Textual gives with the first resize."""
        steps = zip(self.size, (self.HORIZONTAL_BREAKPOINTS, self.VERTICAL_BREAKPOINTS), strict=True)
        width, height = (next(name for least, name in reversed(found) if size >= least) for size, found in steps)
        return width, height

    def catch_up(self) -> None:
        """Before the first frame: what was read ahead meanwhile is drawn with it."""
        if not self.watcher.drawn.is_set():
            self.model.apply(self.watcher.first())

    def _drawn(self) -> None:
        self.stylesheet.read(_LATER_STYLES)
        self.stylesheet.parse()
        self._loaded()
        self.watcher.drawn.set()
        self.watcher.start()
        self.set_interval(HANGING_SECONDS, self._see_hanging)

    def _see_hanging(self) -> None:
        if update := self.watcher.hanging():
            self._take(update)

    def on_unmount(self) -> None:
        self.watcher.stop()

    # what threads tell

    def _post(self, update: Update) -> None:
        self.call_later(self._take, update)

    def _take(self, update: Update) -> None:
        self.model.apply(update)
        self._show()

    def _show(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, BaseScreen):
                screen.refresh_view()

    def in_thread(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """`work` may wait for the disk or the engine; `done` gets its result on the app's thread.

        Not one of Textual's workers: the app's end waits for those, and a dead network folder never answers.
        """

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - a defect must be told, and must not end the app
                known = isinstance(error, ProgtrainError | OSError)
                text = str(error) if known else f"{type(error).__name__}: {error}"
                self.call_later(partial(self.say, text, bad=True))
            else:
                self.call_later(done, result)

        threading.Thread(target=run, name="work", daemon=True).start()

    def say(self, text: str, *, bad: bool = False) -> None:
        severity = "error" if bad else "information"
        self.notify(clean_text(text), severity=severity, markup=False, timeout=10 if bad else 4)  # type: ignore[arg-type]

    # the ways back to the loop

    def start_loop(self, dataset_id: str | None = None) -> None:
        if self._refused():
            return
        self.say("starting")
        self.in_thread(lambda: self.engine.start(dataset_id), lambda _: self.look_now())

    def stop_loop(self) -> None:
        if not self._refused():
            self.in_thread(self.engine.stop, lambda _: self.look_now())

    def repeat(self, version: str) -> None:
        if not self._refused():
            self.say(f"{version} is trained again with other seeds")
            self.in_thread(lambda: self.engine.repeat(version), lambda _: self.look_now())

    def answer(self, decision: Decision, sent: Callable[[None], None]) -> None:
        def done(result: None) -> None:
            sent(result)
            self.look_now()

        if not self._refused():
            self.in_thread(lambda: self.engine.answer(decision), done)

    def _refused(self) -> bool:
        if self.readonly:
            self.say("opened with --readonly: nothing can be changed here")
        return self.readonly

    def look_now(self) -> None:
        self.watcher.nudge()

    def want_curves(self, versions: Iterable[str]) -> None:
        self.watcher.want(versions)

    # the view of each workspace

    def recalled(self, screen: str) -> dict[str, Any]:
        found = self._seen.get(screen)
        return found if isinstance(found, dict) else {}

    def remember(self, name: str, value: Any) -> None:
        if self._seen.get(name) == value:
            return
        self._seen[name] = value
        if self._keeps_view:
            seen = dict(self._seen)
            self.in_thread(lambda: preferences.write_view(self.workspace.root, seen), lambda _: None)

    # going about

    def action_screen(self, name: str) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if self.current_mode != name:
            self.switch_mode(name)

    def action_help(self) -> None:
        from progtrain.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(available_actions(self.screen, self.keys), self.signs))

    def toggle_mark(self, version: str) -> None:
        self.model.marked ^= {version}
        self.remember("marked", sorted(self.model.marked))
        self._show()

    def action_compare(self) -> None:
        comparing.compare(self, self.screen.version_here if isinstance(self.screen, BaseScreen) else None)

    def compare_with_base(self, version: str) -> None:
        comparing.compare_with_base(self, version)

    def action_choose_versions(self) -> None:
        comparing.choose_versions(self)

    def show_sample(self, version: str, sample_id: str | None) -> None:
        self.action_screen("samples")

        from progtrain.tui.screens.samples import SamplesScreen

        def look() -> None:
            if isinstance(self.screen, SamplesScreen):
                self.screen.look_at(version, sample_id)

        self.call_after_refresh(look)

    def copy(self, text: str, what: str) -> None:
        """To the terminal's clipboard, and to a file for terminals without one."""
        if not text:
            self.say("there is nothing to copy")
            return
        sequences = clipboard.sequences(text)
        if sequences is not None and self._driver is not None:
            self._driver.write(sequences)
        path = preferences.cache_folder() / "copied.txt"
        self.in_thread(lambda: write_text(path, text), lambda _: self.say(f"{what} is copied, and lies in {path}"))

    def ring(self, text: str) -> None:
        if self._driver is not None:
            self._driver.write(clipboard.bell(text))
        self.say(text)

    def action_leave(self) -> None:
        self.exit()

    def farewell(self) -> str:
        """What to say when the app has ended."""
        snapshot = self.model.snapshot
        if snapshot is None or not (snapshot.running or snapshot.status in WORKING):
            return ""
        about = clean_line(words.headline(snapshot))
        return f"{about}: it goes on without the app. See it again: progtrain-tui {clean_line(self.workspace.root)}"


def _engine_view(root: Path, clock: Clock) -> Callable[[], Snapshot]:
    """The engine's own view, made at the first look: its imports must not hold up the first frame."""

    @cache
    def view() -> WorkspaceView:
        from progtrain.engine.status.view import WorkspaceView

        return WorkspaceView(root, clock)

    return lambda: view().snapshot()


if TYPE_CHECKING:
    # what screens may ask is there
    _AS_HOST: type[Host] = ProgtrainApp

"""progtrain-tui: looks at a workspace and answers the loop's questions. It holds nothing and starts nothing itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.dom import DOMNode
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import Screen

from engine.errors import ProgtrainError
from engine.workspace import Workspace
from tui import clipboard, preferences, words
from tui.commands import SCREENS, Commands
from tui.filters import OnlyAscii, OnlyText
from tui.messages import Update, Updated
from tui.model import Model
from tui.port import Engine, RealEngine, View
from tui.reading.ahead import Ahead
from tui.sanitize import clean_line, clean_text
from tui.screens.base import BaseScreen
from tui.watch import Watcher

if TYPE_CHECKING:
    from engine.schema import Decision

T = TypeVar("T")


#: mode -> module and class: all but the first screen are imported when they are first wanted
_SCREENS = {
    "loop": ("tui.screens.loop", "LoopScreen"),
    "leaderboard": ("tui.screens.leaderboard", "LeaderboardScreen"),
    "samples": ("tui.screens.samples", "SamplesScreen"),
    "rules": ("tui.screens.rules", "RulesScreen"),
    "journal": ("tui.screens.journal", "JournalScreen"),
    "reports": ("tui.screens.reports", "ReportsScreen"),
    "review": ("tui.screens.review", "ReviewScreen"),
}


def screen_class(mode: str) -> type[BaseScreen]:
    module, name = _SCREENS[mode]
    found: type[BaseScreen] = getattr(importlib.import_module(module), name)
    return found


def _maker(mode: str) -> Callable[[], Screen[Any]]:
    return lambda: screen_class(mode)()


class Finished(Message):
    """Work in a thread has ended; `done` is called on the app's thread."""

    def __init__(self, done: Callable[[], None]) -> None:
        super().__init__()
        self.done = done


class ProgtrainApp(App[None]):
    TITLE = "progtrain"
    CSS_PATH = "app.tcss"
    # Textual's own annotation makes these instance variables to mypy
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-huge")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-middle"), (34, "-high")]  # noqa: RUF012
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {Commands}
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {mode: _maker(mode) for mode in _SCREENS}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "leave", "Quit", tooltip="Quit; what runs goes on", show=False, id="quit"),
        Binding("question_mark", "help", "Keys", id="help"),
        *(
            Binding(str(number), f"screen('{name}')", name.capitalize(), show=False, id=f"screen.{name}")
            for number, name in enumerate(SCREENS, start=1)
        ),
        Binding("r", "review", "Review", show=False, id="review"),
    ]

    def __init__(
        self,
        root: Path,
        *,
        view: View | None = None,
        engine: Engine | None = None,
        readonly: bool = False,
        ascii_only: bool = False,
        keys: dict[str, str] | None = None,
        every: float = 1.0,
        ahead: Ahead | None = None,
        seen: dict[str, Any] | None = None,
    ) -> None:
        """`seen`: how this workspace was looked at the last time; changes to it are kept where it is given."""
        super().__init__()
        self.animation_level = "none"
        self.workspace = Workspace(root)
        self.model = Model(root)
        self.engine: Engine = engine or RealEngine(self.workspace)
        self.readonly = readonly
        self.letters = ascii_only
        self._keeps_view = seen is not None
        self._seen: dict[str, Any] = seen or {}
        self.signs = words.ASCII if ascii_only else words.UNICODE
        self.watcher = Watcher(
            self.workspace,
            lambda: view or _view_of(root),
            lambda update: self.post_message(Updated(update)),
            every=every,
            ahead=ahead,
        )
        if keys:
            self.set_keymap(keys)

    def get_line_filters(self) -> Sequence[LineFilter]:
        own: list[LineFilter] = [OnlyText(), OnlyAscii()] if self.letters else [OnlyText()]
        return [*super().get_line_filters(), *own]

    def on_load(self) -> None:
        if (theme := self._seen.get("theme")) in self.available_themes:
            self.theme = theme
        marked = self._seen.get("marked")
        self.model.marked = {v for v in marked if isinstance(v, str)} if isinstance(marked, list) else set()
        if first := self.watcher.first():
            self.model.apply(first)
        self.watcher.start()

    def on_mount(self) -> None:
        self.switch_mode("loop")
        self.call_after_refresh(self.watcher.drawn.set)
        self.watch(self, "theme", lambda theme: self.remember("theme", theme), init=False)

    def on_unmount(self) -> None:
        self.watcher.stop()

    # what threads tell

    def on_updated(self, message: Updated) -> None:
        self.model.apply(message.update)
        self._show(message.update)

    def _show(self, update: Update) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, BaseScreen):
                screen.refresh_view()

    def on_finished(self, message: Finished) -> None:
        message.done()

    def in_thread(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """`work` may wait for the disk or the engine; `done` gets its result on the app's thread."""

        def run() -> None:
            try:
                result = work()
            except (ProgtrainError, OSError) as error:
                text = str(error)
                self.post_message(Finished(lambda: self.say(text, bad=True)))
            except Exception as error:  # noqa: BLE001 - a defect must be told, and must not end the app
                text = f"{type(error).__name__}: {error}"
                self.post_message(Finished(lambda: self.say(text, bad=True)))
            else:
                self.post_message(Finished(lambda: done(result)))

        self.run_worker(run, thread=True, exit_on_error=False)

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
        if self.current_mode != name:
            while len(self.screen_stack) > 1:
                self.pop_screen()
            self.switch_mode(name)

    def action_review(self) -> None:
        self.action_screen("review")

    def action_help(self) -> None:
        from tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen, self.signs))

    def toggle_mark(self, version: str) -> None:
        self.model.marked ^= {version}
        self.remember("marked", sorted(self.model.marked))
        self._show(Update())

    def compare(self, version: str | None) -> None:
        """The marked versions; fewer than two: the one under the cursor against the one it was made from."""
        versions = tuple(sorted(self.model.marked))
        if len(versions) >= 2:
            self._open_comparison(versions)
        elif versions and version and versions[0] != version:
            self._open_comparison((versions[0], version))
        elif version:
            self.compare_with_base(version)

    def compare_with_base(self, version: str) -> None:
        view = self.model.version(version)
        names = [v.version for v in self.model.snapshot.versions] if self.model.snapshot else []
        place = names.index(version) if version in names else 0
        base = view.base if view and view.base else names[place - 1] if place else None
        if base is None or base == version:
            self.say(f"{version} is the first: space marks another one, c compares them")
        else:
            self._open_comparison((base, version))

    def _open_comparison(self, versions: tuple[str, ...]) -> None:
        from tui.screens.compare import CompareScreen

        self.push_screen(CompareScreen(versions))

    def show_sample(self, version: str, sample_id: str | None) -> None:
        self.action_screen("samples")

        from tui.screens.samples import SamplesScreen

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
        folder = preferences.cache_folder()
        self.in_thread(
            lambda: clipboard.keep_in_file(text, folder), lambda path: self.say(f"{what} is copied, and lies in {path}")
        )

    def action_leave(self) -> None:
        self.exit()

    def farewell(self) -> str:
        """What to say when the app has ended."""
        snapshot = self.model.snapshot
        if snapshot is None or not (snapshot.running or snapshot.status in words.WORKING):
            return ""
        about = clean_line(words.headline(snapshot))
        return f"{about}: it goes on without the app. See it again: progtrain-tui {clean_line(self.workspace.root)}"

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette's own commands are in `Commands`; of Textual's only the theme is of use here."""
        yield SystemCommand("theme", "choose other colours", self.action_change_theme)


def _view_of(root: Path) -> View:
    from engine.view import WorkspaceView

    return WorkspaceView(root)


def key_names() -> list[str]:
    """Every binding that can be given other keys, as lines of `keys.toml`."""
    from tui.screens.ask import AskLine, Confirm
    from tui.screens.compare import CompareScreen
    from tui.screens.edit import EditScreen
    from tui.screens.facts import FactsScreen
    from tui.widgets.curve import CurveView
    from tui.widgets.log_view import LogView
    from tui.widgets.row_list import RowList

    widgets = (RowList, CurveView, LogView, Confirm, AskLine, EditScreen, FactsScreen, CompareScreen)
    found: dict[str, str] = {}
    holders: tuple[type[DOMNode], ...] = (ProgtrainApp, *widgets, *map(screen_class, _SCREENS))
    for holder in holders:
        for binding in holder.BINDINGS:
            if isinstance(binding, Binding) and binding.id:
                found.setdefault(binding.id, f'"{binding.id}" = "{binding.key}"  # {binding.description}\n')
    return [found[name] for name in sorted(found)]


def main(arguments: list[str] | None = None) -> None:
    """`tui.start.main`, which is quicker where it is called itself: it reads ahead while this module is imported."""
    from tui import start

    start.main(arguments)

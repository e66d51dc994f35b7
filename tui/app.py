"""progtrain-tui: looks at a workspace and answers the loop's questions. It holds nothing and starts nothing itself."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.dom import DOMNode
from textual.filter import LineFilter, NoColor
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from progtrain.engine.clock import Clock, now
from progtrain.engine.errors import ProgtrainError
from progtrain.engine.workspace import Workspace
from progtrain.tui import clipboard, preferences
from progtrain.tui.actions import doings, named_bindings
from progtrain.tui.commands import SCREENS, Commands
from progtrain.tui.host import Engine, RealEngine, View
from progtrain.tui.look import themes, words
from progtrain.tui.look.colours import version_colour
from progtrain.tui.look.filters import OnlyAscii, OnlyText
from progtrain.tui.look.sanitize import as_text, clean_line, clean_text
from progtrain.tui.messages import Update, Updated
from progtrain.tui.model import Model, in_order
from progtrain.tui.reading.prefetch import Prefetch
from progtrain.tui.screens.base import BaseScreen
from progtrain.tui.watch import Watcher

if TYPE_CHECKING:
    from progtrain.engine.schema import Decision

T = TypeVar("T")


#: mode -> module and class: all but the first screen are imported after the first frame, or when they are wanted
_SCREENS = {
    "loop": ("progtrain.tui.screens.loop", "LoopScreen"),
    "leaderboard": ("progtrain.tui.screens.leaderboard", "LeaderboardScreen"),
    "samples": ("progtrain.tui.screens.samples", "SamplesScreen"),
    "rules": ("progtrain.tui.screens.rules", "RulesScreen"),
    "journal": ("progtrain.tui.screens.journal", "JournalScreen"),
    "reports": ("progtrain.tui.screens.reports", "ReportsScreen"),
    "review": ("progtrain.tui.screens.review", "ReviewScreen"),
}

_FIRST = "loop"


def screen_class(mode: str) -> type[BaseScreen]:
    module, name = _SCREENS[mode]
    found: type[BaseScreen] = getattr(importlib.import_module(module), name)
    return found


def _import_screens() -> None:
    """All that is not imported yet and that a key would wait for."""
    for mode in _SCREENS:
        screen_class(mode)
    importlib.import_module("progtrain.tui.widgets.markdown_elements")


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
    DEFAULT_MODE = _FIRST
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        mode: _maker(mode) for mode in _SCREENS if mode != _FIRST
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "leave", "Quit", tooltip="Quit; what runs goes on", show=False, id="quit"),
        Binding("question_mark", "help", "Keys", id="help"),
        *(
            Binding(str(number), f"screen('{name}')", name.capitalize(), show=False, id=f"screen.{name}")
            for number, name in enumerate(SCREENS, start=1)
        ),
        Binding("r", "review", "Review", show=False, id="review"),
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
        view: View | None = None,
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
        """`seen`: how this workspace was looked at the last time; changes to it are kept where it is given.

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
        self.workspace = Workspace(root)
        self.model = Model(root, clock)
        self.engine: Engine = engine or RealEngine(self.workspace)
        self.readonly = readonly
        self._ascii = ascii_only
        self.pixels = None if ascii_only or sixteen is not None else pixels
        self._keeps_view = seen is not None
        self._seen: dict[str, Any] = seen or {}
        self.signs = words.ASCII if ascii_only else words.UNICODE
        self.watcher = Watcher(
            self.workspace,
            lambda: view or _view_of(root, clock),
            lambda update: self.post_message(Updated(update)),
            every=every,
            ahead=ahead,
            prepare=_import_screens,
            loaded=loaded,
        )
        #: binding name -> the user's keys for it
        self.keys = keys or {}
        if keys:
            self.set_keymap(keys)

    def get_line_filters(self) -> Sequence[LineFilter]:
        own: list[LineFilter] = [OnlyText(), OnlyAscii()] if self._ascii else [OnlyText()]
        if self._plain:
            return [NoColor(), *own]
        fitted = themes.recolour(self.current_theme)
        return [*super().get_line_filters(), *([fitted] if fitted else []), *own]

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
        return screen_class(_FIRST)()

    def on_mount(self) -> None:
        self.add_mode(_FIRST, _maker(_FIRST))
        self.call_after_refresh(self._drawn)
        self.watch(self, "theme", lambda theme: self.remember(self._theme_key, theme), init=False)

    def catch_up(self) -> None:
        """Before the first frame: what was read ahead meanwhile is drawn with it."""
        if not self.watcher.drawn.is_set():
            self.model.apply(self.watcher.first())

    def _drawn(self) -> None:
        self._loaded()
        self.watcher.drawn.set()
        self.watcher.start()

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
        """`work` may wait for the disk or the engine; `done` gets its result on the app's thread.

        Not one of Textual's workers: the app's end waits for those, and a dead network folder never answers.
        """

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

    def action_review(self) -> None:
        self.action_screen("review")

    def action_help(self) -> None:
        from progtrain.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(doings(self.screen, self.keys), self.signs))

    def toggle_mark(self, version: str) -> None:
        self.model.marked ^= {version}
        self.remember("marked", sorted(self.model.marked))
        self._show(Update())

    def action_compare(self) -> None:
        """The marked versions; fewer than two: the one that the screen is about and the one it was made from."""
        version = self.screen.version_here if isinstance(self.screen, BaseScreen) else None
        versions = in_order(self.model.marked)
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

    def action_choose_versions(self) -> None:
        from progtrain.tui.screens.choose import Choose
        from progtrain.tui.widgets.row_list import Row

        rows = [
            Row(v.version, (as_text(v.version, version_colour(v.version)), as_text(v.action or v.state)))
            for v in reversed(self.model.snapshot.versions if self.model.snapshot else ())
        ]
        if len(rows) < 2:
            self.say("two versions are needed to compare")
            return
        title = "compare two or more versions; the earliest is the base"
        choose = Choose(title, rows, many=True, marked=self.model.marked, sign=self.signs.marked)
        self.push_screen(choose, self._versions_chosen)

    def _versions_chosen(self, versions: tuple[str, ...] | None) -> None:
        if versions and len(versions) == 1:
            self.compare_with_base(versions[0])
        elif versions:
            self._open_comparison(in_order(versions))

    def _open_comparison(self, versions: tuple[str, ...]) -> None:
        from progtrain.tui.screens.compare import CompareScreen

        if isinstance(self.screen, CompareScreen):
            self.pop_screen()
        self.push_screen(CompareScreen(versions))

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


def _view_of(root: Path, clock: Clock) -> View:
    from progtrain.engine.status.view import WorkspaceView

    return WorkspaceView(root, clock)


def _holders() -> tuple[type[DOMNode], ...]:
    """All that has keys. Imports every screen."""
    from progtrain.tui.screens.ask import AskLine, Confirm
    from progtrain.tui.screens.choose import Choose
    from progtrain.tui.screens.compare import CompareScreen
    from progtrain.tui.screens.edit import EditScreen
    from progtrain.tui.screens.facts import FactsScreen
    from progtrain.tui.widgets.curve import CurveView
    from progtrain.tui.widgets.log_view import LogView
    from progtrain.tui.widgets.row_list import RowList

    screens = (Confirm, AskLine, Choose, EditScreen, FactsScreen, CompareScreen)
    return (ProgtrainApp, RowList, CurveView, LogView, *screens, *map(screen_class, _SCREENS))


def all_bindings() -> dict[str, Binding]:
    """Every binding that can be given other keys, by its name."""
    found: dict[str, Binding] = {}
    for holder in _holders():
        for binding in named_bindings(holder):
            found.setdefault(binding.id or "", binding)
    return dict(sorted(found.items()))


def keymap_problem(keys: Mapping[str, str]) -> str | None:
    """What keeps the user's keys from doing what they say: a name that nothing has, a key that is given away twice."""
    known = all_bindings() if keys else {}
    for name in keys:
        if name not in known:
            return f"key {name}: nothing is named so; progtrain-tui --keys lists all names"
    for holder in _holders() if keys else ():
        taken: dict[str, str] = {}
        for name, binding in {b.id or "": b for b in reversed(list(named_bindings(holder)))}.items():
            for key in (key.strip() for key in keys.get(name, binding.key).split(",")):
                other = taken.setdefault(key, name)
                if other != name and {name, other} & set(keys):
                    mine, its = (name, other) if name in keys else (other, name)
                    return f"key {mine}: {key} is taken by {its}; give {its} another one too"
    return None


def key_names() -> list[str]:
    """Lines of `keys.toml`."""
    return [f'"{name}" = "{binding.key}"  # {binding.description}\n' for name, binding in all_bindings().items()]


def main(arguments: list[str] | None = None) -> None:
    """`start.main`, which is quicker where it is called itself: it reads ahead while this module is imported."""
    from progtrain.tui import start

    start.main(arguments)

"""What all screens share: the status line on top, keys at the bottom, the model in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from progtrain.engine.workspace import Workspace
from progtrain.tui.host import Host, host_of
from progtrain.tui.look import words
from progtrain.tui.model import Model
from progtrain.tui.widgets.key_line import KeyLine
from progtrain.tui.widgets.status_bar import StatusBar, notice

T = TypeVar("T")


def is_there(screen: Screen[Any]) -> bool:
    """Whether it is made and not on its way out: what a thread has found for it can be shown."""
    return screen.is_mounted and screen.display


#: of screens with panes, besides `tab`
PANE_KEYS = (
    Binding("shift+tab", "pane(-1)", "Previous pane", show=False, id="pane.previous"),
    Binding("escape", "back", "Back", show=False, id="back"),
)


class BaseScreen(Screen[None]):
    """Subclasses compose `body` and show the model in `show`, which is called when something is new."""

    #: for the help screen
    TITLE = ""
    AUTO_FOCUS: ClassVar[str | None] = None

    @property
    def host(self) -> Host:
        return host_of(self)

    @property
    def model(self) -> Model:
        return self.host.model

    @property
    def signs(self) -> words.Signs:
        return self.host.signs

    @property
    def workspace(self) -> Workspace:
        return self.host.workspace

    def compose(self) -> ComposeResult:
        # those of the first resize: all would be styled and laid out once more for them
        for name in self.host.size_classes():
            self.add_class(name, update=False)
        yield StatusBar(signs=self.host.signs, readonly=self.host.readonly)
        yield Static("", id="notice", markup=False)
        yield from self.body()
        yield KeyLine()

    def body(self) -> ComposeResult:
        raise NotImplementedError

    @property
    def version_here(self) -> str | None:
        """The version that the screen is about, or that is under its cursor: what `c` compares."""
        return self.model.snapshot.version if self.model.snapshot else None

    def on_screen_resume(self) -> None:
        self.host.catch_up()
        self.refresh_view()

    def refresh_view(self) -> None:
        """Called by the app with every update, and when the screen comes back to the front."""
        if not is_there(self) or not self.query(StatusBar):
            return
        with self.app.batch_update():
            self.query_one(StatusBar).show(self.model)
            text = notice(self.model)
            self.query_one("#notice").display = bool(text)
            self.tell("notice", text)
            self.show(self.model)

    def show(self, model: Model) -> None:
        raise NotImplementedError

    def tell(self, place: str, text: Text) -> None:
        """Puts a text into the `Static` of that id. Where it stands there already, nothing is laid out anew."""
        static = self.query_one(f"#{place}", Static)
        if not isinstance(static.content, Text) or (static.content, static.content.style) != (text, text.style):
            static.update(text, layout=False)
            # all is laid out anew only where it takes more lines or fewer
            width, height = static.content_size
            if not width or static.get_content_height(static.container_size, self.app.size, width) != height:
                static.refresh(layout=True)

    def read(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Work that waits for the disk, in a thread; `done` gets its result if the screen is still there."""

        def if_mounted(result: T) -> None:
            if is_there(self):
                done(result)

        self.host.in_thread(work, if_mounted)

    def ask(self, title: str, help: str, done: Callable[[str], None], value: str = "") -> None:
        """A line of text for `done`, unless the user goes back."""
        from progtrain.tui.screens.ask import AskLine

        self.app.push_screen(AskLine(title, help, value), lambda text: None if text is None else done(text))

    def action_back(self) -> None:
        self.host.action_screen("loop")


class PaneScreen(BaseScreen):
    """In a narrow terminal one pane is seen at a time; `tab` goes to the next. Where there is room all are."""

    #: ids of the panes' focus widgets, in the order of `tab`; their nearest `.pane` is what is shown or hidden
    PANES: ClassVar[tuple[str, ...]] = ()
    AUTO_FOCUS: ClassVar[str | None] = ""
    pane = 0

    @property
    def narrow(self) -> bool:
        return self.app.size.width < 100

    def on_mount(self) -> None:
        # all are styled when the screen comes to the front, which follows
        self.show_pane(0, styled=False)

    def show_pane(self, number: int, *, focus: bool = True, styled: bool = True) -> None:
        self.pane = number % len(self.PANES)
        panes = {widget.id: widget for widget in self.query(Widget) if widget.id in self.PANES}
        for index, name in enumerate(self.PANES):
            if name in panes:
                _pane_of(panes[name]).set_class(index == self.pane, "-front", update=styled)
        # a container none of whose panes is in front takes no room
        for holder in self.query("#left, #right, #middle"):
            fronts = holder.query(".-front")
            holder.set_class(not fronts and not holder.has_class("-front"), "-empty", update=styled)
        if focus and (front := panes.get(self.PANES[self.pane])):
            front.focus(scroll_visible=False)

    def action_pane(self, by: int) -> None:
        self.show_pane(self.pane + by)

    def action_zoom_pane(self) -> None:
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(self.focused)

    def action_back(self) -> None:
        if self.maximized is not None:
            self.minimize()
        elif self.pane:
            self.show_pane(0)
        else:
            super().action_back()

    def on_descendant_focus(self) -> None:
        focused = self.focused.id if self.focused else None
        if focused in self.PANES and self.PANES.index(focused) != self.pane:
            self.show_pane(self.PANES.index(focused), focus=False)


def _pane_of(widget: Widget) -> Widget:
    """The nearest container of class `pane`; the widget itself where there is none."""
    for node in (widget, *widget.ancestors):
        if isinstance(node, Widget) and node.has_class("pane"):
            return node
    return widget

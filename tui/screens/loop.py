"""What runs, how far it is, whether it gets better, and what is wanted from the user."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from progtrain.engine.status.snapshot import WORKING
from progtrain.tui.look import words
from progtrain.tui.model import AXES, Axis, Model, in_order
from progtrain.tui.screens.base import PANE_KEYS, PaneScreen
from progtrain.tui.widgets.curve import CHART_KEYS, CurveView, curve_marks
from progtrain.tui.widgets.log_view import LogView
from progtrain.tui.widgets.steps import StepStrip
from progtrain.tui.widgets.versions import VersionTable, action_note, version_line

#: below the large curve; the last two where the terminal is huge
_SMALL = (2, 3, 4, 5)


class LoopScreen(PaneScreen):
    TITLE = "loop"
    PANES: ClassVar[tuple[str, ...]] = ("curve", "versions", "log")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "start_or_stop", "Start/stop", id="loop.start_or_stop"),
        Binding("r", "app.screen('review')", "Review", id="review"),
        Binding("tab", "pane(1)", "Next pane", id="pane.next"),
        Binding("space", "mark", "Mark", id="mark"),
        Binding("c", "app.compare", "Compare", id="compare"),
        Binding("slash", "search", "Search output", show=False, id="filter"),
        *CHART_KEYS,
        Binding("enter", "go_on", "Go on", show=False, id="go_on"),
        *PANE_KEYS,
    ]

    def __init__(self) -> None:
        super().__init__()
        self._chart = 0
        self._axis: Axis = "step"

    def body(self) -> ComposeResult:
        signs = self.signs
        yield StepStrip(signs=signs)
        yield Static("", id="version_line", markup=False)
        with Horizontal(id="middle"):
            with Vertical(id="left", classes="pane"):
                yield VersionTable(signs=signs)
                yield Static("", id="action_note", markup=False)
            with Vertical(id="right", classes="pane"):
                yield CurveView(id="curve", signs=signs)
                with Horizontal(id="small_curves"):
                    for number in _SMALL:
                        yield CurveView(id=f"curve_{number}", signs=signs)
        with Vertical(id="bottom", classes="pane"):
            yield LogView(id="log", signs=signs)

    def on_mount(self) -> None:
        super().on_mount()
        for number in _SMALL:
            self.query_one(f"#curve_{number}").can_focus = False
        seen = self.host.recalled("loop")
        self._axis = next((axis for axis in AXES if axis == seen.get("axis")), "step")
        for view in self.query(CurveView):
            view.recall(seen)

    # showing

    def show(self, model: Model) -> None:
        self.query_one(StepStrip).show(model)
        self.tell("version_line", version_line(model.snapshot, self.signs))
        self.query_one(VersionTable).show(model)
        self.tell("action_note", action_note(model.version(self.version_here)))
        self.query_one(LogView).show(model)
        self._show_curves(model)

    def curve_versions(self) -> tuple[str, ...]:
        """The current version and the marked ones."""
        model = self.model
        current = model.snapshot.version if model.snapshot else None
        if current is None and model.snapshot and model.snapshot.versions:
            current = model.snapshot.versions[-1].version
        return in_order({*model.marked, *([current] if current else [])})

    def _show_curves(self, model: Model) -> None:
        versions = self.curve_versions()
        self.host.want_curves(versions)
        charts = model.charts(versions)
        views = (self.query_one("#curve", CurveView), *(self.query_one(f"#curve_{n}", CurveView) for n in _SMALL))
        self.query_one("#small_curves").set_class(len(charts) < 2, "-hidden")
        current = versions[-1] if versions else ""
        marks = curve_marks(model, current, self._axis)
        for offset, view in enumerate(views):
            name = charts[(self._chart + offset) % len(charts)] if offset < len(charts) else ""
            view.set_class(bool(offset) and not name, "-hidden")
            lines = model.lines(name, versions, self._axis)
            shown = {} if offset else marks
            view.show(name, lines if name else (), reading=bool(model.reading), axis=self._axis, **shown)

    def on_row_list_highlighted(self) -> None:
        self.tell("action_note", action_note(self.model.version(self.version_here)))

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (self.host.readonly and action == "start_or_stop")

    def action_start_or_stop(self) -> None:
        from progtrain.tui.screens.ask import Confirm

        snapshot = self.model.snapshot
        if snapshot is None:
            return
        if snapshot.running or snapshot.status in WORKING - {"orphan training"}:
            about = f"{snapshot.version} is {words.headline(snapshot).removeprefix(f'{snapshot.version} ')}."
            question = f"Stop the loop? {about}\nIt ends after the batch that runs; what is finished is kept."
            self.app.push_screen(Confirm(question, "stop it", "go on"), self._stop)
        elif snapshot.status == "waiting":
            self.host.action_screen("review")
        else:
            self.host.start_loop()

    def _stop(self, yes: bool | None) -> None:
        if yes:
            self.host.stop_loop()

    def action_go_on(self) -> None:
        """Enter does what the second line says: start, resume, or answer."""
        snapshot = self.model.snapshot
        if snapshot is None:
            return
        if snapshot.status in {"waiting", "drafting"}:
            self.host.action_screen("review")
        elif snapshot.status in {"not started", "stopped", "runner gone", "orphan training"}:
            self.host.start_loop()
        elif snapshot.status == "finished":
            self.host.action_screen("reports")

    def on_row_list_selected(self, event: VersionTable.Selected) -> None:
        snapshot = self.model.snapshot
        if snapshot and snapshot.review and event.key == snapshot.review.version:
            self.host.action_screen("review")
        elif event.key:
            self.host.compare_with_base(event.key)

    def action_mark(self) -> None:
        if key := self.query_one(VersionTable).key:
            self.host.toggle_mark(key)

    @property
    def version_here(self) -> str | None:
        return self.query_one(VersionTable).key

    def action_search(self) -> None:
        self.show_pane(self.PANES.index("log"))
        help = "enter: last hit, then n and N    esc goes back"
        self.ask("search the output", help, self.query_one(LogView).find)

    def action_chart(self, by: int) -> None:
        charts = self.model.charts(self.curve_versions())
        if charts:
            self._chart = (self._chart + by) % len(charts)
            self._show_curves(self.model)

    def action_log_scale(self) -> None:
        for view in self.query(CurveView):
            view.change(log=not view.look.log)
        self._remember()

    def action_smooth(self, by: int) -> None:
        for view in self.query(CurveView):
            view.next_smoothing(by)
        self._remember()

    def _remember(self) -> None:
        look = self.query_one("#curve", CurveView).look
        self.host.remember("loop", {"axis": self._axis, "log": look.log, "smoothing": look.smoothing})

    def action_axis(self) -> None:
        self._axis = AXES[(AXES.index(self._axis) + 1) % len(AXES)]
        self._remember()
        self._show_curves(self.model)

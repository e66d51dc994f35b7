"""Versions beside each other (T4): curves over each other, what differs, which samples changed."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from tui import words
from tui.colours import QUIET, verdict_colour, version_colour
from tui.model import Model
from tui.reading.comparison import Comparison, compare
from tui.sanitize import as_text, clean_line
from tui.screens.base import PaneScreen
from tui.widgets.curve import CurveView
from tui.widgets.diff import DiffView
from tui.widgets.row_list import Column, Row, RowList


class CompareScreen(PaneScreen):
    """The first and the last of `versions` are compared in detail; curves are drawn for all of them."""

    TITLE = "compare"
    PANES: ClassVar[tuple[str, ...]] = ("compare_curve", "differences", "compare_diff", "flips")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "Next pane", id="pane.next"),
        Binding("shift+tab", "pane(-1)", "Previous pane", show=False, id="pane.previous"),
        Binding("u", "split", "Split diff", id="diff.split"),
        Binding("left_square_bracket", "chart(-1)", "Previous chart", show=False, id="chart.previous"),
        Binding("right_square_bracket", "chart(1)", "Next chart", id="chart.next"),
        Binding("L", "log_scale", "Log scale", show=False, id="chart.log"),
        Binding("w", "smooth", "Smoothing", show=False, id="chart.smooth"),
        Binding("y", "copy", "Copy the diff", show=False, id="copy"),
        Binding("escape", "back", "Back", id="back"),
    ]

    def __init__(self, versions: tuple[str, ...]) -> None:
        super().__init__()
        self.versions = versions
        self.comparison: Comparison | None = None
        self._chart = 0

    def body(self) -> ComposeResult:
        yield Static("", id="compare_title", markup=False)
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                with Vertical(classes="pane"):
                    yield CurveView(id="compare_curve", signs=self.signs)
                with Vertical(classes="pane"):
                    yield RowList([], id="differences", empty="no setting and no metric differs")
            with Vertical(id="right"):
                with Vertical(classes="pane"):
                    yield DiffView(id="compare_diff", empty="the scripts are the same")
                with Vertical(classes="pane"):
                    yield RowList(
                        [
                            Column(""),
                            Column("sample", stretch=True),
                            Column("truth"),
                            Column(self.versions[0]),
                            Column(self.versions[-1]),
                        ],
                        id="flips",
                        empty="no sample changed its outcome",
                    )

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#differences").border_title = "what differs"
        self.query_one(
            "#compare_diff"
        ).border_title = f"script {self.versions[0]} {self.signs.arrow} {self.versions[-1]}"
        self.query_one("#flips").border_title = "samples whose outcome changed"
        workspace, versions = self.workspace, self.versions
        self.read(lambda: compare(workspace, versions), self._read)

    def _read(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.query_one("#compare_diff", DiffView).show(comparison.diff)
        rows = [
            Row(
                old.sample_id,
                (
                    as_text(
                        self.signs.up if new.correct else self.signs.down,
                        verdict_colour("better" if new.correct else "worse"),
                    ),
                    as_text(old.sample_id),
                    as_text(new.truth),
                    as_text(old.prediction),
                    as_text(new.prediction),
                ),
            )
            for old, new in comparison.flips
        ]
        self.query_one("#flips", RowList).show_rows(rows)
        gone = sum(1 for _, new in comparison.flips if not new.correct)
        self.query_one(
            "#flips"
        ).border_title = (
            f"outcome changed: {len(rows) - gone} wrong {self.signs.arrow} right, {gone} right {self.signs.arrow} wrong"
        )
        self.refresh_view()

    def show(self, model: Model) -> None:
        self.host.want_curves(self.versions)
        self.query_one("#compare_title", Static).update(self._title())
        self._show_differences(model)
        charts = model.charts(self.versions)
        name = charts[self._chart % len(charts)] if charts else ""
        lines = model.lines(name, self.versions, {v: version_colour(v) for v in self.versions}) if name else ()
        self.query_one("#compare_curve", CurveView).show(name, lines)

    def _title(self) -> Text:
        text = Text(" compare ", no_wrap=True)
        for version in self.versions:
            text.append(f"{self.signs.full}{self.signs.full} {version}  ", style=f"bold {version_colour(version)}")
        found = self.comparison.interval if self.comparison else None
        if found:
            text.append(f"{clean_line(found.metric)} {found.delta:+.4f}  ", "not bold")
            text.append(f"{found.verdict}", f"bold {verdict_colour(found.verdict)}")
            text.append(f"  95 % interval {found.low:+.4f} to {found.high:+.4f}", QUIET)
        if self.comparison and self.comparison.problem:
            text.append(clean_line(self.comparison.problem), verdict_colour("worse"))
        return text

    def _show_differences(self, model: Model) -> None:
        columns = [Column("", stretch=True), *(Column(version, "right") for version in self.versions)]
        rows = []
        views = [model.version(version) for version in self.versions]
        names = list(dict.fromkeys(name for view in views if view for name in view.metrics))
        for name in names:
            values = [
                as_text(words.metric_value(view.metrics.get(name) if view else None, self.signs)) for view in views
            ]
            rows.append(Row(f"metric {name}", (as_text(name, "bold"), *values)))
        rows += [
            Row(f"setting {name}", (as_text(name), *map(as_text, values)))
            for name, values in (self.comparison.settings if self.comparison else ())
        ]
        for view in views[-1:]:
            if view and view.action:
                rows.append(Row("action", (as_text(f"action: {view.action}", QUIET),)))
        self.query_one("#differences", RowList).show_rows(rows, columns)

    def action_chart(self, by: int) -> None:
        self._chart += by
        self.refresh_view()

    def action_split(self) -> None:
        self.query_one("#compare_diff", DiffView).toggle_split()

    def action_log_scale(self) -> None:
        view = self.query_one("#compare_curve", CurveView)
        view.change(log=not view.look.log)

    def action_smooth(self) -> None:
        self.query_one("#compare_curve", CurveView).next_smoothing()

    def action_copy(self) -> None:
        self.host.copy(self.query_one("#compare_diff", DiffView).source, "the diff")

    def on_row_list_selected(self, event: RowList.Selected) -> None:
        if event.rows.id == "flips" and event.key:
            self.host.show_sample(self.versions[-1], event.key)

    def action_back(self) -> None:
        self.app.pop_screen()

"""One run of an experiment, or the curves of several: what it logs, what it prints, and what became of its attempts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from progtrain.engine.errors import ProgtrainError
from progtrain.tui.look.colours import BAD, version_colour, version_mark
from progtrain.tui.look.sanitize import as_text, clean_line, clean_text
from progtrain.tui.look.words import ASCII
from progtrain.tui.model import AXES, Axis, Model
from progtrain.tui.plot.chart import Line
from progtrain.tui.reading.runs import LOGS, RunsReader, Seen, curve_name
from progtrain.tui.screens import experiment_text as telling
from progtrain.tui.screens.base import PANE_KEYS, PaneScreen
from progtrain.tui.widgets.curve import CHART_KEYS, CurveView, curve_marks
from progtrain.tui.widgets.diff import DiffView
from progtrain.tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from progtrain.engine.experiment.board import Board

_EVERY_SECONDS = 0.5
_LOOK_SECONDS, _LOOK_SHARE = 1.0, 4.0


class RunsScreen(PaneScreen):
    """The log and the attempts are those of the first."""

    TITLE = "run"
    PANES: ClassVar[tuple[str, ...]] = ("run_curve", "run_log", "run_attempts")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "log", "Next log", tooltip="The stage's log, its worker's, or the tool's output", id="run.log"),
        Binding("slash", "search", "Search", id="filter"),
        Binding("tab", "pane(1)", "Next pane", id="pane.next"),
        *CHART_KEYS,
        *PANE_KEYS,
    ]

    def __init__(self, name: str, runs: tuple[str, ...], pane: int = 0) -> None:
        super().__init__()
        self.experiment, self.runs = name, runs
        self.board: Board | None = None
        self.problem = ""
        self.log_shown = LOGS[-1]
        #: curves and log are kept as those of versions are
        self.held = Model(Path())
        self._first_pane = pane
        self._reader: RunsReader | None = None
        self._looking = False
        self._next_look = 0.0
        self._chart = 0
        self._axis: Axis = "step"

    def body(self) -> ComposeResult:
        yield Static("", id="run_head", markup=False)
        with Horizontal(id="middle"):
            with Vertical(id="left", classes="pane"):
                yield CurveView(id="run_curve", signs=self.signs)
            with Vertical(id="right"):
                with Vertical(classes="pane"):
                    yield LogView(id="run_log", signs=self.signs)
                with Vertical(classes="pane"):
                    yield DiffView(id="run_attempts", empty="it has not been started yet")

    def on_mount(self) -> None:
        super().on_mount()
        seen = self.host.recalled("loop")
        self._axis = next((axis for axis in AXES if axis == seen.get("axis")), "step")
        self.query_one(CurveView).recall(seen)
        self.query_one("#run_attempts").border_title = as_text(f"attempts of {self.runs[0]}")
        self._reader = RunsReader(self.workspace, self.experiment, self.runs, self.model.clock)
        self.show_pane(self._first_pane)
        self.set_interval(_EVERY_SECONDS, self._tick)
        self._tick()

    # reading, in a thread: one look at a time

    def _tick(self) -> None:
        now = self.model.clock().timestamp()
        if self._looking or now < self._next_look or self.app.screen is not self or self._reader is None:
            return
        self._looking = True
        self.read(partial(_look, self._reader, self.log_shown), partial(self._seen, now))

    def _seen(self, began: float, seen: Seen | str) -> None:
        now = self.model.clock().timestamp()
        self._looking, self._next_look = False, now + max(_LOOK_SECONDS, _LOOK_SHARE * (now - began))
        if isinstance(seen, str):
            self.problem = seen
        else:
            self.problem = ""
            self.board, update, attempts, begun_again = seen
            for key in [key for key in self.held.curves if key.version in begun_again]:
                del self.held.curves[key]
            self.held.apply(update)
            self.query_one("#run_attempts", DiffView).show(attempts)
        self.refresh_view()

    # drawing

    def show(self, model: Model) -> None:
        self.tell("run_head", self._head())
        log = self.query_one(LogView)
        log.about = "  ".join(f"[{name}]" if name == self.log_shown else name for name in LOGS)
        log.show(self.held)
        self._show_curve()

    def _head(self) -> Text:
        if self.problem:
            return Text(clean_text(self.problem), BAD)
        if self.board is None:
            return Text(" reading")
        rows = {row.run: row for row in self.board.rows}
        if len(self.runs) == 1:
            row = rows.get(self.runs[0])
            return (
                telling.run_line(self.board, row, self.signs) if row else Text(f"{self.runs[0]} is no run any longer")
            )
        text = Text(f" {clean_line(self.experiment)}  {len(self.runs)} runs ", "bold")
        for name, version in self._curves().items():
            mark = version_mark(version, ascii_only=self.signs is ASCII)
            text.append(f" {mark} {clean_line(name)}", f"bold {version_colour(version)}")
        return text

    def _curves(self) -> dict[str, str]:
        """run -> under which name its curves are kept."""
        there = enumerate(self.board.rows) if self.board else ()
        return {row.run: curve_name(place) for place, row in there if row.run in self.runs}

    def _show_curve(self) -> None:
        names = {curve: run for run, curve in self._curves().items()}
        curves = tuple(names)
        charts = self.held.charts(curves)
        chart = charts[self._chart % len(charts)] if charts else ""
        lines = self.held.lines(chart, curves, self._axis) if chart else ()
        marks = curve_marks(self.held, curves[0], self._axis) if len(curves) == 1 else {}
        self.query_one(CurveView).show(
            chart, tuple(_under_its_name(line, names) for line in lines), axis=self._axis, **marks
        )

    # keys

    def action_log(self) -> None:
        self.log_shown = LOGS[(LOGS.index(self.log_shown) + 1) % len(LOGS)]
        self.held.log, self.held.log_open = (), ""
        self._next_look = 0.0
        self._tick()
        self.refresh_view()

    def action_search(self) -> None:
        log = self.query_one(LogView)
        self.ask("search the log", "enter searches; n and N go on    esc goes back", log.find, log.search)

    def action_chart(self, by: int) -> None:
        self._chart += by
        self.refresh_view()

    def action_axis(self) -> None:
        self._axis = AXES[(AXES.index(self._axis) + 1) % len(AXES)]
        self.refresh_view()

    def action_log_scale(self) -> None:
        view = self.query_one(CurveView)
        view.change(log=not view.look.log)

    def action_smooth(self, by: int) -> None:
        self.query_one(CurveView).next_smoothing(by)

    def action_back(self) -> None:
        if self.maximized is not None:
            self.minimize()
        else:
            self.app.pop_screen()


def _look(reader: RunsReader, log: str) -> Seen | str:
    """What is there, or why it cannot be read."""
    try:
        return reader.read(log)
    except (ProgtrainError, OSError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a reader's defect must be seen, not freeze the screen
        return f"cannot read the run: {type(error).__name__}: {error}"


def _under_its_name(line: Line, names: dict[str, str]) -> Line:
    version, _, role = line.label.partition(" ")
    return line._replace(label=f"{clean_line(names.get(version, version))} {role}".strip())

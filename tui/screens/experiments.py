"""Many runs that answer one question: how far they are, what came of them, and what to do about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from progtrain.engine.files import LineReader
from progtrain.tui.look.colours import BAD, QUIET
from progtrain.tui.look.sanitize import as_text, clean_text, shorten
from progtrain.tui.model import Model
from progtrain.tui.plot import sheet
from progtrain.tui.reading import experiment as reading
from progtrain.tui.screens import experiment_text as telling
from progtrain.tui.screens.base import BaseScreen
from progtrain.tui.screens.experiment_actions import (
    ask_design,
    choose_plot,
    confirm_adopt,
    confirm_cancel,
    edit_plan,
    search_runs,
)
from progtrain.tui.widgets.curve import CurveView
from progtrain.tui.widgets.row_list import Column, Row, RowList

if TYPE_CHECKING:
    from progtrain.engine.experiment.board import Board, RunRow
    from progtrain.engine.experiment.plots import Plot
    from progtrain.tui.experimenting import Verb

_EVERY_SECONDS = 0.5
#: between two looks: at least this, and several times what a look took, for there may be hundreds of runs
_LOOK_SECONDS, _LOOK_SHARE = 1.0, 4.0
#: after which a look that does not come back is told
_SILENT_SECONDS = 5.0
_BAD = ("failed", "lost", "cancelled")
_NONE = """no experiment yet: one question, many runs side by side, here or on a cluster
ctrl+p  experiment: candidates  a run for each proposed action of this version
ctrl+p  experiment: repeats     this version with several seeds
in a shell: progtrain experiment design NAME --vary learning_rate=1e-4,1e-3"""
_LIST = (Column("experiment"), Column("state"), Column("runs"), Column("question", stretch=True))


class ExperimentsScreen(BaseScreen):
    """The list of all experiments, or the table of one."""

    TITLE = "experiments"
    AUTO_FOCUS = "#runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "s", "next", "Go on", tooltip="Scaffold, run, resume or analyze: what comes next", id="experiment.next"
        ),
        Binding("space", "mark", "Mark", id="mark"),
        Binding("o", "overlay", "Overlay", tooltip="Curves of marked runs over each other", id="experiment.overlay"),
        Binding("c", "cancel", "Cancel", tooltip="Cancel the marked runs, or this one", id="experiment.cancel"),
        Binding("r", "resume", "Resume", tooltip="Start the marked runs again, or this one", id="experiment.resume"),
        Binding("L", "log", "Log", id="experiment.log"),
        Binding("p", "plots", "Plots", id="experiment.plots"),
        Binding("i", "search", "Search", tooltip="Search the runs of all experiments", id="experiment.search"),
        Binding("colon", "plan", "Plan", tooltip="See and edit the plan", id="experiment.plan"),
        Binding("e", "choose", "All", tooltip="All experiments", id="experiment.choose"),
        Binding("slash", "filter", "Filter", show=False, id="filter"),
        Binding("y", "copy", "Copy as CSV", show=False, id="copy"),
        Binding("escape", "back", "Back", show=False, id="back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        #: the experiment on show; None: the list of all
        self.opened: str | None = None
        self.board: Board | None = None
        self.listed: reading.Listed | None = None
        #: why what is opened cannot be read
        self.problem = ""
        self.marked: set[str] = set()
        self.plot: Plot | None = None
        self._filter = ""
        #: whether the list was asked for: then the only experiment is not opened by itself
        self._wants_list = False
        #: when the look that is on its way began
        self._looking: float | None = None
        self._next_look = 0.0
        self._journal: LineReader | None = None
        #: what reads it anew; None: what is opened was not read yet
        self._reads: Callable[[], Board | reading.Listed] | None = None
        self._journal_known = False
        #: the run that the cursor is to go to
        self._wanted: str | None = None
        #: what was asked for before it was known which experiments there are
        self._then: Callable[[], None] | None = None

    def body(self) -> ComposeResult:
        yield Static("", id="experiment_head", markup=False)
        yield RowList([], id="runs", empty="reading")
        with VerticalScroll(id="plot_text"):
            yield Static("", id="plot", markup=False)
        yield CurveView(id="plot_curve", signs=self.signs)
        yield Static("", id="run_told", markup=False)

    def on_mount(self) -> None:
        self.set_interval(_EVERY_SECONDS, self._tick)
        # not by the table's message, which comes a frame later: all would be drawn twice for a key
        self.watch(self.query_one("#runs", RowList), "cursor", self._draw_run, init=False)

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.look_soon()

    # reading, in threads: one look at a time

    @property
    def _now(self) -> float:
        return self.model.clock().timestamp()

    def look_soon(self) -> None:
        self._next_look = 0.0
        self._tick()

    def _tick(self) -> None:
        # while the app ends there is no screen any more
        now, shown = self._now, self.is_active
        if self._looking is not None:
            if shown and now - self._looking > _SILENT_SECONDS:
                self._draw()
        elif now >= self._next_look and (shown or self.opened):
            # while another screen is on show its journal alone is followed, for the bell
            self._looking = now
            if self._reads is None:
                self._reads = reading.following(self.workspace, self.opened, self.model.clock)
            look = partial(reading.look, self.opened, self._journal, self._reads, whole=shown)
            self.read(look, self._seen)

    def _seen(self, seen: reading.Seen) -> None:
        name, board, listed, problem, events = seen
        took = self._now - (self._looking or self._now)
        self._looking, self._next_look = None, self._now + max(_LOOK_SECONDS, _LOOK_SHARE * took)
        if name != self.opened:
            self.look_soon()  # another one was opened meanwhile
            return
        if self._journal_known and self.board and (text := reading.news(events, self.board.rings)):
            self.host.ring(f"{name} {text}")
        self._journal_known = self._journal is not None
        if board or problem or listed is not None:
            self.problem = problem
            self.board, self.listed = board or self.board, self.listed if listed is None else listed
            if self.opened is None and len(self.listed or ()) == 1 and not self._wants_list:
                self.open((self.listed or ())[0][0])
        if self.listed is not None or self.opened:
            then, self._then = self._then, None
            if then:
                then()
        self.refresh_view()

    def open(self, name: str | None, run: str | None = None) -> None:
        """None: the list of all. `run`: for the cursor, once it is read."""
        self._wanted = run
        if name == self.opened:
            self.draw(None)
            return
        self.opened, self.board, self.problem, self._filter = name, None, "", ""
        self.marked, self._wants_list, self.plot = set(), name is None, None
        self._journal = reading.journal_of(self.workspace, name) if name else None
        self._journal_known, self._reads = False, None
        self.look_soon()
        self.refresh_view()

    # drawing

    def show(self, model: Model) -> None:
        self._draw()

    def on_resize(self) -> None:
        if self.is_mounted and self.query("#runs"):
            self._draw()

    def _draw(self) -> None:
        table = self.query_one("#runs", RowList)
        self._draw_plot()
        if self.opened is None:
            self._draw_list(table)
            return
        board, width = self.board, self.app.size.width
        if board is None:
            head = Text(f" {shorten(self.opened, 60)}  {'' if self.problem else 'reading'}", QUIET)
        else:
            head = telling.head(board, self.signs, width, self._note())
        if self.problem:
            head.append("\n").append(clean_text(self.problem), BAD)
            head.append("\n: edits the plan    e shows all experiments", QUIET)
        self.tell("experiment_head", head)
        table.empty = "" if self.problem else "reading" if board is None else "no run fits the filter"
        if board is not None:
            rows = telling.rows(board, self.marked, self.signs, width, wanted=self._filter)
            table.show_rows(rows, telling.columns(board, width))
            if self._wanted is not None:
                table.move_to(self._wanted)
                self._wanted = None
            showing = f'  "{self._filter}": {len(rows)} of' if self._filter else ""
            table.border_title = as_text(f"runs {showing} {len(board.rows)}")
        else:
            table.show_rows([], [])
        self._draw_run()

    def _note(self) -> str:
        waits = self._now - self._looking if self._looking is not None else 0.0
        return f"not read for {waits:.0f} s: the disk does not answer" if waits > _SILENT_SECONDS else ""

    def _draw_list(self, table: RowList) -> None:
        there = self.listed
        self.tell("experiment_head", Text(_NONE if there == () else self.problem, BAD if self.problem else ""))
        self.tell("run_told", Text(""))
        table.empty = "reading" if there is None else ""
        rows = [Row(one[0], (as_text(one[0], "bold"), *map(as_text, one[1:]))) for one in there or ()]
        table.show_rows(rows, _LIST if rows else [])
        table.border_title = as_text(f"experiments  {len(rows)}")

    def _draw_run(self) -> None:
        row = self.run_here
        shown = telling.run_line(self.board, row, self.signs) if self.board and row else Text("")
        self.tell("run_told", shown)

    def _draw_plot(self) -> None:
        plot = self.plot
        curves = sheet.curves_of(plot) if plot else ()
        for name, seen in (("runs", not plot), ("plot_text", plot and not curves), ("plot_curve", bool(curves))):
            self.query_one(f"#{name}").display = bool(seen)
        if plot and curves:
            self.query_one(CurveView).show(plot.title, curves, axis="epoch")
        elif plot:
            self.tell("plot", sheet.as_text(plot, self.app.size.width - 4, self.signs))
            self.query_one("#plot_text").border_title = "plot  p chooses another one, esc goes back"

    # what is under the cursor, and what is marked

    @property
    def run_here(self) -> RunRow | None:
        key = self.query_one("#runs", RowList).key
        return next((row for row in self.board.rows if row.run == key), None) if self.board else None

    def _chosen(self) -> list[RunRow]:
        """The marked runs; where none is, the one under the cursor."""
        marked = [row for row in self.board.rows if row.run in self.marked] if self.board else []
        return marked or ([self.run_here] if self.run_here else [])

    @property
    def version_here(self) -> str | None:
        return self.model.snapshot.version if self.model.snapshot else None

    def on_row_list_selected(self, event: RowList.Selected) -> None:
        if event.key and self.opened is None:
            self.open(event.key)
        elif event.key:
            self._open_runs([event.key])

    def _open_runs(self, runs: Sequence[str], pane: int = 0) -> None:
        if self.opened and runs:
            from progtrain.tui.screens.runs import RunsScreen  # what it needs is there since the first look

            self.app.push_screen(RunsScreen(self.opened, tuple(runs), pane))
        else:
            self.host.say("open an experiment first: enter on its name")

    # keys that look

    def action_mark(self) -> None:
        row = self.run_here
        if row is not None:
            self.marked ^= {row.run}
            self._draw()

    def action_overlay(self) -> None:
        self._open_runs([row.run for row in self._chosen()])

    def action_log(self) -> None:
        row = self.run_here
        self._open_runs([row.run] if row else [], 1)

    def action_choose(self) -> None:
        self.open(None)

    def action_filter(self) -> None:
        def filtered(text: str) -> None:
            self._filter = text
            self._draw()

        self.ask("filter runs", "enter filters; empty shows all    esc goes back", filtered, self._filter)

    def action_plots(self) -> None:
        if (name := self._about()) is not None:
            choose_plot(self, name)

    def draw(self, plot: Plot | None) -> None:
        """In place of the table; None: the table again."""
        self.plot = plot
        self._draw()
        shown = next(widget for widget in self.query("#plot_curve, #plot_text, #runs") if widget.display)
        shown.focus()

    def action_copy(self) -> None:
        if self.board is None:
            self.host.say("there is nothing to copy")
            return
        self.host.copy(telling.as_csv(self.board), "the table")

    def action_back(self) -> None:
        if self.plot is not None:
            self.draw(None)
        elif self._filter:
            self._filter = ""
            self._draw()
        elif self.opened and self.listed is not None and len(self.listed) > 1:
            self.open(None)
        else:
            super().action_back()

    # keys that act

    def _about(self) -> str | None:
        """What a command is about: the experiment on show, or the one under the cursor."""
        name = self.opened or self.query_one("#runs", RowList).key
        if name is None:
            self.host.say("there is no experiment yet: see how one is made" if self.listed == () else "still reading")
        return name

    def act(self, verb: Verb, runs: Sequence[str] = (), *, name: str | None = None, **given: Any) -> None:
        """Has the engine do it, in a thread; `runs` empty: all. Without `name`: with the experiment on show."""
        about = name or self._about()
        if about is None:
            return
        if self.host.readonly:
            self.host.say("opened with --readonly: nothing can be changed here")
            return

        def done(answer: str) -> None:
            self.host.say(answer)
            if verb == "design":
                self.open(about)
            self.look_soon()

        self.host.say(f"{about}: {verb}")
        self.read(lambda: self.host.engine.experiment(verb, about, tuple(runs), **given), done)

    def action_next(self) -> None:
        board = self.board
        if board is None:
            self.host.say("open an experiment first: enter on its name")
        elif board.running:
            self.host.say("it is at work: c cancels the marked runs, or the one under the cursor")
        elif board.status in telling.NEXT:
            self.act(telling.NEXT[board.status][0])

    def action_cancel(self) -> None:
        self._with_runs("cancel", lambda row: not row.over, "it has ended")

    def action_resume(self) -> None:
        self._with_runs("resume", lambda row: row.phase in _BAD, "it has not failed")

    def _with_runs(self, verb: Verb, fits: Callable[[RunRow], bool], why_not: str) -> None:
        chosen = self._chosen()
        runs = [row.run for row in chosen if fits(row)]
        if not runs:
            self.host.say(f"nothing to {verb}: {f'{chosen[0].run}: {why_not}' if chosen else 'no run is chosen'}")
        elif verb == "cancel" and not self.host.readonly:
            confirm_cancel(self, runs)
        else:
            self.act(verb, runs)

    def carry_out(self, verb: Verb | Literal["candidates", "repeats", "search"]) -> None:
        """As the palette asks: for the experiment as a whole."""
        if self.opened is None and self.listed is None:
            self._then = partial(self.carry_out, verb)
        elif verb == "candidates" or verb == "repeats":
            ask_design(self, verb)
        elif verb == "search":
            search_runs(self)
        elif verb == "cancel":
            if self._about() is not None:
                confirm_cancel(self, ())
        elif verb == "adopt":
            if (name := self._about()) is not None:
                confirm_adopt(self, name, sorted(self.marked))
        else:
            self.act(verb)

    def action_search(self) -> None:
        search_runs(self)

    def action_plan(self) -> None:
        if (name := self._about()) is not None:
            edit_plan(self, name)

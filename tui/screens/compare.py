"""Versions beside each other: curves over each other, what differs, which samples changed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from progtrain.engine.errors import InputError
from progtrain.engine.values import places
from progtrain.tui.look import words
from progtrain.tui.look.colours import QUIET, verdict_colour, version_colour, version_mark
from progtrain.tui.look.sanitize import as_text, clean_line
from progtrain.tui.model import AXES, Axis, Model
from progtrain.tui.reading.comparison import Differences, Pair, differing_settings, pair
from progtrain.tui.reading.samples import Outcome
from progtrain.tui.screens.base import PANE_KEYS, PaneScreen
from progtrain.tui.widgets.curve import CHART_KEYS, CurveView, curve_marks
from progtrain.tui.widgets.diff import DiffView
from progtrain.tui.widgets.row_list import Column, Row, RowList

if TYPE_CHECKING:
    from progtrain.engine.analysis.types import Comparison


class CompareScreen(PaneScreen):
    """Two or more versions. Each is compared with the base; script and samples are those of one pair at a time."""

    TITLE = "compare"
    PANES: ClassVar[tuple[str, ...]] = ("compare_curve", "differences", "compare_diff", "flips")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "pair(1)", "Next pair", id="compare.next"),
        Binding("N", "pair(-1)", "Previous pair", show=False, id="compare.previous"),
        Binding("b", "base", "Base", tooltip="The next version is the base", id="compare.base"),
        Binding("c,C", "app.choose_versions", "Versions", tooltip="Compare other versions", id="compare"),
        Binding("u", "split", "Split diff", id="diff.split"),
        Binding("tab", "pane(1)", "Next pane", id="pane.next"),
        *CHART_KEYS,
        Binding("y", "copy", "Copy the diff", show=False, id="copy"),
        *PANE_KEYS,
    ]

    def __init__(self, versions: tuple[str, ...]) -> None:
        """The first is the base to begin with."""
        super().__init__()
        self.versions = versions
        self.base = versions[0]
        #: the version whose script and samples are on show
        self.other = versions[-1]
        self.settings: Differences | None = None
        #: why the settings cannot be told
        self.problem = ""
        #: (base, version) -> what was read of it
        self.pairs: dict[tuple[str, str], Pair] = {}
        self._chart = 0
        self._axis: Axis = "step"

    def body(self) -> ComposeResult:
        yield Static("", id="compare_title", markup=False)
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                with Vertical(classes="pane"):
                    yield CurveView(id="compare_curve", signs=self.signs)
                with Vertical(classes="pane"):
                    yield RowList([], id="differences", empty="no setting and no metric differs", sideways=True)
            with Vertical(id="right"):
                with Vertical(classes="pane"):
                    yield DiffView(id="compare_diff")
                with Vertical(classes="pane"):
                    yield RowList([], id="flips", empty="reading")

    def on_mount(self) -> None:
        super().on_mount()
        # curves look as they do on the loop's screen
        seen = self.host.recalled("loop")
        self._axis = next((axis for axis in AXES if axis == seen.get("axis")), "step")
        self.query_one("#compare_curve", CurveView).recall(seen)
        workspace, versions = self.workspace, self.versions

        def work() -> tuple[Differences, str]:
            try:
                return differing_settings(workspace, versions), ""
            except InputError as error:
                return (), str(error)

        self.read(work, self._compared)
        self._read_pairs()

    # reading

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(version for version in self.versions if version != self.base)

    def _read_pairs(self) -> None:
        """Those of the base that are not known yet, the one on show first."""
        workspace, base = self.workspace, self.base
        for version in sorted(self.others, key=lambda v: v != self.other):
            if (base, version) not in self.pairs:
                self.read(partial(pair, workspace, base, version), partial(self._paired, base, version))

    def _compared(self, found: tuple[Differences, str]) -> None:
        self.settings, self.problem = found
        self.refresh_view()

    def _paired(self, base: str, version: str, found: Pair) -> None:
        self.pairs[base, version] = found
        self.refresh_view()

    # showing

    def show(self, model: Model) -> None:
        self.host.want_curves(self.versions)
        self.tell("compare_title", self._title(model))
        self._show_differences(model)
        self._show_pair()
        self._show_curve(model)

    def _show_curve(self, model: Model) -> None:
        charts = model.charts(self.versions)
        name = charts[self._chart % len(charts)] if charts else ""
        lines = model.lines(name, self.versions, self._axis)
        marks = curve_marks(model, self.other, self._axis)
        self.query_one("#compare_curve", CurveView).show(name, lines if name else (), axis=self._axis, **marks)

    def _title(self, model: Model) -> Text:
        text = Text(" compare ")
        for version in self.versions:
            mark = version_mark(version, ascii_only=self.signs is words.ASCII)
            text.append(f" {mark} {version}", style=f"bold {version_colour(version)}")
            text.append(" base " if version == self.base else " ", QUIET)
        known = self.pairs.get((self.base, self.other))
        primary = model.snapshot.primary_metric if model.snapshot else None
        found = known.intervals.get(primary or "") if known else None
        if found is not None:
            text.append(f"  {self.other}: {clean_line(primary)} ").append(words.signed(found.delta))
            text.append(f" {found.verdict}", f"bold {verdict_colour(found.verdict)}")
            text.append(f"  {found.seed_noise}", QUIET)
        if known and known.note:
            text.append(f"  {clean_line(known.note)}", QUIET)
        if self.problem:
            text.append(f"  {clean_line(self.problem)}", verdict_colour("worse"))
        return text

    def _show_differences(self, model: Model) -> None:
        columns = [Column(""), *(Column(f"{v} base" if v == self.base else v, "right") for v in self.versions)]
        views = [model.version(version) for version in self.versions]
        rows = []
        for name in dict.fromkeys(name for view in views if view for name in view.metrics):
            found = [view.metrics.get(name) if view else None for view in views]
            shown = [words.metric_value(value, self.signs, places(found)) for value in found]
            rows.append(Row(f"metric {name}", (as_text(name, "bold"), *map(as_text, shown))))
            rows += self._verdicts(name)
        rows += [Row(f"setting {name}", (as_text(name), *map(as_text, values))) for name, values in self.settings or ()]
        rows += self._served()
        rows += self._added_rows()
        made = [as_text(view.action if view else "", QUIET) for view in views]
        rows.append(Row("action", (as_text("action", QUIET), *made)))
        table = self.query_one("#differences", RowList)
        table.show_rows(rows, columns)
        table.border_title = f"what differs, against {self.base}"

    def _served(self) -> list[Row]:
        """What answered, where one of them is not its checkpoint's alone."""
        known = [self.pairs.get((self.base, version)) for version in self.others]
        found = {self.base: next((pair.served[0] for pair in known if pair), "")}
        found |= {v: pair.served[1] for v, pair in zip(self.others, known, strict=True) if pair}
        if not any(found.values()):
            return []
        return [Row("served by", (as_text("served by"), *(as_text(found.get(v, "")) for v in self.versions)))]

    def _added_rows(self) -> list[Row]:
        """What the rows that a version trained with besides brought, part by part."""
        known = [self.pairs.get((self.base, version)) for version in self.versions]
        rows = []
        for name in dict.fromkeys(name for one in known if one for name in one.parts):
            told = [self._told(one.parts.get(name) if one else None) for one in known]
            rows.append(Row(f"added {name}", (as_text(f"added rows: {name}"), *(verdict for verdict, *_ in told))))
            rows.append(Row(f"added change {name}", (as_text("  change", QUIET), *(change for _, change, _ in told))))
        return rows

    def _verdicts(self, metric: str) -> list[Row]:
        """Below a metric: difference to the base, its interval, and what that says."""
        known = [self.pairs.get((self.base, version)) for version in self.versions]
        found = [pair.intervals.get(metric) if pair else None for pair in known]
        if not any(found):
            return []
        columns = [self._told(interval) for interval in found]
        heads = (("verdict", "  verdict"), ("change", "  change"), ("interval", "  95 %"))
        return [
            Row(f"{kind} {metric}", (as_text(head, QUIET), *(column[place] for column in columns)))
            for place, (kind, head) in enumerate(heads)
        ]

    def _told(self, interval: Comparison | None) -> tuple[Text, Text, Text]:
        if interval is None:
            return as_text(""), as_text(""), as_text("")
        colour = verdict_colour(interval.verdict)
        sign = {"better": self.signs.up, "worse": self.signs.down}.get(interval.verdict, self.signs.same)
        ends = f"{words.signed(interval.low)} {words.signed(interval.high)}"
        change = as_text(words.signed(interval.delta), colour)
        return as_text(f"{sign} {interval.verdict}", colour), change, as_text(ends, QUIET)

    def _show_pair(self) -> None:
        known = self.pairs.get((self.base, self.other))
        place = self.others.index(self.other) + 1
        which = f"{self.base} {self.signs.arrow} {self.other}"
        count = f"  {place} of {len(self.others)}, n next" if len(self.others) > 1 else ""
        diff, flipped = self.query_one("#compare_diff", DiffView), self.query_one("#flips", RowList)
        diff.border_title = f"script {which}{count}"
        diff.say_when_empty("the scripts are the same" if known else "reading")
        diff.show(known.diff if known else "")
        rows = [self._flip(old, new) for old, new in known.flips] if known else []
        names = (Column(""), Column("sample", stretch=True), Column("truth"), Column(self.base), Column(self.other))
        flipped.empty = "no sample changed its outcome" if known else "reading"
        flipped.show_rows(rows, names)
        flipped.refresh()
        gone = sum(1 for _, new in known.flips if not new.correct) if known else 0
        arrow = self.signs.arrow
        told = f"{len(rows) - gone} wrong {arrow} right, {gone} right {arrow} wrong"
        flipped.border_title = f"samples {which}  {told if known else 'reading'}"

    def _flip(self, old: Outcome, new: Outcome) -> Row:
        sign, verdict = (self.signs.up, "better") if new.correct else (self.signs.down, "worse")
        cells = (as_text(sign, verdict_colour(verdict)), *map(as_text, (old.sample_id, new.truth, old.prediction)))
        return Row(old.sample_id, (*cells, as_text(new.prediction)))

    # keys

    def action_pair(self, by: int) -> None:
        self.other = self.others[(self.others.index(self.other) + by) % len(self.others)]
        self.refresh_view()

    def action_base(self) -> None:
        self.base = self.versions[(self.versions.index(self.base) + 1) % len(self.versions)]
        if self.other == self.base:
            self.other = self.others[-1]
        self._read_pairs()
        self.refresh_view()

    def action_chart(self, by: int) -> None:
        self._chart += by
        self.refresh_view()

    def action_axis(self) -> None:
        self._axis = AXES[(AXES.index(self._axis) + 1) % len(AXES)]
        self.refresh_view()

    def action_split(self) -> None:
        self.query_one("#compare_diff", DiffView).toggle_split()

    def action_log_scale(self) -> None:
        view = self.query_one("#compare_curve", CurveView)
        view.change(log=not view.look.log)

    def action_smooth(self, by: int) -> None:
        self.query_one("#compare_curve", CurveView).next_smoothing(by)

    def action_copy(self) -> None:
        self.host.copy(self.query_one("#compare_diff", DiffView).source, "the diff")

    def on_row_list_selected(self, event: RowList.Selected) -> None:
        if event.rows.id == "flips" and event.key:
            self.host.show_sample(self.other, event.key)

    def action_back(self) -> None:
        if self.maximized is not None:
            self.minimize()
        else:
            self.app.pop_screen()

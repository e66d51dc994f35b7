"""Every version and every external model."""

from __future__ import annotations

import math
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from progtrain.engine.analysis.compare import serving
from progtrain.engine.metrics import canonical, higher_is_better
from progtrain.engine.status.rows import called, read_external, told_of_external
from progtrain.engine.status.snapshot import EXTERNAL, NOT_MEASURED, VersionView
from progtrain.engine.trackers.imports_kept import Kept, kept
from progtrain.engine.values import places
from progtrain.engine.workspace import version_number
from progtrain.tui.look import words
from progtrain.tui.look.colours import QUIET, verdict_colour, version_colour
from progtrain.tui.look.sanitize import as_text, clean_line, shorten
from progtrain.tui.model import Model
from progtrain.tui.screens import evidence_text
from progtrain.tui.screens.base import BaseScreen
from progtrain.tui.widgets.row_list import Column, Row, RowList

EMPTY = "no version is evaluated yet"


class LeaderboardScreen(BaseScreen):
    TITLE = "leaderboard"
    AUTO_FOCUS = "#board"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "sort(1)", "Sort by next", id="board.sort"),
        Binding("O", "reverse", "Reverse", show=False, id="board.reverse"),
        Binding("slash", "filter", "Filter", id="filter"),
        Binding("space", "mark", "Mark", id="mark"),
        Binding("c", "app.compare", "Compare", id="compare"),
        Binding("e", "evidence", "Imported runs", show=False, id="board.evidence"),
        Binding("p", "samples", "Samples", show=False, id="board.samples"),
        Binding("y", "copy", "Copy as CSV", show=False, id="copy"),
        Binding("escape", "back", "Back", show=False, id="back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._external: tuple[VersionView, ...] = ()
        #: runs of other trackers, and whether they are shown instead
        self._imported: tuple[Kept, ...] = ()
        self._evidence = False
        #: place in `sort_keys`; below 0: what the user chose the last time
        self._sort = -1
        self._reverse = False
        self._filter = ""
        self._state: tuple[object, ...] = ()

    def body(self) -> ComposeResult:
        yield RowList([], id="board", empty=EMPTY)

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        workspace = self.workspace
        self.read(lambda: (read_external(workspace), kept(workspace)), self._found)

    def _found(self, found: tuple[tuple[VersionView, ...], tuple[Kept, ...]]) -> None:
        self._external, self._imported = found
        self.refresh_view()

    def _rows(self, model: Model) -> list[VersionView]:
        return [*(model.snapshot.versions if model.snapshot else ()), *self._external]

    def _metrics(self, model: Model) -> list[str]:
        """The primary one first."""
        snapshot = model.snapshot
        names = list(dict.fromkeys(name for row in self._rows(model) for name in row.metrics))
        primary = canonical(snapshot.primary_metric or "") if snapshot else ""
        return sorted(names, key=lambda name: canonical(name) != primary)

    def sort_keys(self, model: Model) -> list[str]:
        return [*self._metrics(model), "version", "latency", "trained"]

    def show(self, model: Model) -> None:
        snapshot = model.snapshot
        if snapshot is None:
            return
        if self._evidence:
            self._show_evidence(snapshot.primary_metric)
            return
        state = (snapshot.versions, self._external, self._sort, self._reverse, self._filter, frozenset(model.marked))
        if state == self._state:
            return
        self._state = state
        board = self.query_one("#board", RowList)
        board.empty = EMPTY
        metrics = self._metrics(model)
        keys = self.sort_keys(model)
        if self._sort < 0:
            seen = self.host.recalled("leaderboard")
            self._sort = keys.index(seen["sort"]) if seen.get("sort") in keys else 0
            self._reverse = seen.get("reverse") is True
        by = keys[self._sort % len(keys)]
        rows = [row for row in self._rows(model) if self._filter.casefold() in _searchable(row)]
        ordered = self._ordered(rows, by, model)
        decimals = {name: places(row.metrics.get(name) for row in rows) for name in metrics}
        board.show_rows([self._row(row, decimals, model) for row in ordered], _columns(metrics, by))
        direction = "worst first" if self._reverse else "best first"
        showing = f'  "{self._filter}": {len(ordered)} of {len(snapshot.versions) + len(self._external)}'
        title = f"leaderboard  sorted by {by}, {direction}{showing if self._filter else ''}"
        unknown = any(row.seed_noise == NOT_MEASURED for row in snapshot.versions)
        board.border_title = as_text(title + (f"  {NOT_MEASURED}" if unknown else ""))

    def _show_evidence(self, metric: str | None) -> None:
        state = (self._imported, metric, self._filter)
        if state == self._state:
            return
        self._state = state
        board = self.query_one("#board", RowList)
        board.empty = evidence_text.EMPTY
        rows = evidence_text.rows(self._imported, metric, self._filter, self.signs)
        board.show_rows(rows, evidence_text.columns(metric))
        showing = f'  "{self._filter}": {len(rows)} of {len(self._imported)}' if self._filter else ""
        board.border_title = as_text(evidence_text.TITLE + showing)

    def _ordered(self, rows: list[VersionView], by: str, model: Model) -> list[VersionView]:
        """Rows without a number, and mixed ones, stay at the bottom, whatever the direction."""
        values = {id(row): _value(row, by) for row in rows}
        known = [row for row in rows if values[id(row)] is not None]
        up = model.snapshot.higher_is_better if model.snapshot else True
        if model.snapshot is None or canonical(by) != canonical(model.snapshot.primary_metric or ""):
            # versions the newest first; times the shortest first
            up = by == "version" or bool(higher_is_better(by))
        known.sort(key=lambda row: values[id(row)] or 0.0, reverse=up != self._reverse)
        return [*known, *(row for row in rows if values[id(row)] is None)]

    def _row(self, row: VersionView, decimals: dict[str, int], model: Model) -> Row:
        name = row.version
        marked = name in model.marked
        return Row(name, source=(row, marked, decimals), make=lambda: self._cells(row, name, decimals, marked))

    def _cells(self, row: VersionView, name: str, decimals: dict[str, int], marked: bool) -> tuple[Text, ...]:
        mark = self.signs.marked if marked else " "
        best = self.signs.best if row.is_best else " "
        verdict = row.verdict_previous
        action = told_of_external(row) if row.state == EXTERNAL else row.action
        if row.runs > 1 and row.mean is not None and row.spread is not None:
            mean, spread = (words.metric_value(value, self.signs) for value in (row.mean, row.spread))
            action = f"mean {mean} sd {spread} in {row.runs} runs  {action}"
        cells: list[Text] = [
            Text(f"{mark}{best}", end=""),
            as_text(shorten(clean_line(called(row)), 24), f"bold {version_colour(name)}"),
        ]
        cells += [
            as_text(words.metric_value(row.metrics.get(metric), self.signs, many)) for metric, many in decimals.items()
        ]
        cells.append(as_text(verdict or "", verdict_colour(verdict)))
        latency = row.latency_ms
        cells.append(as_text(f"{latency:.2f}" if latency is not None else self.signs.none, QUIET))
        seconds = row.train_seconds
        cells.append(as_text(words.clock(seconds) if seconds is not None else self.signs.none, QUIET))
        cells.append(as_text(action, QUIET))
        return tuple(cells)

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Imported runs have no order but that of their names, and are no versions."""
        return not self._evidence or action not in ("sort", "reverse", "mark", "samples")

    def action_evidence(self) -> None:
        self._evidence, self._filter = not self._evidence, ""
        self.refresh_bindings()
        self.refresh_view()

    def action_sort(self, by: int) -> None:
        keys = self.sort_keys(self.model)
        self._sort = (self._sort + by) % len(keys)
        self._reverse = False
        self._remember(keys)

    def action_reverse(self) -> None:
        self._reverse = not self._reverse
        self._remember(self.sort_keys(self.model))

    def _remember(self, keys: list[str]) -> None:
        self.host.remember("leaderboard", {"sort": keys[self._sort % len(keys)], "reverse": self._reverse})
        self.refresh_view()

    def action_filter(self) -> None:
        help = "enter filters by version, action or verdict; empty shows all    esc goes back"
        self.ask("filter", help, self._filtered, self._filter)

    def _filtered(self, text: str) -> None:
        self._filter = text
        self.refresh_view()

    def action_mark(self) -> None:
        if key := self.version_here:
            self.host.toggle_mark(key)

    @property
    def version_here(self) -> str | None:
        key = self.query_one("#board", RowList).key
        # an imported run may be called like a version
        return key if self.model.version(key) and not self._evidence else None

    def on_row_list_selected(self, event: RowList.Selected) -> None:
        if event.key and event.key == self.version_here:
            self.host.compare_with_base(event.key)

    def action_samples(self) -> None:
        key = self.query_one("#board", RowList).key
        if key:
            self.host.show_sample(key, None)

    def action_copy(self) -> None:
        if self._evidence:
            self.host.copy(evidence_text.as_csv(self._imported), "the list of imported runs")
            return
        metrics = self._metrics(self.model)
        lines = [",".join(["version", *metrics])]
        for row in self._rows(self.model):
            values = [row.metrics.get(metric) for metric in metrics]
            lines.append(",".join([row.version, *("" if v is None else str(v) for v in values)]))
        self.host.copy("\n".join(lines) + "\n", "the leaderboard")

    def action_back(self) -> None:
        if self._filter:
            self._filtered("")
        elif self._evidence:
            self.action_evidence()
        else:
            super().action_back()


def _searchable(row: VersionView) -> str:
    return f"{row.version} {row.action} {row.verdict_previous or ''} {row.state}".casefold()


def _value(row: VersionView, by: str) -> float | None:
    if by == "version":
        return math.inf if row.state == EXTERNAL else version_number(row.version)
    if by == "latency":
        return row.latency_ms
    if by == "trained":
        return row.train_seconds
    value = row.metrics.get(by)
    if row.not_ranked or serving.is_mixed(row.served_by):  # it is shown, and ranks nowhere
        return None
    return value if value is not None and math.isfinite(value) else None


def _columns(metrics: list[str], by: str) -> list[Column]:
    columns = [Column(""), Column("version")]
    for place, metric in enumerate(metrics):
        title = shorten(clean_line(metric), 14)
        columns.append(Column(f"{title}*" if metric == by else title, "right", spare=10 + place if place > 1 else 0))
    return [
        *columns,
        Column("verdict"),
        Column("ms", "right", spare=3),
        Column("trained", "right", spare=4),
        Column("action", stretch=True, spare=2),
    ]

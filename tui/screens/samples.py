"""The validation samples, wrong ones first, with what was kept of them (T5)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from tui import words
from tui.colours import BAD, GOOD, QUIET, version_colour
from tui.model import Model
from tui.reading.pictures import Picture, read_picture
from tui.reading.raw import Raw, find_raw
from tui.reading.samples import Kept, Outcome, kept_ids, read_kept, read_outcomes
from tui.sanitize import as_text, clean_line, clean_text
from tui.screens.ask import AskLine
from tui.screens.base import PaneScreen
from tui.widgets.picture import PictureView
from tui.widgets.row_list import Column, Row, RowList

FILTERS = ("all", "wrong", "right", "kept")


class SamplesScreen(PaneScreen):
    TITLE = "samples"
    PANES: ClassVar[tuple[str, ...]] = ("samples", "sample")
    AUTO_FOCUS = "#samples"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "outcome", "Outcome", tooltip="All, wrong, right, kept samples", id="samples.outcome"),
        Binding("left_square_bracket", "version(-1)", "Version", tooltip="Earlier version", id="samples.earlier"),
        Binding("right_square_bracket", "version(1)", "Later version", show=False, id="samples.later"),
        Binding("slash", "filter", "Filter", id="filter"),
        Binding("tab", "pane(1)", "Next pane", id="pane.next"),
        Binding("shift+tab", "pane(-1)", "Previous pane", show=False, id="pane.previous"),
        Binding("y", "copy", "Copy the sample's id", show=False, id="copy"),
        Binding("escape", "back", "Back", show=False, id="back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.version: str | None = None
        self._wanted: str | None = None
        self._outcomes: tuple[Outcome, ...] = ()
        #: the same samples in other versions
        self._others: dict[str, dict[str, Outcome]] = {}
        self._kept: dict[str, Path] = {}
        self._filter = ""
        self._outcome = "all"
        self._state: tuple[object, ...] = ()
        self._round = 0

    def body(self) -> ComposeResult:
        columns = [
            Column(""),
            Column("sample", stretch=True),
            Column("truth"),
            Column("predicted"),
            Column("loss", "right"),
            Column("sure", "right", spare=1),
        ]
        with Horizontal(id="middle"):
            with Vertical(id="left", classes="pane"):
                yield RowList(columns, id="samples", empty="no sample is evaluated yet")
            with Vertical(id="right", classes="pane"), VerticalScroll(id="sample"):
                yield Static("", id="sample_head", markup=False)
                yield Vertical(id="sample_files")

    def look_at(self, version: str, sample_id: str | None) -> None:
        """From another screen: this version, this sample."""
        self._outcome, self._filter = "all", ""
        self._wanted = sample_id
        self._load(version)

    def show(self, model: Model) -> None:
        evaluated = self._evaluated(model)
        state = tuple(evaluated)
        if state == self._state:
            return
        self._state = state
        if self.version is None or self.version not in evaluated:
            if evaluated:
                self._load(evaluated[-1])
        else:
            self._load(self.version)

    @staticmethod
    def _evaluated(model: Model) -> list[str]:
        rows = model.snapshot.versions if model.snapshot else ()
        return [v.version for v in rows if v.value is not None or v.metrics]

    def _load(self, version: str) -> None:
        self.version = version
        workspace = self.workspace
        others = [v for v in self._evaluated(self.model) if v != version][-7:]

        def work() -> tuple[tuple[Outcome, ...], dict[str, Path], dict[str, dict[str, Outcome]]]:
            beside = {v: {o.sample_id: o for o in read_outcomes(workspace, v)} for v in others}
            return read_outcomes(workspace, version), kept_ids(workspace, version), beside

        self.read(work, lambda found: self._loaded(version, *found))

    def _loaded(
        self,
        version: str,
        outcomes: tuple[Outcome, ...],
        kept: dict[str, Path],
        others: dict[str, dict[str, Outcome]],
    ) -> None:
        if version != self.version:
            return
        self._outcomes, self._kept, self._others = outcomes, kept, others
        self._show_rows()
        samples = self.query_one("#samples", RowList)
        if self._wanted:
            samples.move_to(self._wanted)
            self._wanted = None
        self._show_sample(samples.key)

    def _show_rows(self) -> None:
        chosen = [o for o in self._outcomes if self._fits(o)]
        samples = self.query_one("#samples", RowList)
        samples.show_rows([self._row(o) for o in chosen])
        wrong = sum(1 for o in self._outcomes if o.correct is False)
        told = f"{wrong} wrong of {len(self._outcomes)}" if wrong else f"{len(self._outcomes)} samples"
        samples.border_title = f"{self.version or 'samples'}  {told}  showing {self._outcome}"
        samples.border_subtitle = f"filter: {clean_line(self._filter)}" if self._filter else ""

    def _fits(self, outcome: Outcome) -> bool:
        if self._outcome == "wrong" and outcome.correct is not False:
            return False
        if self._outcome == "right" and outcome.correct is not True:
            return False
        if self._outcome == "kept" and outcome.sample_id not in self._kept:
            return False
        text = f"{outcome.sample_id} {outcome.truth} {outcome.prediction}".casefold()
        return self._filter.casefold() in text

    def _row(self, outcome: Outcome) -> Row:
        sign, style = _sign(outcome, self.signs)
        kept = self.signs.on if outcome.sample_id in self._kept else " "
        cells = (
            Text(f"{sign}{kept}", style=style, end=""),
            as_text(outcome.sample_id),
            as_text(outcome.truth),
            as_text(outcome.prediction, style),
            as_text(words.number(outcome.loss, self.signs), QUIET),
            as_text(f"{outcome.confidence:.0%}" if outcome.confidence is not None else "", QUIET),
        )
        return Row(outcome.sample_id, cells)

    def on_row_list_highlighted(self, event: RowList.Highlighted) -> None:
        self._show_sample(event.key)

    def _show_sample(self, sample_id: str | None) -> None:
        self._round += 1
        number = self._round
        outcome = next((o for o in self._outcomes if o.sample_id == sample_id), None)
        self.query_one("#sample_head", Static).update(self._head(outcome) if outcome else Text(""))
        folder = self._kept.get(sample_id or "")
        if sample_id is None:
            self._show_files([])
            return
        if folder is None:
            self._show_raw(sample_id)
            return
        columns, lines = self._room()

        def work() -> tuple[Kept, dict[str, Picture]]:
            kept = read_kept(sample_id, folder)
            drawn = {f.name: read_picture(f.path, columns, lines) for f in kept.files if f.kind == "picture"}
            return kept, drawn

        def done(found: tuple[Kept, dict[str, Picture]]) -> None:
            if number == self._round:
                self._show_files(self._file_widgets(*found))

        self.read(work, done)

    def _show_raw(self, sample_id: str) -> None:
        """Of most samples nothing is kept: they are looked up in the prepared data."""
        number, workspace = self._round, self.workspace
        dataset = self.model.snapshot.dataset_id if self.model.snapshot else None
        columns, lines = self._room()

        def done(raw: Raw | None) -> None:
            if number == self._round:
                self._show_files(self._raw_widgets(raw))

        if dataset is None:
            done(None)
        else:
            self.read(lambda: find_raw(workspace, dataset, sample_id, columns, lines), done)

    def _raw_widgets(self, raw: Raw | None) -> list[Widget]:
        if raw is None:
            note = "its id leads to no file, row or item of the validation data, and nothing was kept of it"
            return [Static(Text(note, style=QUIET), markup=False)]
        widgets: list[Widget] = [Static(Text(clean_line(raw.source), style=QUIET), markup=False)]
        if raw.picture is not None:
            widgets.append(PictureView(raw.picture, letters=self.host.letters))
        if raw.text:
            widgets.append(Static(Text(clean_text(raw.text)), markup=False))
        return widgets

    def _room(self) -> tuple[int, int]:
        """Cells for a picture, also while the pane is still hidden."""
        width, height = self.app.size
        return (width - 4 if self.narrow else width * 4 // 7 - 4), max(6, min(20, height - 12))

    def _head(self, outcome: Outcome) -> Text:
        """The sample in this version, and beside it in the others."""
        text = Text(f"{clean_line(outcome.sample_id)}\n", style="bold")
        text.append(f"truth {clean_line(outcome.truth)}\n", style="not bold")
        rows = [(self.version or "", outcome)]
        rows += [(v, found[outcome.sample_id]) for v, found in self._others.items() if outcome.sample_id in found]
        for version, seen in sorted(rows, key=lambda row: row[0]):
            sign, style = _sign(seen, self.signs)
            mark = self.signs.running if version == self.version else " "
            text.append(f"{mark} ", style="not bold").append(version, version_colour(version))
            text.append(f" {sign} {clean_line(seen.prediction)}", f"not bold {style}")
            told = f"  loss {words.number(seen.loss, self.signs)}"
            if seen.confidence is not None:
                told += f"  sure {seen.confidence:.0%}"
            text.append(f"{told}\n", f"not bold {QUIET}")
        return text

    def _file_widgets(self, kept: Kept, drawn: dict[str, Picture]) -> list[Widget]:
        widgets: list[Widget] = []
        for file in kept.files:
            widgets.append(Static(Text(clean_line(file.name), style=QUIET), markup=False))
            if file.name in drawn:
                widgets.append(PictureView(drawn[file.name], letters=self.host.letters))
            elif file.kind == "table":
                widgets.append(Static(Text(table_text(file.text)), markup=False))
            else:
                shown = clean_text(file.text) if file.text else "not shown here"
                widgets.append(Static(Text(shown), markup=False))
        return widgets

    def _show_files(self, widgets: list[Widget]) -> None:
        holder = self.query_one("#sample_files")
        with self.app.batch_update():
            holder.remove_children()
            holder.mount(*widgets)

    # keys

    def action_outcome(self) -> None:
        self._outcome = FILTERS[(FILTERS.index(self._outcome) + 1) % len(FILTERS)]
        self._show_rows()

    def action_version(self, by: int) -> None:
        evaluated = self._evaluated(self.model)
        if self.version in evaluated:
            self._wanted = self.query_one("#samples", RowList).key
            place = evaluated.index(self.version) + by
            if 0 <= place < len(evaluated):
                self._load(evaluated[place])

    def action_filter(self) -> None:
        help = "enter filters by id, truth or prediction; empty shows all    esc goes back"
        self.app.push_screen(AskLine("filter", help, self._filter), self._filtered)

    def _filtered(self, text: str | None) -> None:
        if text is not None:
            self._filter = text
            self._show_rows()

    def on_row_list_selected(self) -> None:
        self.show_pane(1)

    def action_copy(self) -> None:
        if key := self.query_one("#samples", RowList).key:
            self.host.copy(key, "the sample's id")

    def action_back(self) -> None:
        if self.pane:
            self.show_pane(0)
        elif self._filter:
            self._filtered("")
        else:
            self.host.action_screen("loop")


def _sign(outcome: Outcome, signs: words.Signs) -> tuple[str, str]:
    if outcome.correct is None:
        return " ", ""
    return (signs.done, GOOD) if outcome.correct else (signs.failed, BAD)


def table_text(text: str, most: int = 40) -> str:
    """A CSV file with its columns lined up."""
    rows = list(csv.reader(io.StringIO(clean_text(text))))[:most]
    if not rows:
        return ""
    count = max(len(row) for row in rows)
    padded = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = [min(24, max(len(row[i]) for row in padded)) for i in range(count)]
    return "\n".join("  ".join(c[:w].ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in padded)

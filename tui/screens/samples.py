"""The validation samples, wrong ones first, with what was kept of them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from progtrain.tui.look import words
from progtrain.tui.look.colours import NEEDS_YOU, QUIET
from progtrain.tui.look.sanitize import as_text, clean_line
from progtrain.tui.model import Model
from progtrain.tui.reading.pictures import Picture
from progtrain.tui.reading.sample_files import Shown, find_raw, kept_ids, read_kept
from progtrain.tui.reading.samples import Outcome, read_outcomes
from progtrain.tui.sample_filter import OUTCOMES, SHARES, SampleFilter, classes
from progtrain.tui.screens import sample_text
from progtrain.tui.screens.base import PANE_KEYS, PaneScreen
from progtrain.tui.screens.choose import Choose
from progtrain.tui.widgets.picture import PictureView, pixel_view
from progtrain.tui.widgets.row_list import Column, Row, RowList


class SamplesScreen(PaneScreen):
    TITLE = "samples"
    PANES: ClassVar[tuple[str, ...]] = ("samples", "sample")
    AUTO_FOCUS = "#samples"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "outcome", "Outcome", tooltip="All, wrong, right, kept samples", id="samples.outcome"),
        Binding("t", "of_class('truth')", "Truth", tooltip="Of one true class", id="samples.truth"),
        Binding(
            "p",
            "of_class('prediction')",
            "Predicted",
            tooltip="Of one predicted class",
            id="samples.prediction",
        ),
        Binding("v", "loss", "Loss", tooltip="By the value of the loss", id="samples.loss"),
        Binding("x", "clear", "All again", tooltip="Clear all filters", id="samples.clear"),
        Binding("slash", "filter", "Filter by words", show=False, id="filter"),
        Binding("left_square_bracket", "version(-1)", "Earlier version", show=False, id="samples.earlier"),
        Binding("right_square_bracket", "version(1)", "Later version", show=False, id="samples.later"),
        Binding("tab", "pane(1)", "Next pane", show=False, id="pane.next"),
        Binding("y", "copy", "Copy the sample's id", show=False, id="copy"),
        *PANE_KEYS,
    ]

    def __init__(self) -> None:
        super().__init__()
        self.version: str | None = None
        self._wanted: str | None = None
        self._outcomes: tuple[Outcome, ...] = ()
        #: the same samples in other versions
        self._others: dict[str, dict[str, Outcome]] = {}
        self._kept: dict[str, Path] = {}
        #: None: what was remembered is not looked up yet
        self._filter: SampleFilter | None = None
        #: versions that were evaluated at the last look
        self._known: list[str] = []
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
                yield Static("", id="filter_told", markup=False)
                yield RowList(columns, id="samples", empty="no sample is evaluated yet")
            with Vertical(id="right", classes="pane"), VerticalScroll(id="sample"):
                yield Static("", id="sample_head", markup=False)
                yield Vertical(id="sample_files")

    def look_at(self, version: str, sample_id: str | None) -> None:
        """From another screen: this version, this sample."""
        evaluated = self._evaluated(self.model)
        self._wanted = sample_id
        # who comes from an older screen may ask for a version that somebody has deleted since
        self._load(version if version in evaluated or not evaluated else evaluated[-1])

    def show(self, model: Model) -> None:
        evaluated = self._evaluated(model)
        if evaluated == self._known:
            return
        self._known = evaluated
        if evaluated:
            self._load(self.version if self.version in evaluated else evaluated[-1])
        elif self.version is not None:
            self.version = None
            self._loaded(None, (), {})

    @staticmethod
    def _evaluated(model: Model) -> list[str]:
        rows = model.snapshot.versions if model.snapshot else ()
        return [v.version for v in rows if v.value is not None or v.metrics]

    def _load(self, version: str) -> None:
        self.version = version
        workspace = self.workspace
        others = [v for v in self._evaluated(self.model) if v != version][-7:]

        def done(found: tuple[tuple[Outcome, ...], dict[str, Path]]) -> None:
            self._loaded(version, *found)
            self.read(beside, lambda found: self._beside(version, found))

        def beside() -> dict[str, dict[str, Outcome]]:
            return {v: {o.sample_id: o for o in read_outcomes(workspace, v)} for v in others}

        self.read(lambda: (read_outcomes(workspace, version), kept_ids(workspace, version)), done)

    def _beside(self, version: str, others: dict[str, dict[str, Outcome]]) -> None:
        """The same samples in other versions, once this one's are shown."""
        if version == self.version:
            self._others = others
            self._show_head(self.query_one("#samples", RowList).key)

    def _loaded(self, version: str | None, outcomes: tuple[Outcome, ...], kept: dict[str, Path]) -> None:
        if version != self.version:
            return
        self._outcomes, self._kept, self._others = outcomes, kept, {}
        if self._wanted and self._wanted not in {o.sample_id for o in self.filter.of(outcomes, kept)}:
            self._filter = SampleFilter()
        self._show_rows()
        samples = self.query_one("#samples", RowList)
        if self._wanted:
            samples.move_to(self._wanted)
            self._wanted = None
        self._show_sample(samples.key)

    def _show_rows(self) -> None:
        chosen = self.filter.of(self._outcomes, self._kept)
        samples = self.query_one("#samples", RowList)
        samples.show_rows([self._row(o) for o in chosen])
        wrong = sum(1 for o in self._outcomes if o.correct is False)
        told = f"{wrong} wrong of {len(self._outcomes)}" if wrong else f"{len(self._outcomes)} samples"
        samples.border_title = as_text(f"{self.version or 'samples'}  {told}")
        samples.empty = "no sample fits: x shows all again" if self._outcomes else "no sample is evaluated yet"
        self.query_one("#filter_told").display = bool(self.filter)
        self.tell("filter_told", as_text(f" {len(chosen)}: {self.filter.told(self._outcomes)}", f"bold {NEEDS_YOU}"))

    @property
    def filter(self) -> SampleFilter:
        if self._filter is None:
            self._filter = SampleFilter.from_json(self.host.recalled("samples").get("filter"))
        return self._filter

    def _choose(self, chosen: SampleFilter) -> None:
        self._filter = chosen
        self.host.remember("samples", {"filter": asdict(chosen)})
        self._show_rows()

    def _row(self, outcome: Outcome) -> Row:
        kept = outcome.sample_id in self._kept
        return Row(outcome.sample_id, source=(outcome, kept), make=lambda: self._cells(outcome, kept))

    def _cells(self, outcome: Outcome, kept: bool) -> tuple[Text, ...]:
        sign, style = sample_text.sign(outcome, self.signs)
        return (
            Text(f"{sign}{self.signs.on if kept else ' '}", style=style, end=""),
            as_text(outcome.sample_id),
            as_text(outcome.truth),
            as_text(outcome.prediction, style),
            as_text(words.number(outcome.loss, self.signs), QUIET),
            as_text(f"{outcome.confidence:.0%}" if outcome.confidence is not None else "", QUIET),
        )

    def on_row_list_highlighted(self, event: RowList.Highlighted) -> None:
        self._show_sample(event.key)

    def _show_sample(self, sample_id: str | None) -> None:
        self._round += 1
        number, workspace, (columns, lines) = self._round, self.workspace, self._room()
        self._show_head(sample_id)
        if sample_id is None:
            self._show_files([])
            return
        folder = self._kept.get(sample_id)
        dataset = self.model.snapshot.dataset_id if self.model.snapshot else None

        def work() -> tuple[Shown, ...]:
            """Of most samples nothing is kept: they are looked up in the prepared data."""
            kept = read_kept(folder, columns, lines) if folder else ()
            return kept or (find_raw(workspace, dataset, sample_id, columns, lines) if dataset else ())

        def done(found: tuple[Shown, ...]) -> None:
            if number == self._round:
                self._show_files(sample_text.widgets(found, self._picture))

        self.read(work, done)

    def _show_head(self, sample_id: str | None) -> None:
        outcome = next((o for o in self._outcomes if o.sample_id == sample_id), None)
        text = sample_text.head(self.version or "", outcome, self._others, self.signs) if outcome else Text("")
        self.tell("sample_head", text)

    def _picture(self, picture: Picture) -> Widget:
        if self.host.pixels is not None and picture.image is not None:
            return pixel_view(picture, self.host.pixels)
        return PictureView(picture, letters=self.host.letters)

    def _room(self) -> tuple[int, int]:
        """Cells for a picture, also while the pane is still hidden."""
        width, height = self.app.size
        return (width - 4 if self.narrow else width * 4 // 7 - 4), max(6, min(20, height - 12))

    def _show_files(self, widgets: list[Widget]) -> None:
        holder = self.query_one("#sample_files")
        with self.app.batch_update():
            holder.remove_children()
            holder.mount(*widgets)

    # keys

    @property
    def version_here(self) -> str | None:
        return self.version

    def action_outcome(self) -> None:
        place = OUTCOMES.index(self.filter.outcome) + 1
        self._choose(replace(self.filter, outcome=OUTCOMES[place % len(OUTCOMES)]))

    def action_of_class(self, field: str) -> None:
        """`field`: "truth" or "prediction"."""
        found = classes(self._outcomes, field)
        if not found:
            self.host.say("these samples have no classes: v filters by the loss, / by words")
            return
        rows = [Row("", (as_text("any"),))]
        rows += [
            Row(f"={name}", (as_text(name, "bold"), as_text(f"{samples} samples, {wrong} wrong", QUIET)))
            for name, samples, wrong in found
        ]

        def chosen(keys: tuple[str, ...] | None) -> None:
            if keys:
                name = keys[0].removeprefix("=") if keys[0] else None
                self._choose(SampleFilter(**asdict(self.filter) | {field: name}))

        title = "samples that truly are" if field == "truth" else "samples that were taken for"
        now = getattr(self.filter, field)
        self.app.push_screen(Choose(title, rows, at="" if now is None else f"={now}"), chosen)

    def action_loss(self) -> None:
        if all(o.loss is None for o in self._outcomes):
            self.host.say("these samples have no loss")
            return
        rows = [Row("", (as_text("any"),))]
        for share in SHARES:
            least = SampleFilter(loss=share).least_loss(self._outcomes)
            rows.append(Row(share, (as_text(share, "bold"), as_text(f"from {words.number(least, self.signs)}", QUIET))))
        rows.append(Row("value", (as_text("from a value of your own", "bold"),)))
        now = self.filter.loss
        at = now if isinstance(now, str) else "" if now is None else "value"
        self.app.push_screen(Choose("samples whose loss is among the", rows, at=at), self._loss_chosen)

    def _loss_chosen(self, keys: tuple[str, ...] | None) -> None:
        if keys and keys[0] == "value":
            help = "enter shows samples whose loss is at least that    esc goes back"
            self.ask("loss from", help, self._loss_typed)
        elif keys:
            self._choose(replace(self.filter, loss=keys[0] or None))

    def _loss_typed(self, text: str) -> None:
        if not text:
            return
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            self.host.say(f"{clean_line(text)} is no number: write the loss as 0.25", bad=True)
        else:
            self._choose(replace(self.filter, loss=value))

    def action_clear(self) -> None:
        self._choose(SampleFilter())

    def action_version(self, by: int) -> None:
        evaluated = self._evaluated(self.model)
        if self.version in evaluated:
            self._wanted = self.query_one("#samples", RowList).key
            place = evaluated.index(self.version) + by
            if 0 <= place < len(evaluated):
                self._load(evaluated[place])

    def action_filter(self) -> None:
        help = "enter filters by id, truth or prediction; empty shows all    esc goes back"
        self.ask("filter", help, lambda text: self._choose(replace(self.filter, text=text)), self.filter.text)

    def on_row_list_selected(self) -> None:
        self.show_pane(1)

    def action_copy(self) -> None:
        if key := self.query_one("#samples", RowList).key:
            self.host.copy(key, "the sample's id")

    def action_back(self) -> None:
        if not self.pane and self.filter:
            self.action_clear()
        else:
            super().action_back()

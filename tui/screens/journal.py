"""What happened when, with the command to repeat it; and the ledger of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from progtrain.tui.look.colours import BAD, GOOD, NEEDS_YOU, NOW, QUIET, version_colour
from progtrain.tui.look.sanitize import as_text, clean_line, shorten
from progtrain.tui.model import Model
from progtrain.tui.reading.jobs import read_jobs
from progtrain.tui.reading.journal import Entry, JournalReader
from progtrain.tui.screens.base import BaseScreen
from progtrain.tui.widgets.row_list import Column, Row, RowList

if TYPE_CHECKING:
    from progtrain.engine.records.jobs import Job

_STYLE = {
    "loop_failed": BAD,
    "attempt_failed": BAD,
    "warning": NEEDS_YOU,
    "question": NEEDS_YOU,
    "loop_waiting": NEEDS_YOU,
    "decision": NOW,
    "loop_finished": GOOD,
}
#: of a job's state
_STATES = {"failed": BAD, "lost": BAD, "running": NOW, "finished": GOOD, "planned": QUIET, "superseded": QUIET}
_ENTRIES = (Column("when"), Column("ver"), Column("event"), Column("", stretch=True))
_JOBS = (Column("job"), Column("state"), Column("began"), Column("exit", "right", spare=1), Column("", stretch=True))

#: columns from which the day has room beside the time
_WITH_DAY = 100


class JournalScreen(BaseScreen):
    TITLE = "journal"
    AUTO_FOCUS = "#entries"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="filter"),
        Binding("t", "jobs", "Jobs", tooltip="The ledger of jobs, and back to the journal", id="journal.jobs"),
        Binding("y", "copy", "Copy", tooltip="Copy the command, or where a job's output lies", id="copy"),
        Binding("escape", "back", "Back", show=False, id="back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._reader: JournalReader | None = None
        self._entries: tuple[Entry, ...] = ()
        self._jobs: tuple[Job, ...] = ()
        #: the ledger of jobs is on show, as it was when this was so
        self._ledger = False
        self._jobs_of: object = None
        self._filter = ""

    def body(self) -> ComposeResult:
        yield RowList(_ENTRIES, id="entries", empty="nothing has happened yet")
        yield Static("", id="entry", markup=False)

    def show(self, model: Model) -> None:
        reader = self._reader = self._reader or JournalReader(self.workspace)
        self.read(reader.read, self._found)

    def _found(self, entries: tuple[Entry, ...]) -> None:
        if entries != self._entries:
            self._entries = entries
            if not self._ledger:
                self._show_rows()
        if self._ledger:
            self._read_jobs()

    def _read_jobs(self) -> None:
        """Where something has happened since: what a look at all jobs costs is not for each second."""
        snapshot = self.model.snapshot
        state = (self._entries[-1:], snapshot and (snapshot.status, snapshot.step, snapshot.running))
        if state != self._jobs_of:
            self._jobs_of, workspace = state, self.workspace
            self.read(lambda: read_jobs(workspace), self._found_jobs)

    def _found_jobs(self, jobs: tuple[Job, ...]) -> None:
        if jobs != self._jobs:
            self._jobs = jobs
            if self._ledger:
                self._show_rows()

    def _show_rows(self) -> None:
        rows = self.query_one("#entries", RowList)
        at_end = rows.cursor >= len(rows.rows) - 1
        wanted = self._filter.casefold()
        day = self.app.size.width >= _WITH_DAY
        columns: tuple[Column, ...]
        if self._ledger:
            shown = [_job_row(job, day=day) for job in self._jobs if wanted in _job_words(job)]
            title, of, columns = "jobs", f"{len(self._jobs)} attempts", _JOBS
        else:
            shown = [_row(entry, day=day) for entry in self._entries if wanted in _searchable(entry)]
            title, of, columns = "journal", f"{len(self._entries)} entries", _ENTRIES
        rows.show_rows(shown, columns)
        showing = f'"{self._filter}": {len(shown)} of ' if self._filter else ""
        rows.border_title = as_text(f"{title}  {showing}{of}")
        if at_end:
            rows.action_cursor_to(-1)

    def on_resize(self) -> None:
        self._show_rows()

    def _entry(self, key: str | None) -> Entry | None:
        return None if self._ledger else next((e for e in self._entries if str(e.number) == key), None)

    def _job(self, key: str | None) -> Job | None:
        return next((job for job in self._jobs if job.id == key), None) if self._ledger else None

    def on_row_list_highlighted(self, event: RowList.Highlighted) -> None:
        entry, job = self._entry(event.key), self._job(event.key)
        self.tell("entry", _whole(entry) if entry else _whole_job(job) if job else Text(""))

    @property
    def version_here(self) -> str | None:
        key = self.query_one("#entries", RowList).key
        held = self._entry(key) or self._job(key)
        return held.version if held and self.model.version(held.version) else super().version_here

    def show_jobs(self) -> None:
        if not self._ledger:
            self.action_jobs()

    def action_jobs(self) -> None:
        self._ledger, self._filter, self._jobs_of = not self._ledger, "", None
        self.query_one("#entries", RowList).cursor = 1 << 30
        self._show_rows()
        if self._ledger:
            self._read_jobs()

    def action_filter(self) -> None:
        help = "enter filters; empty shows all    esc goes back"
        self.ask("filter", help, self._filtered, self._filter)

    def _filtered(self, text: str) -> None:
        self._filter = text
        self._show_rows()

    def action_copy(self) -> None:
        key = self.query_one("#entries", RowList).key
        entry, job = self._entry(key), self._job(key)
        if entry is not None and entry.command:
            self.host.copy(entry.command, "the command")
        elif job is not None and job.log:
            self.host.copy(str(self.workspace.root / job.log), "where its output lies")
        elif job is not None:
            self.host.say("this attempt has no output any more, or none yet")
        else:
            self.host.say("this entry has no command to repeat")

    def action_back(self) -> None:
        if self._filter:
            self._filtered("")
        elif self._ledger:
            self.action_jobs()
        else:
            super().action_back()


def _searchable(entry: Entry) -> str:
    return f"{entry.version} {entry.event.replace('_', ' ')} {entry.event} {entry.text} {entry.command}".casefold()


def _whole(entry: Entry) -> Text:
    """All of an entry, wrapped: the table has one line for it."""
    text = Text(f"{clean_line(entry.at[:19].replace('T', ' '))} ", QUIET)
    text.append(shorten(clean_line((entry.text or entry.event.replace("_", " "))[:4000]), 1000), "not dim bold")
    if entry.command:
        text.append("\nagain: ", QUIET).append(shorten(clean_line(entry.command[:4000]), 1000), "bold")
    for key, value in entry.details:
        # what the words say already is not said again
        if key not in {"command", "version"} and value not in entry.text:
            text.append(f"\n{clean_line(key)}: ", QUIET).append(shorten(clean_line(value[:4000]), 400))
    return text


def _row(entry: Entry, *, day: bool) -> Row:
    when = entry.at[5 if day else 11 : 19].replace("T", " ")
    style = _STYLE.get(entry.event, "")
    return Row(
        str(entry.number),
        (
            as_text(when, QUIET),
            as_text(entry.version, version_colour(entry.version)),
            as_text(entry.event.replace("_", " "), style),
            as_text(entry.text),
        ),
    )


def _job_words(job: Job) -> str:
    return f"{job.id} {job.state} {job.kind} {job.version} {job.why}".casefold()


def _whole_job(job: Job) -> Text:
    text = Text(f"{clean_line(job.id)} ", "bold").append(job.state, _STATES.get(job.state, ""))
    if job.why:
        text.append(f": {shorten(clean_line(job.why[:4000]), 600)}")
    times = (("queued", job.queued_at), ("started", job.started_at), ("ended", job.ended_at))
    told = [f"{name} {clean_line(at[:19].replace('T', ' '))}" for name, at in times if at]
    told += [f"exit code {job.exit_code}"] if job.exit_code is not None else []
    for name, value in (("", ", ".join(told)), ("in place of ", job.supersedes), ("output: ", job.log)):
        if value:
            text.append(f"\n{name}", QUIET).append(shorten(clean_line(value), 400))
    return text


def _job_row(job: Job, *, day: bool) -> Row:
    when = (job.started_at or job.queued_at or "")[5 if day else 11 : 19].replace("T", " ")
    return Row(
        job.id,
        (
            as_text(job.id),
            as_text(job.state, _STATES.get(job.state, "")),
            as_text(when, QUIET),
            as_text("" if job.exit_code is None else str(job.exit_code)),
            as_text(job.why or (f"in place of {job.supersedes}" if job.supersedes else "")),
        ),
    )

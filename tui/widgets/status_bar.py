"""The top of every screen: where we are, what runs, whether the user is wanted, and what is wrong."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual.widget import Widget

from progtrain.engine.status.snapshot import WORKING
from progtrain.tui.look import words
from progtrain.tui.look.colours import BAD, GOOD, NEEDS_YOU, NOW, QUIET
from progtrain.tui.look.sanitize import clean_line, glimpse, shorten
from progtrain.tui.model import Model


class StatusBar(Widget):
    DEFAULT_CSS = "StatusBar { height: 1; }"

    def __init__(self, *, signs: words.Signs, readonly: bool = False) -> None:
        super().__init__(id="status")
        self._signs = signs
        self._readonly = readonly
        self._left = Text("progtrain")
        self._right = Text("reading the workspace")
        self._machine = ""

    def show(self, model: Model) -> None:
        state = (self._compose_left(model), self._compose_right(model), _machine(model))
        if state != (self._left, self._right, self._machine):
            self._left, self._right, self._machine = state
            self.refresh()

    @property
    def plain(self) -> str:
        return f"{self._left.plain} {self._right.plain}".replace("\x00", "")

    def render(self) -> Text:
        width = self.content_size.width
        machine, right = self._machine, self._right
        if machine and width - right.cell_len - len(machine) > 40:
            right = Text(machine, style=QUIET).append_text(right)
        room = max(10, width - right.cell_len - 1)
        # what does not fit is left out whole, the last part first
        parts = [part for part in self._left.split("\x00", allow_blank=True) if part.plain]
        while len(parts) > 1 and sum(part.cell_len for part in parts) > room:
            parts.pop()
        left = Text(no_wrap=True).join(parts) if parts else Text("")
        left.truncate(room, overflow="ellipsis", pad=True)
        line = left.append(" ").append_text(right)
        line.truncate(width)
        line.no_wrap = True
        return line

    def _compose_left(self, model: Model) -> Text:
        text = Text(" progtrain ", style="bold", no_wrap=True)
        text.append(f" {shorten(clean_line(_home(model.root)), 34)} ", style=NOW)
        snapshot = model.snapshot
        if self._readonly:
            text.append(" read-only ", style=f"reverse {QUIET}")
        if snapshot is None:
            return text
        if snapshot.dataset_id:
            text.append("\x00").append(f" data {shorten(clean_line(snapshot.dataset_id), 16)} ", style="")
        locks = len(snapshot.locks)
        text.append("\x00").append(f" {locks} lock{'' if locks == 1 else 's'}" if locks else " no locks", style=QUIET)
        if warnings := len(snapshot.warnings):
            text.append("\x00").append(f"  {warnings} warning{'' if warnings == 1 else 's'}", NEEDS_YOU)
        return text

    def _compose_right(self, model: Model) -> Text:
        snapshot = model.snapshot
        if model.problem:
            return Text(f" {self._signs.failed} cannot be read ", style=f"bold {BAD}")
        if snapshot is None:
            return Text("reading the workspace ", style=QUIET)
        text = Text()
        sign = words.status_sign(snapshot.status, self._signs)
        words_ = f" {sign} {words.headline(snapshot)} "
        if snapshot.status == "waiting":
            return text.append(f"{words_}- press r ", style=f"bold reverse {NEEDS_YOU}")
        colour = {"failed": BAD, "not ready": BAD, "runner gone": NEEDS_YOU, "orphan training": NEEDS_YOU}
        style = colour.get(snapshot.status) or (NOW if snapshot.status in WORKING else GOOD)
        if snapshot.autopilot and snapshot.status in WORKING:
            text.append("autopilot ", QUIET)
        return text.append(words_, style=f"bold {style}")


def _home(path: Path) -> str:
    """Short where it can be: ~/digits."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path != home and path.is_relative_to(home) else str(path)


def _machine(model: Model) -> str:
    """Only while something works: an idle screen has nothing to repaint."""
    machine, snapshot = model.machine, model.snapshot
    if machine is None or snapshot is None or snapshot.status not in WORKING:
        return ""
    gpu = f"gpu {max(machine.gpus):.0f}%  " if machine.gpus else ""
    return f"{gpu}cpu {machine.cpu_percent:.0f}%  mem {words.size_of(machine.memory_used)}  "


def notice(model: Model) -> Text:
    """What is wrong and how to fix it, where it cannot be overlooked: below the status line. Empty where nothing is."""
    snapshot = model.snapshot
    parts = []
    if model.problem:
        parts = [model.problem, "Shown is what was last seen; it is looked for again every second."]
    elif snapshot is not None and snapshot.status in {"failed", "not ready", "repairing"}:
        parts = [snapshot.reason, f"fix: {snapshot.fix}" if snapshot.fix else ""]
    first, _, rest = glimpse("\n".join(filter(None, parts))).partition("\n")
    return Text(first, style=f"bold {BAD}").append(f"\n{rest}" if rest else "", style=NEEDS_YOU)

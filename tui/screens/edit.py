"""A document under edit, with what the engine would do with it as one types."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Static, TextArea

from progtrain.engine.drafting.preview import Check
from progtrain.engine.files import read_loosely
from progtrain.tui.host import Host, host_of
from progtrain.tui.look.colours import BAD, GOOD, NEEDS_YOU, QUIET
from progtrain.tui.look.sanitize import clean_text
from progtrain.tui.screens.ask import Confirm
from progtrain.tui.screens.base import is_there
from progtrain.tui.widgets.diff import DiffView
from progtrain.tui.widgets.key_line import KeyLine
from progtrain.tui.widgets.typing_order import Editor

_CHECK_AFTER_SECONDS = 0.4


class EditScreen(ModalScreen[str | None]):
    """Gives the edited text, or None. With `$EDITOR` set that opens first, and this screen shows the outcome."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2,ctrl+o", "accept", "Accept this text", priority=True, id="edit.accept"),
        Binding("f4", "outside", "$EDITOR", priority=True, id="edit.outside"),
        Binding("escape", "back", "Back", priority=True, id="back"),
    ]

    def __init__(
        self,
        title: str,
        text: str,
        check: Callable[[str], Check] | None,
        *,
        suffix: str = ".txt",
        editor: str | None = None,
    ) -> None:
        super().__init__()
        self._title = title
        self._original = text
        self._check = check
        self._suffix = suffix
        self._editor = editor if editor is not None else os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
        self._timer: Timer | None = None
        self._round = 0
        self._last: Check | None = None

    @property
    def host(self) -> Host:
        return host_of(self)

    def compose(self) -> ComposeResult:
        with Vertical(id="edit"):
            area = Editor(clean_text(self._original), id="text", show_line_numbers=True, tab_behavior="indent")
            area.cursor_blink = False
            area.border_title = self._title
            yield area
            yield Static("", id="verdict", markup=False)
            yield DiffView(id="edit_diff", empty="")
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one(TextArea).focus()
        self.query_one("#edit_diff").display = self._check is not None
        self._ask_engine()
        if self._editor:
            self.call_after_refresh(self.action_outside)

    @property
    def text(self) -> str:
        return self.query_one(TextArea).text

    def on_text_area_changed(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_CHECK_AFTER_SECONDS, self._ask_engine)

    def _ask_engine(self) -> None:
        check, text = self._check, self.text
        self._last = None
        if check is None:
            return
        self._round += 1
        number = self._round

        def seen(result: Check) -> None:
            # an answer about a text that has changed since says nothing
            if is_there(self) and number == self._round:
                self._last = result
                self._show(result)

        self.host.in_thread(lambda: check(text), seen)

    def _say(self, text: str, style: str) -> None:
        self.query_one("#verdict", Static).update(Text(clean_text(text), style=style))

    def _show(self, check: Check) -> None:
        if check.problems:
            self._say("refused: " + "\n".join(check.problems), BAD)
        else:
            told = f"{check.target}: " if check.target else ""
            self._say(told + (", ".join(check.checks) or "accepted"), GOOD)
        self.query_one("#edit_diff", DiffView).show(check.diff)

    def action_accept(self) -> None:
        if self.host.readonly:
            return
        if self._check is not None and self._last is None:
            self._say("being checked: press it again in a moment", NEEDS_YOU)
            self._ask_engine()
        elif self._last is not None and self._last.problems:
            self._say("cannot be accepted: " + "\n".join(self._last.problems), BAD)
        else:
            self.dismiss(self.text)

    def action_back(self) -> None:
        if self.text == clean_text(self._original):
            self.dismiss(None)
        else:
            self.app.push_screen(Confirm("Drop this edit?", "drop it", "go on editing"), self._dropped)

    def _dropped(self, yes: bool | None) -> None:
        if yes:
            self.dismiss(None)

    def action_outside(self) -> None:
        """The text in `$EDITOR`, the app suspended meanwhile."""
        if not self._editor:
            self._say("no $EDITOR is set: edit here", QUIET)
            return
        try:
            with self.app.suspend():
                edited = edit_outside(self._editor, self.text, self._suffix)
        except SuspendNotSupported:
            return
        except (OSError, ValueError) as error:
            self._say(f"{self._editor}: {error}", BAD)
            return
        self.query_one(TextArea).text = clean_text(edited)


def edit_outside(editor: str, text: str, suffix: str) -> str:
    """Waits until the editor has ended. Raises OSError when it cannot be started."""
    with tempfile.TemporaryDirectory(prefix="progtrain-") as folder:
        path = Path(folder) / f"edit{suffix}"
        path.write_text(text, encoding="utf-8")
        ended = subprocess.run([*shlex.split(editor), str(path)], check=False)
        if ended.returncode != 0:
            raise OSError(f"ended with exit code {ended.returncode}; the text is as it was")
        return read_loosely(path)

"""Small questions over a screen: yes or no, a line of text."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from progtrain.tui.look.sanitize import clean_text
from progtrain.tui.widgets.typing_order import LineField


class Confirm(ModalScreen[bool]):
    """Only for what cannot be taken back: stopping a run, dropping an edit, overwriting."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Yes", id="confirm.yes"),
        Binding("n,escape,q", "answer(False)", "No", id="confirm.no"),
    ]

    def __init__(self, question: str, yes: str = "yes", no: str = "no") -> None:
        super().__init__()
        self.question = clean_text(question)
        self._answers = f"y {yes}    n {no}"

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self.question, markup=False)
            yield Static(self._answers, markup=False, classes="keys")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class AskLine(ModalScreen[str | None]):
    """A line of text; None when the user goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back", id="back")]

    def __init__(self, title: str, help: str = "", value: str = "") -> None:
        super().__init__()
        self._title, self._help, self._value = title, help, value

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, markup=False)
            entry = LineField(self._value, id="line")
            entry.cursor_blink = False
            yield entry
            yield Static(self._help or "enter sends it    esc goes back", markup=False, classes="keys")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)

    def action_back(self) -> None:
        self.dismiss(None)

"""What is wrong and how to fix it, where it cannot be overlooked. Takes no room when nothing is."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from progtrain.tui.look.colours import BAD, NEEDS_YOU
from progtrain.tui.look.sanitize import glimpse
from progtrain.tui.model import Model


class Notice(Widget):
    DEFAULT_CSS = "Notice { height: auto; max-height: 6; display: none; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__(id="notice")
        self.text = ""

    def show(self, model: Model) -> None:
        text = glimpse(_told(model))
        if text != self.text:
            self.text = text
            self.display = bool(text)
            self.refresh(layout=True)

    def render(self) -> Text:
        first, _, rest = self.text.partition("\n")
        return Text(first, style=f"bold {BAD}").append(f"\n{rest}" if rest else "", style=NEEDS_YOU)


def _told(model: Model) -> str:
    if model.problem:
        return f"{model.problem}\nShown is what was last seen; it is looked for again every second."
    snapshot = model.snapshot
    if snapshot is None or snapshot.status not in {"failed", "not ready", "repairing"}:
        return ""
    return "\n".join(part for part in (snapshot.reason, f"fix: {snapshot.fix}" if snapshot.fix else "") if part)
